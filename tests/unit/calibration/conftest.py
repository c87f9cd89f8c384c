"""Logs of the planted shop."""

from __future__ import annotations

from pathlib import Path

import pytest

from calibration.taps import TapLog, read_taps
from tests.unit.calibration.tapped_shop import Buyers, tapped_log


@pytest.fixture(scope="session")
def log_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Slates in random order."""
    return tapped_log(tmp_path_factory.mktemp("tapped"), Buyers())


@pytest.fixture(scope="session")
def tap_log(log_folder: Path) -> TapLog:
    return read_taps(log_folder)
