"""Figures formatted for readers."""

from __future__ import annotations

import math
from collections.abc import Sequence

from console.percentage import percent


def interval(low: float, high: float) -> str:
    """`+1.0 % to +7.5 %`."""
    return f"{percent(low)} to {percent(high)}"


def listed(words: Sequence[str]) -> str:
    """`one, two and three`."""
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last


def figure(value: float) -> str:
    """Three significant digits with thousands separators, or an exponent for very small or large values."""
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else "–"
    if not 1e-6 <= abs(value) < 1e15:
        return f"{value:.2e}".replace("-", "−")
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{digits}f}".replace("-", "−")


def probability(p: float) -> str:
    """A p-value with a relation sign: `= 0.012`; very small ones as `< 0.0001`."""
    return "< 0.0001" if p < 0.0001 else f"= {p:.2g}" if p < 0.1 else f"= {p:.2f}"
