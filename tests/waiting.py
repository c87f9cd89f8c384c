"""Waiting for what other processes do."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait_until(is_true: Callable[[], object], what: str = "it comes about", seconds: float = 60.0) -> None:
    """Returns once `is_true()`; fails after `seconds`, with what was waited for."""
    end = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < end, f"{what} within {seconds} s"
        time.sleep(0.05)
