"""Numbers of things in sentences."""

from __future__ import annotations

from collections.abc import Mapping


def count_of(count: int, noun: str) -> str:
    """Return `1 listing` or `1,200 listings`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def by_name(counts: Mapping[str, int]) -> str:
    """Return counts in the order of their names, such as `1 purchase, 2 tap`; `none` if there are none."""
    return ", ".join(f"{count:,} {name}" for name, count in sorted(counts.items())) or "none"
