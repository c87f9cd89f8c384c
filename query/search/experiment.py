"""How a visitor is answered: as the arms that the visitor is in have it, and what the answer says of them.

An answer is of its arms wholly or not at all: where the index of an arm fails it, the visitor gets the
deployment's own answer and no arm is told, so that no arm is ever credited with another's items.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime

from elasticsearch import Elasticsearch

from events.user_ids import user_hash
from experiments.assignment.assign import Assignment, assignments, place
from experiments.assignment.definition import Arm, Experiment, read_experiments
from experiments.assignment.kill_switch import Switches
from query.api.errors import InvalidParameters, NoLiveIndex, SearchUnavailable, UnknownItem, UnusableParameter
from query.api.parameters import SlateParameters
from query.api.settings import QuerySettings
from query.search.ranking import DEFAULT_WEIGHTS, Weights
from query.search.reader import Allowance, Found, IndexReader
from query.search.similar import SimilarItems, SimilarService

logger = logging.getLogger(__name__)

STOPPED = "stopped"
SWITCHES_UNKNOWN = "switches_unknown"
ITEM_NOT_IN_ARM = "item_not_in_arm"
ARM_INDEX_MISSING = "arm_index_missing"
ARM_UNAVAILABLE = "arm_unavailable"
ARM_ENCODER_MISMATCH = "arm_encoder_mismatch"

# Told once by each process: they last until somebody mends them. The others pass.
_LASTING = {ARM_INDEX_MISSING, ARM_ENCODER_MISMATCH}


class ArmUnusable(Exception):
    """The index that an arm reads cannot answer a request."""

    def __init__(self, reason: str, message: str) -> None:
        self.reason = reason
        super().__init__(message)


@dataclass(frozen=True)
class Exposure:
    """What a slate says of the experiments that it is part of."""

    arms: tuple[str, ...] = ()
    override: bool = False
    randomised: bool = False
    reason: str | None = None
    """Why an arm of the visitor's is not told: a stable code."""
    slate_id: str = field(default_factory=lambda: uuid.uuid4().hex)


@dataclass(frozen=True)
class Way:
    """How an answer is found: the deployment's own way, with what arms set over it."""

    arms: tuple[Arm, ...] = ()
    labels: tuple[str, ...] = ()
    override: bool = False
    reason: str | None = None
    prefix: str | None = None
    weights: Weights = DEFAULT_WEIGHTS
    shuffle: float = 0.0


def way_of(assigned: Sequence[Assignment], stopped: frozenset[str] | None, *, override: bool = False) -> Way:
    """The way of some arms, of which no two set the same.

    The users of a stopped experiment go control's way, in no random order, and no arm is told. While it is
    unknown what is stopped, everything is.
    """
    running = [each for each in assigned if stopped is not None and each.experiment.name not in stopped]
    halted = [
        each.experiment.control.model_copy(update={"shuffle": 0.0})
        for each in assigned
        if each not in running
    ]
    arms = (*(each.arm for each in running), *halted)
    settings = {name: getattr(arm, name) for arm in arms for name in arm.settings}
    reason = SWITCHES_UNKNOWN if stopped is None else STOPPED
    return Way(
        arms=arms,
        labels=tuple(each.label for each in running),
        override=override and bool(running),
        reason=reason if halted else None,
        prefix=settings.get("prefix"),
        weights=Weights(
            settings.get("category_weight", DEFAULT_WEIGHTS.category),
            settings.get("price_weight", DEFAULT_WEIGHTS.price),
        ),
        shuffle=settings.get("shuffle", 0.0),
    )


class SlateService:
    """Answers which items are similar to one, for a visitor who may take part in experiments."""

    def __init__(
        self,
        own: SimilarService,
        by_prefix: dict[str, SimilarService],
        experiments: Sequence[Experiment],
        switches: Switches,
        *,
        salt: str = "",
        off: str | None = None,
        today: Callable[[], date] = lambda: datetime.now(UTC).date(),
    ) -> None:
        self.off = off
        self._own = own
        self._by_prefix = by_prefix
        self._experiments = tuple(experiments)
        self._switches = switches
        self._salt = salt
        self._today = today
        self._told: set[str] = set()

    @classmethod
    def create(cls, settings: QuerySettings, es: Elasticsearch, own: SimilarService) -> SlateService:
        """For the experiments of the settings' folder, with a reader for each prefix that an arm names.

        Raises:
            InvalidDefinition: a file of the folder cannot be used.
        """
        off = why_off(settings)
        experiments = read_experiments(settings.experiments) if settings.experiments and not off else ()
        if off and settings.experiments:
            logger.warning("no experiment runs: %s", off)
        prefixes = {arm.prefix for experiment in experiments for arm in experiment.arms if arm.prefix}
        timeout_s = settings.elasticsearch.timeout_s
        return cls(
            own,
            {prefix: SimilarService(IndexReader(es, prefix, timeout_s)) for prefix in prefixes},
            experiments,
            Switches(es, settings.elasticsearch.prefix),
            salt=settings.user_salt or "",
            off=off,
        )

    def slate(self, item_id: str, parameters: SlateParameters) -> tuple[SimilarItems, Exposure]:
        """The items similar to one, and what is to be told of the arms that they are of.

        Raises:
            InvalidParameters: an arm was asked for that is not there.
            UnknownItem: no such item.
            NoLiveIndex, SearchUnavailable
        """
        allowance = self._own.reader.allowance()
        way = self._way(parameters, allowance)
        try:
            items = self._items(way, item_id, parameters, allowance)
        except ArmUnusable as error:
            self._tell(error)
            found = self._own.reader.find(item_id, allowance)
            return self._own.similar_to(found, parameters, allowance), Exposure(reason=error.reason)
        return in_random_order(items, way)

    def states(self, allowance: Allowance) -> Iterator[tuple[str, str, tuple[str, ...]]]:
        """Name, state and problems of each experiment."""
        for experiment in self._experiments:
            problems = (self._problem(arm, allowance) for arm in experiment.arms if experiment.enabled)
            state = experiment.state(self._switches.stopped(), self._today())
            yield experiment.name, state, tuple(filter(None, problems))

    def switches_age_s(self) -> float | None:
        """Seconds since it was last learned what is stopped, or None if it never was."""
        return self._switches.age_s()

    def _way(self, parameters: SlateParameters, allowance: Allowance) -> Way:
        override = bool(parameters.arm)
        assigned = self._chosen(parameters.arm) if override else self._assigned(parameters.user)
        if not assigned:
            return Way()
        with allowance.waiting():
            stopped = self._switches.stopped()
        return way_of(assigned, stopped, override=override)

    def _assigned(self, user_id: str | None) -> tuple[Assignment, ...]:
        if user_id is None or not self._experiments:
            return ()
        return assignments(self._experiments, user_hash(self._salt, user_id), self._today())

    def _chosen(self, labels: Iterable[str]) -> tuple[Assignment, ...]:
        """The arms that a tester asks for; the experiment need not have started.

        Raises:
            InvalidParameters: one is not there, or two are of one layer.
        """
        known = {
            each.label: each
            for experiment in self._experiments
            if experiment.enabled
            for each in (Assignment(experiment, arm) for arm in experiment.arms)
        }
        labels = tuple(labels)
        unknown = [label for label in labels if label not in known]
        if unknown:
            expected = f"one of {', '.join(known)}" if known else self.off or "no experiment is enabled"
            raise InvalidParameters((UnusableParameter("arm", "arm_unknown", repr(unknown[0]), expected),))
        chosen = tuple(known[label] for label in labels)
        if len({each.experiment.layer for each in chosen}) < len(chosen):
            raise InvalidParameters(
                (
                    UnusableParameter(
                        "arm", "arm_conflicting", ", ".join(labels), "one arm of each layer at most"
                    ),
                )
            )
        return chosen

    def _items(
        self, way: Way, item_id: str, parameters: SlateParameters, allowance: Allowance
    ) -> SimilarItems:
        service = self._own if way.prefix is None else self._by_prefix[way.prefix]
        with _arm_failures(way.prefix):
            found = service.reader.find(item_id, allowance)
            self._check_encoder(way, service.reader, found, allowance)
            return service.similar_to(found, parameters, allowance, way.weights)

    def _check_encoder(self, way: Way, reader: IndexReader, found: Found, allowance: Allowance) -> None:
        encoder_id = reader.identity(found.index, allowance).encoder_id
        for objection in (arm.objection(found.index, encoder_id) for arm in way.arms):
            if objection:
                raise ArmUnusable(ARM_ENCODER_MISMATCH, objection)

    def _tell(self, error: ArmUnusable) -> None:
        if error.reason in _LASTING and str(error) not in self._told:
            self._told.add(str(error))
            logger.error("an arm is not served (%s): %s", error.reason, error)

    def _problem(self, arm: Arm, allowance: Allowance) -> str | None:
        service = self._own if arm.prefix is None else self._by_prefix[arm.prefix]
        try:
            index, encoder = service.reader.live(allowance)
        except (NoLiveIndex, SearchUnavailable) as error:
            return f"arm {arm.name}: {error}"
        return arm.objection(index, encoder.encoder_id)


def why_off(settings: QuerySettings) -> str | None:
    """Which setting is missing for experiments to run, or None if none is."""
    if settings.experiments is None:
        return "NITAMONO_EXPERIMENTS is not set"
    return None if settings.user_salt else "NITAMONO_USER_SALT is not set"


def in_random_order(items: SimilarItems, way: Way) -> tuple[SimilarItems, Exposure]:
    """The items in the order in which they are shown: of the share that the way says, a random one.

    Whether, and which, follows from the slate's id: sorted by each item's place under a key of its own.
    """
    exposure = Exposure(way.labels, way.override, reason=way.reason)
    if place("shuffle", exposure.slate_id) >= way.shuffle:
        return items, exposure
    key = f"order/{exposure.slate_id}"
    hits = sorted(items.hits, key=lambda hit: place(key, hit.document.item_id))
    return replace(items, hits=tuple(hits)), replace(exposure, randomised=True)


@contextmanager
def _arm_failures(prefix: str | None) -> Iterator[None]:
    """Turns failures of an arm's own index into ArmUnusable; those of the deployment's stay what they are."""
    try:
        yield
    except (UnknownItem, NoLiveIndex, SearchUnavailable) as error:
        if prefix is None:
            raise
        reasons = {UnknownItem: ITEM_NOT_IN_ARM, NoLiveIndex: ARM_INDEX_MISSING}
        raise ArmUnusable(reasons.get(type(error), ARM_UNAVAILABLE), f"{prefix}: {error}") from error
