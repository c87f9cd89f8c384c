"""The length of soak tests."""

from __future__ import annotations

import os


def scaled(count: int) -> int:
    """Return how often a soak test repeats what it does: a fifth as often in CI, whose time is limited."""
    return max(1, count // 5) if os.environ.get("CI") == "true" else count
