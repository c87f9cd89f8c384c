"""Many questions of one log: p-values as if each had been the only one."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TypeVar

from ml.metrics import significance

Question = TypeVar("Question", bound=Hashable)


def holm(p_values: Mapping[Question, float]) -> dict[Question, float]:
    """Holm's step-down p-values (valid under any dependence), by question."""
    return dict(zip(p_values, significance.holm(list(p_values.values())), strict=True))
