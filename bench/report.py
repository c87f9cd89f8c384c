"""Time and memory of a report on millions of events: `python -m bench.report --help`.

A log is written to a temporary folder (removed afterwards): four of five events are slates of twelve items;
one slate in eight is tapped, nine of ten taps lead to an item page and one of ten to a purchase; six weeks,
two of them before the start; two arms; repeated events, unknown arms, testers, users in two arms. The data
are not realistic and serve for timing only. A separate process then reads the log while its memory is
sampled; finally `nitamono experiment report` runs as a whole. On a busy machine, only CPU seconds are
meaningful.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from events.log_tables import INSTANT, SHOWN_ITEM, to_log_table, write_part
from experiments.analysis.log.read import open_log
from experiments.analysis.sellers import seller_side
from experiments.analysis.verdict.breakdowns import BREAKDOWNS
from experiments.assignment.assign import arm_array
from experiments.assignment.definition import Experiment

START = datetime(2026, 10, 12, tzinfo=UTC)
PRE_DAYS, DAYS = 14, 42
SHOWN = 12
CATEGORIES = [f"root-{n}" for n in range(12)]
DEFINITION = f"""
name = "bench"
hypothesis = "Reading ten million events takes less than two minutes."
arms = [{{name = "control"}}, {{name = "treatment"}}]
start = {START.date()}
planned_weeks = 4
minimum_detectable_effect = 0.05
pre_period_days = {PRE_DAYS}
"""
EXPERIMENT = Experiment.model_validate(tomllib.loads(DEFINITION))


class Marketplace:
    """Users, items and sellers, generated once."""

    def __init__(self, random: np.random.Generator, events: int) -> None:
        self.random = random
        self.users = hex_ids(random, max(events // 20, 10))
        self.arms = arm_array(EXPERIMENT, self.users.to_pylist())
        activity = random.lognormal(0, 1, len(self.users))
        activity[::1000] = np.quantile(
            activity, 0.99
        )  # users who see both arms are active, so that both are logged
        self.activity = np.cumsum(activity)
        items = max(events // 20, 100)
        self.items = strings("m", np.arange(items))
        self.sellers = strings("s", random.zipf(1.5, items) % max(items // 10, 10))
        self.prices = np.round(random.lognormal(7, 1, items))
        self.listed = (-86_400e6 * random.exponential(30, items) + DAYS * 86_400e6 * 0.7).astype(np.int64)
        self.popularity = np.cumsum(random.lognormal(0, 1.5, items))

    def write(self, log: Path, slates: int) -> None:
        """Write slates and the events that follow from them, one part per day."""
        for day in range(DAYS):
            self.write_day(log, day, slates // DAYS)

    def write_day(self, log: Path, day: int, slates: int) -> None:
        """Write the events of one day."""
        random = self.random
        users = drawn(random, self.activity, slates)
        times = np.sort(random.integers(0, 86_400_000_000, slates)) + day * 86_400_000_000
        shown = drawn(random, self.popularity, slates * SHOWN)
        ids = hex_ids(random, slates)
        write(log, "impressions", day, self.impressions(users, times, shown, ids, day >= PRE_DAYS))
        tapped = np.flatnonzero(random.random(slates) < 1 / 8)
        position = random.integers(0, SHOWN, len(tapped))
        taps = {
            "event_id": hex_ids(random, len(tapped)),
            "time": instants(times[tapped] + 5_000_000),
            "user_id": self.users.take(users[tapped]),
            "slate_id": ids.take(tapped),
            "item_id": self.items.take(shown[tapped * SHOWN + position]),
            "query_item_id": self.items.take(shown[tapped * SHOWN]),
            "position": pa.array((position + 1).astype(np.int16)),
        }
        write(log, "taps", day, taps)
        for name, share in (("item_views", 0.9), ("purchases", 0.1), ("complaints", 0.001)):
            some = np.flatnonzero(random.random(len(tapped)) < share)
            price = pa.array(self.prices[shown[tapped * SHOWN + position][some]])
            seller = self.sellers.take(shown[tapped * SHOWN + position][some])
            further = {"price": price, "seller_id": seller, "reason": pa.nulls(len(some), pa.string())}
            columns = {each: taps[each].take(some) for each in ("user_id", "slate_id", "item_id")} | further
            columns |= {
                "event_id": hex_ids(random, len(some)),
                "time": instants(times[tapped][some] + 60_000_000),
            }
            write(log, name, day, columns)

    def impressions(
        self,
        users: NDArray[np.int64],
        times: NDArray[np.int64],
        shown: NDArray[np.int64],
        ids: pa.Array,
        arms: bool,
    ) -> dict[str, pa.Array]:
        """One in a thousand users sees both arms; one slate in ten thousand has an unknown arm."""
        slates = len(users)
        chosen = np.where((users % 1000 == 0) & (np.arange(slates) % 2 == 0), 0, self.arms[users])
        chosen[::10_000] = 2
        names = pa.array([f"bench:{arm}" for arm in ("control", "treatment", "lost")])
        offsets = np.arange(slates + 1, dtype=np.int32)
        queries = drawn(self.random, self.popularity, slates)
        roots = pa.array(CATEGORIES).take(pa.array(queries % len(CATEGORIES)))
        items = pa.StructArray.from_arrays(
            [
                self.items.take(shown),
                pa.array(np.tile(np.arange(1, SHOWN + 1, dtype=np.int16), slates)),
                self.sellers.take(shown),
                pa.array(self.prices[shown]),
                instants(self.listed[shown]),
            ],
            fields=list(SHOWN_ITEM),
        )
        return {
            "event_id": hex_ids(self.random, slates),
            "time": instants(times),
            "user_id": self.users.take(users),
            "slate_id": ids,
            "query_item_id": self.items.take(queries),
            "query_category": pa.ListArray.from_arrays(offsets, roots),
            "query_price": pa.array(self.prices[queries]),
            "arms": pa.ListArray.from_arrays(
                offsets if arms else 0 * offsets, names.take(chosen)[: slates * arms]
            ),
            "encoder_id": pa.repeat("encoder", slates),
            "took_ms": pa.array(self.random.lognormal(2, 0.5, slates)),
            "randomised": pa.repeat(False, slates),
            "override": pa.array(users % 10_000 == 1),
            "simulated": pa.repeat(True, slates),
            "items": pa.ListArray.from_arrays(offsets * SHOWN, items),
        }


def write(log: Path, name: str, day: int, columns: dict[str, pa.Array]) -> None:
    """Write one part; one event in a thousand is duplicated."""
    table = to_log_table(name, pa.table(columns))
    again = table.take(pa.array(np.arange(0, len(table), 1000)))
    write_part(
        pa.concat_tables([table, again]), log, name, f"date={START.date() + timedelta(day - PRE_DAYS)}/part-0"
    )


def drawn(random: np.random.Generator, weights: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """(count,) int64 indices, drawn in proportion to the steps of the cumulative weights."""
    indices: NDArray[np.int64] = np.searchsorted(weights, random.random(count) * weights[-1])
    return indices


def hex_ids(random: np.random.Generator, count: int) -> pa.Array:
    """(count,) strings of 32 hexadecimal digits."""
    digits = pa.py_buffer(random.bytes(16 * count).hex().encode())
    offsets = pa.py_buffer(np.arange(0, 32 * count + 1, 32, dtype=np.int32))
    return pa.StringArray.from_buffers(count, offsets, digits)


def strings(prefix: str, numbers: NDArray[np.int64]) -> pa.Array:
    """(n,) the prefix before each number (n,)."""
    return pc.binary_join_element_wise(prefix, pa.array(numbers).cast(pa.string()), "")


def instants(microseconds: NDArray[np.int64]) -> pa.Array:
    """Timestamps from (n,) int64 microseconds since the first day of the log."""
    first = int((START - timedelta(days=PRE_DAYS)).timestamp() * 1e6)
    return pa.array(microseconds + first, pa.int64()).cast(INSTANT)


def read(log: Path, memory: str, threads: int | None) -> dict[str, tuple[float, float]]:
    """Wall time and CPU time of each step, in seconds."""
    seconds: dict[str, tuple[float, float]] = {}

    @contextmanager
    def timed(step: str) -> Iterator[None]:
        begun, used = time.perf_counter(), time.process_time()
        yield
        seconds[step] = round(time.perf_counter() - begun, 2), round(time.process_time() - used, 2)

    with timed("open"):
        events = open_log(log, memory=memory, threads=threads)
    with events:
        with timed("clean"):
            clean = events.clean(EXPERIMENT, now=START + timedelta(days=DAYS))
        with timed("users"):
            clean.users_per_arm()
            clean.assigned()
        with timed("moments"):
            clean.moments()
            clean.latencies()
        with timed("up to each day"):
            clean.moments_up_to_each_day()
        for each in BREAKDOWNS:
            with timed(f"by {each}"):
                clean.moments_by(each)
        with timed("sellers"):
            seller_side(clean)
    return seconds


@dataclass(frozen=True)
class Watched:
    """Measurements of a command that succeeded."""

    printed: str
    seconds: float
    processor_seconds: float
    peak_mib: float
    """Peak resident memory of the process and its children."""


def watched(command: list[str], **environ: str) -> Watched:
    """Run a command and measure it."""
    peak, begun, used = 0, time.perf_counter(), children_seconds()
    with subprocess.Popen(  # noqa: S603  # ourselves
        command, stdout=subprocess.PIPE, text=True, env=os.environ | environ
    ) as process:
        main = psutil.Process(process.pid)
        while process.poll() is None:
            try:
                family = [main, *main.children(recursive=True)]
                peak = max(peak, sum(each.memory_info().rss for each in family))
            except psutil.NoSuchProcess:
                pass
            time.sleep(0.05)
        printed = process.stdout.read() if process.stdout else ""
    if process.returncode:
        raise SystemExit(process.returncode)
    seconds = time.perf_counter() - begun
    return Watched(printed, round(seconds, 2), round(children_seconds() - used, 2), round(peak / 2**20, 1))


def children_seconds() -> float:
    """CPU seconds of child processes that have ended."""
    times = os.times()
    return times.children_user + times.children_system


def whole_report(log: Path) -> Watched:
    """Run `nitamono experiment report`, with its page."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "bench.toml").write_text(DEFINITION, encoding="utf-8")
        command = [sys.executable, "-c", "import cli; cli.main()", "experiment", "report", EXPERIMENT.name]
        command += ["--log", str(log), "--out", str(folder / "out"), "--until", "2026-11-08", "--json"]
        return watched(command, NITAMONO_EXPERIMENTS_DIR=name)


def main() -> None:
    """Print the measurements as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=10_000_000, help="default: %(default)s")
    parser.add_argument("--memory", default="3GB", help="of DuckDB (default: %(default)s)")
    parser.add_argument("--threads", type=int, help="of DuckDB (default: one a core)")
    parser.add_argument("--log", type=Path, help="read this log of an earlier run with --keep instead")
    parser.add_argument("--keep", type=Path, help="write the log to this folder and keep it")
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)  # mode of the separate process
    arguments = parser.parse_args()
    if arguments.read:
        print(json.dumps(read(arguments.read, arguments.memory, arguments.threads)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        log = arguments.log or arguments.keep or Path(temporary)
        begun = time.perf_counter()
        if not arguments.log:
            Marketplace(np.random.default_rng(0), arguments.events).write(log, arguments.events * 4 // 5)
        written = time.perf_counter() - begun
        command = [sys.executable, "-m", "bench.report", "--read", str(log), "--memory", arguments.memory]
        command += ["--threads", str(arguments.threads)] if arguments.threads else []
        steps = watched(command)
        report = whole_report(log)
        megabytes = sum(path.stat().st_size for path in log.rglob("*.parquet")) / 1e6
    table: dict[str, list[float]] = json.loads(steps.printed)
    table["all of these"] = [round(sum(each), 2) for each in zip(*table.values(), strict=True)]
    table["experiment report"] = [report.seconds, report.processor_seconds]
    print(f"{'':<24}{'seconds':>10}{'CPU':>15}", file=sys.stderr)
    for step, (seconds, used) in table.items():
        print(f"{step:<24}{seconds:>10.2f}{used:>15.2f}", file=sys.stderr)
    peaks = {"steps": steps.peak_mib, "experiment report": report.peak_mib}
    print(f"peak memory, MiB: {peaks}", file=sys.stderr)
    result = {
        "events": arguments.events,
        "log_megabytes": round(megabytes),
        "write_seconds": round(written, 1),
        "seconds": table,
        "peak_mib": peaks,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
