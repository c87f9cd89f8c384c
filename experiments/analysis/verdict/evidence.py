"""Everything that a report needs from a log, read once."""

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
from mappings.errors import failure_of

SIMULATED_USERS: Final = "Simulated users: this log does not come from real shoppers."
"""Used if impressions are marked as simulated and the folder has no marker file."""


@dataclass(frozen=True)
class Evidence:
    """What a log shows about one experiment, from its start to the last whole day that counts."""

    experiment: Experiment
    until: date
    users: Mapping[str, int]
    misassigned: int
    """Users whose logged arm differs from the computed one, or who saw two arms."""
    unassigned_slates: Mapping[str, int]
    """By arm: slates of its users that carry no arm."""
    attributed_slates: Mapping[str, int]
    """By the arm that they carry."""
    totals: Arms
    with_bots: Arms
    """The totals including suspected bots."""
    up_to: Mapping[date, Arms]
    """Day to the totals up to its end."""
    breakdowns: Mapping[str, Mapping[str, Arms]]
    """Name of each of `BREAKDOWNS` to its parts."""
    sellers: SellerSide
    latencies: Mapping[str, Mapping[str, float]]
    exclusions: tuple[Exclusion, ...]
    complaints_logged: bool
    """Whether the log holds complaints at all; without any, they are probably not sent."""
    faulty: tuple[FaultyFile, ...]
    simulated: str | None
    """The sentence which says that the log is simulated, or None."""


def planned_end(experiment: Experiment) -> date:
    """The last planned day; later days are not read, because the error rate is spent by then."""
    return experiment.start + timedelta(days=7 * experiment.planned_weeks - 1)


def gather(folder: Path, experiment: Experiment, until: date) -> Evidence:
    """Read the evidence from the log in a folder, up to a day (UTC) or the planned end.

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
                f"{folder}: no valid slate carries an arm of {experiment.name!r} from "
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
    """The number of users who were shown an arm other than the one that assignment computes."""
    names = np.array([*(arm.name for arm in experiment.arms), ""], dtype=object)  # NO_ARM is -1: the last
    return int((names[arm_array(experiment, assigned.users)] != assigned.arms).sum())


def excluded(exclusions: Sequence[Exclusion]) -> str:
    """The excluded events, for the end of a sentence; "" for none."""
    counts = [f"{each.count:,} events {each.reason.meaning}" for each in exclusions]
    return f" (excluded: {', '.join(counts)})" if counts else ""


def in_two_arms(exclusions: Iterable[Exclusion]) -> int:
    """The number of users who saw two arms. They are excluded; if there are many, assignment is broken."""
    return sum(each.users for each in exclusions if each.reason is Reason.TWO_ARMS)


def without_folder(file: FaultyFile, folder: Path) -> FaultyFile:
    """The file with its path inside the log, so that reports hold no paths of the machine that made them."""
    return FaultyFile(file.path.relative_to(folder), file.reason.replace(f"{folder}/", ""))


def simulated(folder: Path) -> str | None:
    """The sentence of the marker file of a simulated log; None for a real one.

    Raises:
        UnreadableLog: the marker file has no sentence.
    """
    path = folder / SIMULATED
    if not path.exists():
        return None
    try:
        sentence = str(json.loads(path.read_text(encoding="utf-8"))["sentence"])
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError) as error:
        raise UnreadableLog(f"{path}: {failure_of(error)}; expected JSON with a text `sentence`") from error
    return sentence[:1].upper() + sentence[1:]
