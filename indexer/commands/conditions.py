"""The conditions that a new index must meet, as options of a command."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, Final

import click
from elasticsearch import Elasticsearch

from console.number_types import Number
from indexer.commands.connections import Connections
from indexer.jobs import gates, reembedding
from indexer.jobs.gates import Gate
from indexer.jobs.rebuild import Rebuild

REPAIRS: Final = 3
"""Rounds of refreshing what the new index lacks: an item can be swept or removed while it is compared."""


def _share(name: str, default: float, help: str) -> Callable[[Callable[..., None]], Callable[..., None]]:  # noqa: A002
    return click.option(name, type=Number(0, 1), default=default, show_default=True, help=help)


OPTIONS: Final = (
    click.option(
        "--judgments",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="CSV file with query, item and gain, by which both indices are compared.",
    ),
    _share("--tolerance", 0.0, "By how much nDCG on judgments may be lower."),
    _share("--least-recall", gates.LEAST_RECALL, "Least recall of the graph."),
    _share("--most-rejected", 0.01, "Largest share of listings whose photo cannot be encoded again."),
)


@dataclass(frozen=True)
class Conditions:
    """What a new index must show before it goes live."""

    judged: gates.Judgments | None
    tolerance: float
    """By how much nDCG on judgments may be lower."""
    least_recall: float
    most_rejected: float
    """The largest share of listings whose photo cannot be encoded again."""

    def measured(self, connections: Connections, job: Rebuild) -> list[Gate]:
        """Return the conditions with their figures. What is missing is refreshed first."""
        es = connections.es
        found = [gates.coverage_gate(repaired(connections, job), self.most_rejected)]
        asked = gates.queries(es, job.source)
        new, old = (gates.vectors_of(es, index, asked) for index in (job.target, job.source))
        answers = gates.approximate(es, job.target, new)
        found.append(gates.recall_gate(answers, gates.exact(es, job.target, new), self.least_recall))
        found.append(gates.agreement(answers, gates.approximate(es, job.source, old)))
        if self.judged is None:
            return [*found, Gate(f"nDCG@{gates.K} on judgments", "not measured: no --judgments", None)]
        return [*found, judged_by(es, job, self.judged, self.tolerance)]


def condition_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of the conditions to a command, which gets them as `conditions`."""

    @wraps(command)
    def collected(
        *args: Any,
        judgments: Path | None,
        tolerance: float,
        least_recall: float,
        most_rejected: float,
        **options: Any,
    ) -> None:
        judged = gates.read_judgments(judgments) if judgments else None
        command(*args, conditions=Conditions(judged, tolerance, least_recall, most_rejected), **options)

    for option in reversed(OPTIONS):
        collected = option(collected)
    return collected


def judged_by(es: Elasticsearch, job: Rebuild, judged: gates.Judgments, tolerance: float) -> Gate:
    """Return the comparison of both indices by judgments."""
    new, old = (
        gates.approximate(es, index, gates.vectors_of(es, index, list(judged)))
        for index in (job.target, job.source)
    )
    return gates.judgment_gate(new, old, judged, tolerance)


def repaired(connections: Connections, job: Rebuild) -> gates.Coverage:
    """Refresh the items that the new index lacks, and return its coverage."""
    found = gates.coverage(connections.es, job.source, job.target)
    for _ in range(REPAIRS):
        if not found.missing:
            break
        submission = connections.submission(wait=True)
        submission.send([reembedding.refresh(item) for item in found.missing])
        submission.finish()
        found = gates.coverage(connections.es, job.source, job.target)
    return found


def met(gate: Gate) -> str:
    """Return whether a condition is met, for the table."""
    return "-" if gate.passes is None else "yes" if gate.passes else "NO"
