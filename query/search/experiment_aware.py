"""Similar items for a visitor who may be in experiments.

An answer comes from its arms entirely or not at all. If an arm's index fails, the visitor gets the default
answer, attributed to no arm: an arm is never credited with another's items.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime

from events.user_ids import user_hash
from experiments.assignment.assign import Assignment, assignments, hash_bucket
from experiments.assignment.definition import Arm, Experiment
from experiments.assignment.kill_switch import Switches
from mappings.identity import EncoderIdentity
from query.search.errors import (
    InvalidParameters,
    NoLiveIndex,
    SearchUnavailable,
    UnknownItem,
    UnusableCursor,
    UnusableParameter,
)
from query.search.ranking import Ranking, Weights, weights_with
from query.search.reader import Found, IndexReader, RequestDeadline
from query.search.request import SimilarRequest, VisitorRequest
from query.search.similar import SimilarItems, SimilarService

logger = logging.getLogger(__name__)

STOPPED = "stopped"
KILL_SWITCH_UNAVAILABLE = "kill_switch_unavailable"
ITEM_NOT_IN_ARM = "item_not_in_arm"
ARM_INDEX_MISSING = "arm_index_missing"
ARM_UNAVAILABLE = "arm_unavailable"
ARM_ENCODER_MISMATCH = "arm_encoder_mismatch"

# Logged once by each process: they last until an operator acts. The others are transient.
_LASTING = {ARM_INDEX_MISSING, ARM_ENCODER_MISMATCH}


class ArmUnusable(Exception):
    """Failure of an arm's own index to answer a request."""

    def __init__(self, reason: str, message: str) -> None:
        self.reason = reason
        super().__init__(message)


@dataclass(frozen=True)
class ArmStatus:
    """Whether an arm can be served now, and what ranks its answers."""

    arm: str
    problem: str | None = None
    """Why it cannot be served."""
    index: str | None = None
    """The index that it reads; None if there is none."""
    ranking: str | None = None
    """The name of the ranking that applies to that index."""
    ranking_problem: str | None = None
    """Why the ranking file of the arm, or of the deployment, does not apply."""


@dataclass(frozen=True)
class ExperimentStatus:
    """An experiment in this process."""

    name: str
    state: str
    arms: tuple[ArmStatus, ...]
    """Empty if it is disabled."""

    @property
    def problems(self) -> tuple[str, ...]:
        """Why arms cannot be served."""
        return tuple(arm.problem for arm in self.arms if arm.problem)


@dataclass(frozen=True)
class Exposure:
    """The experiment arms that an answer is attributed to."""

    arms: tuple[str, ...] = ()
    override: bool = False
    randomised: bool = False
    reason: str | None = None
    """Why an arm assigned to the visitor is missing: a stable code."""
    slate_id: str = field(default_factory=lambda: uuid.uuid4().hex)


@dataclass(frozen=True)
class ServingConfig:
    """The settings of a search: the defaults, overridden by those of arms."""

    arms: tuple[Arm, ...] = ()
    labels: tuple[str, ...] = ()
    override: bool = False
    reason: str | None = None
    prefix: str | None = None
    weights: Weights = field(default_factory=dict)
    """Those that arms set, over the ranking's own."""
    ranking_file: str | None = None
    shuffle: float = 0.0


def serving_config(
    assigned: Sequence[Assignment], stopped: frozenset[str] | None, *, override: bool = False
) -> ServingConfig:
    """Merge the settings of some arms, no two of which set the same.

    stopped: the experiments that are stopped. Their users get control's configuration, not shuffled, and the
        answer is not attributed to them. None if the kill switch cannot be read: then all count as stopped.

    Raises:
        UnknownTerm: an arm sets the weight of something that is no ranking term.
    """
    running = [each for each in assigned if stopped is not None and each.experiment.name not in stopped]
    halted = [
        each.experiment.control.model_copy(update={"shuffle": 0.0})
        for each in assigned
        if each not in running
    ]
    arms = (*(each.arm for each in running), *halted)
    weights = {name: weight for arm in arms for name, weight in arm.ranking_weights.items()}
    weights_with(weights)
    reason = KILL_SWITCH_UNAVAILABLE if stopped is None else STOPPED
    return ServingConfig(
        arms=arms,
        labels=tuple(each.label for each in running),
        override=override and bool(running),
        reason=reason if halted else None,
        prefix=next((arm.prefix for arm in arms if arm.prefix is not None), None),
        weights=weights,
        ranking_file=next((arm.ranking_file for arm in arms if arm.ranking_file), None),
        shuffle=max((arm.shuffle for arm in arms), default=0.0),
    )


class ExperimentAwareSearch:
    """Search for similar items for visitors who may be in experiments."""

    def __init__(
        self,
        own: SimilarService,
        by_prefix: dict[str, SimilarService],
        experiments: Sequence[Experiment],
        switches: Switches,
        *,
        rankings: Mapping[str, Ranking] | None = None,
        salt: str = "",
        off: str | None = None,
        today: Callable[[], date] = lambda: datetime.now(UTC).date(),
    ) -> None:
        self.off = off
        self._own = own
        self._by_prefix = by_prefix
        self._experiments = tuple(experiments)
        self._switches = switches
        self._rankings = rankings or {}
        self._salt = salt
        self._today = today
        self._logged: set[str] = set()

    def slate(self, item_id: str, request: VisitorRequest) -> tuple[SimilarItems, Exposure]:
        """Find the items similar to one, and the arms that they are attributed to.

        Raises:
            InvalidParameters: the request names an arm that does not exist.
            UnknownItem: no such item.
            NoLiveIndex, SearchUnavailable
        """
        deadline = self.deadline()
        items, config = self.items(self.config(request, deadline), item_id, request.similar, deadline)
        exposure = exposed(config)
        return in_random_order(items, exposure), exposure

    def deadline(self) -> RequestDeadline:
        """The deadline of a request that begins now."""
        return self._own.reader.deadline()

    @property
    def has_experiments(self) -> bool:
        """Whether answers may differ from visitor to visitor."""
        return bool(self._experiments)

    def reader(self, config: ServingConfig) -> IndexReader:
        """The reader of the index that a configuration's answers come from."""
        return self._service(config).reader

    def items(
        self, config: ServingConfig, item_id: str, request: SimilarRequest, deadline: RequestDeadline
    ) -> tuple[SimilarItems, ServingConfig]:
        """Find the items similar to one, and the configuration that they are found by: the default one if an
        arm's own index fails.

        Raises:
            UnknownItem: no such item.
            InvalidParameters, NoLiveIndex, SearchUnavailable
        """
        try:
            return self._items(config, item_id, request, deadline), config
        except ArmUnusable as error:
            self._log(error)
            found = self._own.reader.find(item_id, deadline)
            return self._own.similar_to(found, request, deadline), ServingConfig(reason=error.reason)

    @property
    def rankings(self) -> tuple[Ranking, ...]:
        """Those of the arms that name a ranking file."""
        return tuple(self._rankings.values())

    def states(self, deadline: RequestDeadline) -> Iterator[ExperimentStatus]:
        """The status of each experiment."""
        for experiment in self._experiments:
            arms = tuple(self._status(arm, deadline) for arm in experiment.arms if experiment.enabled)
            state = experiment.state(self._switches.stopped(), self._today())
            yield ExperimentStatus(experiment.name, state, arms)

    def switches_age_s(self) -> float | None:
        """Seconds since the kill switch was last read, or None if it never was."""
        return self._switches.age_s()

    def config(self, request: VisitorRequest, deadline: RequestDeadline) -> ServingConfig:
        """The configuration of the visitor's arms.

        Raises:
            InvalidParameters: the request names an arm that does not exist.
        """
        override = bool(request.arm)
        assigned = self._chosen(request.arm) if override else self._assigned(request.user_id)
        if not assigned:
            return ServingConfig()
        with deadline.waiting():
            stopped = self._switches.stopped()
        return serving_config(assigned, stopped, override=override)

    def _assigned(self, user_id: str | None) -> tuple[Assignment, ...]:
        if user_id is None or not self._experiments:
            return ()
        return assignments(self._experiments, user_hash(self._salt, user_id), self._today())

    def _chosen(self, labels: Iterable[str]) -> tuple[Assignment, ...]:
        """The arms that a tester requests; the experiment need not have started.

        Raises:
            InvalidParameters: one does not exist, or two belong to one layer.
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
            problem = UnusableParameter("arm", "arm_unknown_value", repr(unknown[0]), expected)
            raise InvalidParameters((problem,))
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
        self, config: ServingConfig, item_id: str, request: SimilarRequest, deadline: RequestDeadline
    ) -> SimilarItems:
        service = self._service(config)
        with _arm_failures(config.prefix):
            found = service.reader.find(item_id, deadline)
            ranking = service.ranking if config.ranking_file is None else self._rankings[config.ranking_file]
            self._check_encoder(config, service.reader, found, deadline)
            return service.similar_to(found, request, deadline, ranking.with_weights(config.weights))

    def _service(self, chosen: ServingConfig | Arm) -> SimilarService:
        return self._own if chosen.prefix is None else self._by_prefix[chosen.prefix]

    def _check_encoder(
        self, config: ServingConfig, reader: IndexReader, found: Found, deadline: RequestDeadline
    ) -> None:
        encoder = reader.identity(found.index, deadline)
        for objection in (self._objection(arm, found.index, encoder) for arm in config.arms):
            if objection:
                raise ArmUnusable(ARM_ENCODER_MISMATCH, objection)

    def _objection(self, arm: Arm, index: str, encoder: EncoderIdentity) -> str | None:
        """Why an arm, or its ranking file, cannot answer from an index, or None if it can."""
        ranking = self._rankings[arm.ranking_file].objection(index, encoder) if arm.ranking_file else None
        return arm.objection(index, encoder.encoder_id) or (ranking and f"arm {arm.name}: {ranking}")

    def _log(self, error: ArmUnusable) -> None:
        if error.reason in _LASTING and str(error) not in self._logged:
            self._logged.add(str(error))
            logger.error("an arm is not served (%s): %s", error.reason, error)

    def _status(self, arm: Arm, deadline: RequestDeadline) -> ArmStatus:
        service = self._service(arm)
        try:
            index, encoder = service.reader.live(deadline)
        except (NoLiveIndex, SearchUnavailable) as error:
            return ArmStatus(arm.name, f"arm {arm.name}: {error}")
        ranking = self._rankings[arm.ranking_file] if arm.ranking_file else service.ranking
        return ArmStatus(
            arm.name,
            self._objection(arm, index, encoder),
            index,
            ranking.applied_to(index, encoder).name,
            ranking.objection(index, encoder),
        )


def exposed(config: ServingConfig) -> Exposure:
    """A new slate of a configuration, in random order for the share of slates that the configuration sets.

    Which slates are random, and their order, follow from the slate's id, so both can be recomputed.
    """
    exposure = Exposure(config.labels, config.override, reason=config.reason)
    return replace(exposure, randomised=hash_bucket("shuffle", exposure.slate_id) < config.shuffle)


def random_place(exposure: Exposure, item_id: str) -> float:
    """The place of an item in a slate of random order, from 0 to 1."""
    return hash_bucket(f"order/{exposure.slate_id}", item_id)


def in_random_order(items: SimilarItems, exposure: Exposure) -> SimilarItems:
    """The items in the order shown."""
    if not exposure.randomised:
        return items
    hits = sorted(items.hits, key=lambda hit: random_place(exposure, hit.document.item_id))
    return replace(items, selection=replace(items.selection, shown=tuple(hits)))


@contextmanager
def _arm_failures(prefix: str | None) -> Iterator[None]:
    """Turn failures of an arm's own index into ArmUnusable; raise those of the default index, and a cursor
    that cannot be used, unchanged."""
    try:
        yield
    except UnusableCursor:
        raise
    except (UnknownItem, InvalidParameters, NoLiveIndex, SearchUnavailable) as error:
        if prefix is None:
            raise
        reasons = {UnknownItem: ITEM_NOT_IN_ARM, NoLiveIndex: ARM_INDEX_MISSING}
        raise ArmUnusable(reasons.get(type(error), ARM_UNAVAILABLE), f"{prefix}: {error}") from error
