"""The benchmark of PCA, on a few rows."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.pca import SHARD_ROWS, measure

ROOT = Path(__file__).parents[3]


def test_rows_are_measured_and_the_plan_extrapolated() -> None:
    """Two shards, the second one short; the planned hours follow from the rate."""
    measured = measure(SHARD_ROWS + 500, 8, 10**12)
    assert measured.rows == SHARD_ROWS + 500
    assert measured.rows_per_s == pytest.approx(measured.rows / measured.seconds, rel=0.01)
    assert measured.planned_hours == pytest.approx(10**12 / measured.rows_per_s / 3600, rel=0.02)
    assert measured.peak_mib >= measured.first_shard_peak_mib > 0


def test_the_command_prints_one_json_object() -> None:
    """Results on stdout, progress on stderr; zero rows are a usage error."""
    command = [sys.executable, "-m", "bench.pca", "--width", "16", "--rows"]
    environ = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run([*command, "1000"], cwd=ROOT, env=environ, capture_output=True, check=True)
    found = json.loads(done.stdout)
    assert (found["rows"], found["width"], found["threads"]) == (1000, 16, "1")
    refused = subprocess.run([*command, "0"], cwd=ROOT, capture_output=True, check=False)
    assert refused.returncode == 2
    assert b"must be at least 1" in refused.stderr
