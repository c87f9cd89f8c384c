"""Duration of PCA of 20 million vectors, extrapolated from a measured part: `python -m bench.pca --help`.

Random clustered vectors are written as float32 shards and summed shard by shard. Each shard is removed before
the next is created, so disk and memory hold one shard. The time to create and write shards is excluded; the
time to read, check, normalise and sum them and to save the sums is included. Eigenvectors are computed once.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.memory import peak_mib
from ml.data.vector_shards import open_shard
from ml.pca.fit import save_shard_sums
from ml.pca.projection import CovarianceSums, load_sums

CLUSTERS = 1000
SHARD_ROWS = 50_000


@dataclass(frozen=True)
class Measured:
    """One pass over shards. Seconds are those of summing unless named otherwise."""

    rows: int
    width: int
    threads: str
    seconds: float
    rows_per_s: float
    gflop_per_s: float
    """Of the scatter products: rows × width², since a symmetric product takes half the operations."""
    solve_seconds: float
    """Of the eigenvectors, computed once."""
    first_shard_peak_mib: float
    peak_mib: float
    """Peak resident memory; the excess over the first shard's is the cost of more rows."""
    planned_rows: int
    planned_hours: float


def measure(rows: int, width: int, planned_rows: int) -> Measured:
    """Sum `rows` vectors shard by shard and extrapolate to `planned_rows`."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((CLUSTERS, width)).astype(np.float32)
    total: CovarianceSums | None = None
    seconds, peaks = 0.0, []
    with tempfile.TemporaryDirectory() as name:
        for start in range(0, rows, SHARD_ROWS):
            path = Path(name) / f"{start}.npy"
            np.save(path, clustered(rng, centres, min(SHARD_ROWS, rows - start)))
            started = time.perf_counter()
            saved = save_shard_sums(open_shard(path), Path(name))
            sums = load_sums(saved)
            total = sums if total is None else total + sums
            seconds += time.perf_counter() - started
            path.unlink()
            saved.unlink()
            peaks.append(peak_mib())
            print(f"{total.count:>12,} rows, {seconds:.1f} s", file=sys.stderr)
    assert total is not None  # noqa: S101  # rows is at least 1
    started = time.perf_counter()
    total.spectrum()
    solve = time.perf_counter() - started
    rate = rows / seconds
    return Measured(
        rows=rows,
        width=width,
        threads=os.environ.get("OMP_NUM_THREADS", "all"),
        seconds=round(seconds, 4),
        rows_per_s=round(rate),
        gflop_per_s=round(rate * width * width / 1e9, 1),
        solve_seconds=round(solve, 2),
        first_shard_peak_mib=peaks[0],
        peak_mib=peak_mib(),
        planned_rows=planned_rows,
        planned_hours=round((planned_rows / rate + solve) / 3600, 2),
    )


def clustered(rng: np.random.Generator, centres: NDArray[np.float32], rows: int) -> NDArray[np.float32]:
    """(rows, width) float32 around the centres (c, width), like photos of similar items."""
    vectors = rng.standard_normal((rows, centres.shape[1]), dtype=np.float32)
    vectors *= 0.5
    vectors += centres[rng.integers(0, len(centres), rows)]
    return vectors


def main() -> None:
    """Measure as the command line says and print one JSON object."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000, help="measured (default: %(default)s)")
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--planned-rows", type=int, default=20_000_000)
    arguments = parser.parse_args()
    if min(arguments.rows, arguments.width, arguments.planned_rows) < 1:
        parser.error("--rows, --width and --planned-rows must be at least 1")
    print(json.dumps(asdict(measure(arguments.rows, arguments.width, arguments.planned_rows)), indent=2))


if __name__ == "__main__":
    main()
