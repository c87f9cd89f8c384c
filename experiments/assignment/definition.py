"""Experiments as files: hypothesis, arms, metrics, dates. Reviewed like code, read at start."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from datetime import date
from enum import StrEnum
from itertools import combinations
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from experiments.errors import InvalidDefinition, UnknownExperiment
from mappings.problems import form, problem_of_file
from settings.errors import InvalidSetting
from settings.services_file import state_folder

Name = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,47}$"),
    form("1 to 48 lower-case letters, digits and hyphens, the first one a letter or digit"),
]
Share = Annotated[float, Field(ge=0, le=1)]


class Metric(StrEnum):
    """Primary metrics of an experiment."""

    CTR = "ctr"
    """Taps per slate shown."""
    CVR_CLICKS = "cvr_clicks"
    """Purchases that originate from taps, per tap."""
    CVR_VIEWS = "cvr_views"
    """Purchases from the item page, per item-page view."""
    PURCHASES = "purchases"
    """Purchases of all kinds, per user."""


class Guardrail(StrEnum):
    """Metrics that must not get worse while the primary metric improves."""

    LATENCY = "latency"
    EMPTY_ANSWERS = "empty_answers"
    COMPLAINTS = "complaints"
    SELLER_EXPOSURE = "seller_exposure"


class Model(BaseModel):
    """Part of a definition; unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Arm(Model):
    """One variant of the search. The first arm of an experiment is its control."""

    name: Name
    weight: Annotated[float, Field(gt=0)] = 1.0
    prefix: Name | None = None
    """Prefix of the index to read, with its own encoder and worker; by default the deployment's."""
    encoder: str | None = None
    """The encoder_id that the index must have; None for no check."""
    ranking_weights: dict[Name, Annotated[float, Field(ge=0, le=10)]] = {}
    """Ranking term to its weight in similarity spreads; others have the ranking file's or the default."""
    ranking_file: (
        Annotated[
            str, StringConstraints(max_length=255, pattern=r"^[^/\\]+$"), form("a file name without a folder")
        ]
        | None
    ) = None
    """Ranking file beside the experiment's, instead of the deployment's; `ranking_weights` apply over it."""
    shuffle: Share = 0.0
    """Share of slates in random order, to measure position bias; the same in all arms."""

    @property
    def settings(self) -> frozenset[str]:
        """The settings in which the arm differs from the deployment."""
        changed = frozenset(self.model_dump(exclude_defaults=True)) - {
            "name",
            "weight",
            "encoder",
            "ranking_weights",
        }
        return changed | {f"ranking_weights.{name}" for name in self.ranking_weights}

    def objection(self, index: str, encoder_id: str) -> str | None:
        """Why the arm cannot be served from an index with this encoder, or None if it can."""
        if self.encoder in {None, encoder_id}:
            return None
        return f"arm {self.name} needs the encoder {self.encoder}, {index} has {encoder_id}"


class RampStep(Model):
    """The share of the experiment's users that takes part from a day on."""

    from_day: date
    share: Share


class Experiment(Model):
    """One experiment."""

    name: Name
    hypothesis: Annotated[str, StringConstraints(min_length=10, max_length=1000, strip_whitespace=True)]
    layer: Name = "similar-items"
    buckets: tuple[Share, Share] = (0.0, 1.0)
    """Hash buckets [from, to) of the layer whose users may take part; disjoint ranges share no users."""
    arms: Annotated[tuple[Arm, ...], Field(min_length=2, max_length=8)]
    primary: Metric = Metric.CTR
    guardrails: tuple[Guardrail, ...] = tuple(Guardrail)
    start: date
    planned_weeks: Annotated[int, Field(ge=1, le=26)]
    minimum_detectable_effect: Annotated[float, Field(gt=0, le=10)]
    """Relative: 0.05 is five per cent."""
    pre_period_days: Annotated[int, Field(ge=0, le=90)] = 14
    """Days before the start, for CUPED."""
    ramp: tuple[RampStep, ...] = ()
    enabled: bool = True

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        low, high = self.buckets
        names = [arm.name for arm in self.arms]
        days = [step.from_day for step in self.ramp]
        shares = [step.share for step in self.ramp]
        if low >= high:
            raise ValueError(f"buckets [{low:g}, {high:g}) are empty; expected from < to")
        if len(set(names)) < len(names):
            raise ValueError(f"arms {', '.join(names)} have a duplicate name; expected unique names")
        if days != sorted(set(days)) or shares != sorted(shares):
            raise ValueError(
                "ramp decreases; expected later days with larger shares, so that no user drops out"
            )
        if len(shuffles := sorted({arm.shuffle for arm in self.arms})) > 1:
            raise ValueError(
                f"arms shuffle {', '.join(f'{each:g}' for each in shuffles)} of their slates; "
                "expected the same share in every arm, because slates in random order are tapped less"
            )
        return self

    @property
    def control(self) -> Arm:
        """The arm that the others are compared with."""
        return self.arms[0]

    @property
    def settings(self) -> frozenset[str]:
        """The settings in which any arm differs from the deployment."""
        return frozenset().union(*(arm.settings for arm in self.arms))

    def state(self, stopped: frozenset[str] | None, today: date) -> str:
        """`disabled`, `not_started`, `running`, `stopped`; `kill_switch_unavailable` if stopped is None."""
        if not self.enabled:
            return "disabled"
        if stopped is None:
            return "kill_switch_unavailable"
        if self.name in stopped:
            return "stopped"
        return "running" if today >= self.start else "not_started"

    def share_on(self, day: date) -> float:
        """The share of the experiment's users that takes part on a day; 0 before the start or when off."""
        if not self.enabled or day < self.start:
            return 0.0
        return (
            next((step.share for step in reversed(self.ramp) if step.from_day <= day), 0.0)
            if self.ramp
            else 1.0
        )


def experiments_folder(environ: Mapping[str, str]) -> Path:
    """The folder that NITAMONO_EXPERIMENTS_DIR names or, where that is not set, the one of `make demo`.

    Raises:
        InvalidSetting: neither exists.
    """
    named, of_demo = environ.get("NITAMONO_EXPERIMENTS_DIR"), state_folder(environ) / "experiments"
    if named:
        return Path(named)
    if not any(of_demo.glob("*.toml")):
        raise InvalidSetting(
            "NITAMONO_EXPERIMENTS_DIR is not set; expected the folder of the experiment files"
        )
    return of_demo


def read_experiments(folder: Path) -> tuple[Experiment, ...]:
    """The experiments of a folder's .toml files, by name.

    Raises:
        InvalidDefinition: the folder does not exist; or lists every invalid file and every pair of enabled
            experiments that conflict.
    """
    if not folder.is_dir():
        raise InvalidDefinition(f"{folder} is not a folder; expected one with a .toml file per experiment")
    found: list[Experiment] = []
    faults: list[str] = []
    for path in sorted(folder.glob("*.toml")):
        try:
            found.append(read_experiment(path))
        except InvalidDefinition as error:
            faults.append(str(error))
    faults += conflicts(found)
    if faults:
        raise InvalidDefinition("\n".join(faults))
    return tuple(found)


def conflicts(experiments: Iterable[Experiment]) -> list[str]:
    """A sentence for every pair of enabled experiments that conflict.

    Experiments of one layer must not share users. Experiments of different layers share users, so they must
    not set the same settings (Tang et al., Overlapping experiment infrastructure, KDD 2010).
    """
    pairs = combinations((each for each in experiments if each.enabled), 2)
    return [fault for one, other in pairs if (fault := _conflict(one, other))]


def _conflict(one: Experiment, other: Experiment) -> str | None:
    if one.layer == other.layer:
        if max(one.buckets[0], other.buckets[0]) >= min(one.buckets[1], other.buckets[1]):
            return None
        return (
            f"{one.name} and {other.name} share users of the layer {one.layer}: "
            f"buckets {list(one.buckets)} and {list(other.buckets)}; "
            "make them disjoint, or set enabled = false"
        )
    if not (both := sorted(one.settings & other.settings | _ranked_twice(one, other))):
        return None
    return (
        f"{one.name} and {other.name} both set {', '.join(both)} and share users, because their layers are "
        f"{one.layer} and {other.layer}; put them into one layer with disjoint buckets"
    )


def _ranked_twice(one: Experiment, other: Experiment) -> set[str]:
    """The weights that one of the two sets, where the other has a ranking file, which sets all weights."""
    return {
        name
        for mine, theirs in ((one, other), (other, one))
        if "ranking_file" in theirs.settings
        for name in mine.settings
        if name.startswith("ranking_weights.")
    }


def read_experiment(path: Path) -> Experiment:
    """The experiment that a file defines.

    Raises:
        InvalidDefinition: see read_experiments.
    """
    try:
        experiment = Experiment.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidDefinition(f"{path}: {error}; expected TOML") from error
    except ValidationError as error:
        problems = "; ".join(problem_of_file(Experiment, fault) for fault in error.errors(include_url=False))
        raise InvalidDefinition(f"{path}: {problems}") from error
    if experiment.name != path.stem:
        raise InvalidDefinition(
            f"{path}: the name is {experiment.name!r}, expected that of the file, {path.stem!r}"
        )
    for arm in experiment.arms:
        if arm.ranking_file and not (path.parent / arm.ranking_file).is_file():
            raise InvalidDefinition(
                f"{path}: arm {arm.name}: no file {arm.ranking_file}; "
                f"expected the path of a ranking file from {path.parent}"
            )
    return experiment


def find_experiment(experiments: tuple[Experiment, ...], name: str) -> Experiment:
    """The experiment with a name.

    Raises:
        UnknownExperiment: no experiment has this name.
    """
    for experiment in experiments:
        if experiment.name == name:
            return experiment
    known = ", ".join(experiment.name for experiment in experiments) or "none"
    raise UnknownExperiment(f"no experiment {name!r}; known: {known}")
