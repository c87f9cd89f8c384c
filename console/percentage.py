"""Percentages formatted for readers."""

from __future__ import annotations

import math
from typing import Final

MOST: Final = 1e6
"""A lift from which on a bound is shown as unbounded: the interval has practically no information."""


def percent(share: float, *, signed: bool = True) -> str:
    """`+4.2 %`: one decimal below ten per cent, none above and for 0; NaN as a dash.

    `unbounded` from MOST on.
    """
    if not abs(share) < MOST:
        return "–" if math.isnan(share) else "unbounded"
    if abs(share) < 0.0005:
        return "0 %"
    digits = 1 if abs(share) < 0.0995 else 0
    text = f"{100 * share:+,.{digits}f}" if signed else f"{100 * share:,.{digits}f}"
    return f"{text.replace('-', '−')} %"
