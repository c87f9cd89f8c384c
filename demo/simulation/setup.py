"""A market from the options of a simulation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Final

from demo.simulation.columns import Floats
from demo.simulation.errors import ImpossibleTruth, UnknownArm, UnknownPhotos
from demo.simulation.ground_truth import GroundTruth
from demo.simulation.market.buyers import draw_buyers
from demo.simulation.market.catalogue import Catalogue, drawn_catalogue, read_catalogue
from demo.simulation.market.market import Market
from demo.simulation.market.rankers import artifact_vectors, calibrated_ranker, noisy_vectors
from experiments.assignment.definition import Arm, Experiment
from query.search.ranking import weights_with

DEFAULT_EXPERIMENT: Final = Experiment(
    name="simulated",
    hypothesis="An encoder with less noise makes simulated buyers tap more.",
    arms=(Arm(name="control", shuffle=0.05), Arm(name="treatment", shuffle=0.05)),
    start=date(2026, 3, 16),
    planned_weeks=2,
    minimum_detectable_effect=0.05,
)
CONTROL_NOISE, TREATMENT_NOISE = 1.2, 0.6


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Options of a simulation."""

    truth: GroundTruth = field(default_factory=GroundTruth)
    experiment: Experiment = DEFAULT_EXPERIMENT
    encoders: Mapping[str, str] = field(default_factory=dict)
    """Arm to its encoder: a noise, or the folder of an artifact."""
    users: int = 2000
    days: int = 14
    """After the start."""
    pre_days: int | None = None
    """Before it; by default the experiment's."""
    count: int = 6000
    """Listings."""
    listings: Path | None = None
    """A file of listings, instead of drawn ones."""
    seed: int = 7


def build_market(plan: Plan) -> Market:
    """Return the marketplace of a plan.

    Raises:
        UnknownArm, UnknownPhotos, NothingOnSale, UnreadableFile
        MlError: an artifact that cannot be used.
    """
    names = {arm.name for arm in plan.experiment.arms}
    unknown = sorted(set(plan.encoders) - names)
    if unknown:
        raise UnknownArm(f"no arm {unknown[0]!r} in {plan.experiment.name}; there are {', '.join(names)}")
    if plan.listings is None:
        catalogue = drawn_catalogue(plan.count, plan.seed, plan.truth)
    else:
        catalogue = read_catalogue(plan.listings, plan.count, plan.truth, plan.seed)
    before = plan.experiment.pre_period_days if plan.pre_days is None else plan.pre_days
    first = plan.experiment.start - timedelta(days=before)
    return Market(
        truth=plan.truth,
        experiment=plan.experiment,
        rankers=tuple(
            calibrated_ranker(*_vectors(plan, arm, catalogue), weights_with(arm.ranking_weights))
            for arm in plan.experiment.arms
        ),
        catalogue=catalogue,
        buyers=draw_buyers(plan.users, catalogue, plan.truth, plan.seed),
        start=datetime.combine(first, time(), UTC),
        days=before + plan.days,
        seed=plan.seed,
    )


def _vectors(plan: Plan, arm: Arm, catalogue: Catalogue) -> tuple[str, Floats]:
    """Return the encoder_id and the vectors of an arm's encoder."""
    default = CONTROL_NOISE if arm == plan.experiment.control else TREATMENT_NOISE
    asked = plan.encoders.get(arm.name, str(default))
    try:
        noise = float(asked)
    except ValueError:
        if plan.listings is not None:
            raise UnknownPhotos(
                f"{arm.name}={asked}: an artifact encodes photos, and those of {plan.listings} are not "
                "drawn here; leave out --listings, or give a noise"
            ) from None
        return artifact_vectors(catalogue, Path(asked), plan.seed)
    if not 0 <= noise < float("inf"):
        raise ImpossibleTruth(f"{arm.name}={asked}: expected a noise of at least 0")
    return f"simulated-noise-{noise:g}", noisy_vectors(catalogue, noise, plan.seed)
