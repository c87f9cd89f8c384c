"""Samples of metrics, added up over labels."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prometheus_client import Metric


@dataclass(frozen=True)
class Sample:
    """A value with its name and labels."""

    name: str
    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True)
class Samples:
    """Samples of one process or of several."""

    samples: Sequence[Sample] = ()

    @classmethod
    def of(cls, families: Iterable[Metric]) -> Samples:
        """Return the samples of an exposition."""
        return cls(
            [Sample(each.name, each.labels, each.value) for family in families for each in family.samples]
        )

    @classmethod
    def from_json(cls, rows: Iterable[Sequence[Any]]) -> Samples:
        """Return the samples that `to_json` returned.

        Raises:
            TypeError, ValueError: the rows have another form.
        """
        return cls([Sample(str(name), dict(labels), float(value)) for name, labels, value in rows])

    def to_json(self, names: Iterable[str]) -> list[list[Any]]:
        """Return the samples of these names."""
        wanted = set(names)
        return [[each.name, dict(each.labels), each.value] for each in self.samples if each.name in wanted]

    def __add__(self, other: Samples) -> Samples:
        """Return the samples of both."""
        return Samples([*self.samples, *other.samples])

    def total(self, name: str, **labels: str) -> float:
        """Return the sum of the samples with these labels."""
        return sum(each.value for each in self._with(name, labels))

    def by(self, name: str, label: str, **labels: str) -> dict[str, float]:
        """Return the sums by the values of a label, the largest first."""
        sums: defaultdict[str, float] = defaultdict(float)
        for each in self._with(name, labels):
            sums[each.labels.get(label, "")] += each.value
        return dict(sorted(sums.items(), key=lambda item: (-item[1], item[0])))

    def mean(self, name: str, **labels: str) -> float | None:
        """Return the mean of a histogram, or None if it is empty."""
        count = self.total(f"{name}_count", **labels)
        return self.total(f"{name}_sum", **labels) / count if count else None

    def quantile(self, name: str, share: float, **labels: str) -> float | None:
        """Return a quantile of a histogram, as Prometheus estimates it: linear within a bucket.

        None if the histogram is empty; the largest bound for what lies above it.
        """
        sums = self.by(f"{name}_bucket", "le", **labels)
        bounds = sorted((float(bound), count) for bound, count in sums.items())
        if not bounds or not bounds[-1][1]:
            return None
        wanted, below, seen = share * bounds[-1][1], 0.0, 0.0
        for bound, count in bounds:
            if count >= wanted and count > seen:
                return (
                    below if math.isinf(bound) else below + (bound - below) * (wanted - seen) / (count - seen)
                )
            below, seen = bound, count
        return below

    def _with(self, name: str, labels: Mapping[str, str]) -> Iterator[Sample]:
        for each in self.samples:
            if each.name == name and labels.items() <= each.labels.items():
                yield each
