"""What a report is made from: everything that it asks of a log, asked once."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Final

import numpy as np

from events.log_tables import SIMULATED
from experiments.analysis.log.exclusions import Exclusion, Reason
from experiments.analysis.log.files import FaultyFile
from experiments.analysis.log.read import open_log
from experiments.analysis.log.sums import Assigned
from experiments.analysis.sellers import SellerSide, seller_side
from experiments.analysis.verdict.breakdowns import BREAKDOWNS, Arms
from experiments.assignment.assign import arm_array
from experiments.assignment.definition import Experiment
from experiments.errors import NothingExposed, UnreadableLog

SIMULATED_USERS: Final = "Simulated users: this log does not come from real shoppers."
"""Where impressions say so and the folder has no marker."""


@dataclass(frozen=True)
class Evidence:
    """Of one experiment, from its start to the last whole day that counts."""

    experiment: Experiment
    until: date
    users: Mapping[str, int]
    misassigned: int
    """Users whose logged arm is not the computed one, or who saw two."""
    unassigned_slates: Mapping[str, int]
    """By the arm that is their user's, and that they do not tell."""
    attributed_slates: Mapping[str, int]
    """By the arm that they tell."""
    totals: Arms
    with_bots: Arms
    """The totals with suspected bots in."""
    up_to: Mapping[date, Arms]
    """Day to the totals up to its end."""
    breakdowns: Mapping[str, Mapping[str, Arms]]
    """Name of each of `BREAKDOWNS` to its parts."""
    sellers: SellerSide
    latencies: Mapping[str, Mapping[str, float]]
    exclusions: tuple[Exclusion, ...]
    complaints_logged: bool
    """Whether any complaint could be read: none at all may mean that nobody sends them."""
    faulty: tuple[FaultyFile, ...]
    simulated: str | None
    """The sentence that says so."""


def planned_end(experiment: Experiment) -> date:
    """The last planned day; what comes later is not read, since no error was set aside for it."""
    return experiment.start + timedelta(days=7 * experiment.planned_weeks - 1)


def gather(folder: Path, experiment: Experiment, until: date) -> Evidence:
    """The evidence of the log in a folder, up to a day (UTC) or the planned end.

    Raises:
        UnreadableLog: the folder holds no log, or its marker cannot be read.
        NothingExposed: no user was shown an arm.
    """
    until = min(until, planned_end(experiment))
    with open_log(folder) as log:
        clean = log.clean(experiment, until)
        users = clean.users_per_arm()
        if not any(users.values()):
            raise NothingExposed(
                f"{folder}: no slate that counts carries an arm of {experiment.name!r} from "
                f"{experiment.start} to {until}{excluded(clean.exclusions)}; "
                "check that the experiment ran and that impressions send arms, or give another --until"
            )
        return Evidence(
            experiment=experiment,
            until=until,
            users=users,
            misassigned=misassigned(experiment, clean.assigned()) + in_two_arms(clean.exclusions),
            unassigned_slates=clean.unassigned_slates(),
            attributed_slates=clean.attributed_slates(),
            totals=clean.moments(),
            with_bots=clean.moments(bots=True),
            up_to=clean.moments_up_to_each_day(),
            breakdowns={name: clean.moments_by(name) for name in BREAKDOWNS},
            sellers=seller_side(clean),
            latencies=clean.latencies(),
            exclusions=clean.exclusions,
            complaints_logged=log.holds("complaints"),
            faulty=tuple(without_folder(each, folder) for each in log.faulty),
            simulated=simulated(folder) or (SIMULATED_USERS if log.simulated() else None),
        )


def misassigned(experiment: Experiment, assigned: Assigned) -> int:
    """How many users were shown an arm that is not the one that assignment computes for them."""
    names = np.array([*(arm.name for arm in experiment.arms), ""], dtype=object)  # NO_ARM is -1: the last
    return int((names[arm_array(experiment, assigned.users)] != assigned.arms).sum())


def excluded(exclusions: Sequence[Exclusion]) -> str:
    """What does not count, for the end of a sentence; "" for nothing."""
    counts = [f"{each.count:,} events {each.reason.meaning}" for each in exclusions]
    return f" (left out: {', '.join(counts)})" if counts else ""


def in_two_arms(exclusions: Iterable[Exclusion]) -> int:
    """How many users saw two arms. They are in no sum; many of them mean that assignment is broken."""
    return sum(each.users for each in exclusions if each.reason is Reason.TWO_ARMS)


def without_folder(file: FaultyFile, folder: Path) -> FaultyFile:
    """The same as the log knows it: whoever reads a report needs no paths of the machine that made it."""
    return FaultyFile(file.path.relative_to(folder), file.reason.replace(f"{folder}/", ""))


def simulated(folder: Path) -> str | None:
    """What the marker says of a log that no people made; None for a real one.

    Raises:
        UnreadableLog: the marker is there and has no sentence.
    """
    path = folder / SIMULATED
    if not path.exists():
        return None
    try:
        sentence = str(json.loads(path.read_text(encoding="utf-8"))["sentence"])
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError) as error:
        raise UnreadableLog(f"{path}: {error!r}; expected JSON with a text `sentence`") from error
    return sentence[:1].upper() + sentence[1:]
