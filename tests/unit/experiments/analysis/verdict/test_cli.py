"""`nitamono experiment report` on a small log: sentences, files, and what to mend."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from experiments.analysis.verdict.evidence import planned_end
from experiments.assignment.assign import assign
from experiments.cli import group
from tests.unit.experiments.analysis.log.logs import make_event, make_slate, make_tap, write_log
from tests.unit.experiments.analysis.verdict.evidence import START, make_experiment

DEFINITION = """
name = "better-encoder"
hypothesis = "What looks more alike is tapped more often."
arms = [{name = "old"}, {name = "new"}]
start = 2026-11-02
planned_weeks = 2
minimum_detectable_effect = 0.1
"""


@pytest.fixture(scope="module")
def definitions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("experiments")
    (folder / "better-encoder.toml").write_text(DEFINITION)
    return folder


def log_of(folder: Path, *, users: int = 60, wrong: int = 0) -> Path:
    """Users with two slates a day for 14 days; the new arm's tap twice as often.

    wrong: how many of them were shown the other arm than theirs.
    """
    rng, experiment = np.random.default_rng(1), make_experiment()
    start = datetime(START.year, START.month, START.day, 12, tzinfo=UTC)
    slates, taps, purchases = [], [], []
    for number, user in enumerate(f"{number:032x}" for number in range(users)):
        assigned = assign(experiment, user, START)
        assert assigned is not None
        arm = {"old": "new", "new": "old"}[assigned.name] if number < wrong else assigned.name
        for moment in (start + timedelta(days=day, hours=hour) for day in range(14) for hour in range(2)):
            slate = make_slate(user, None, arms=[f"better-encoder:{arm}"], time=moment, took_ms=20.0)
            slates.append(slate)
            if rng.random() < {"old": 0.1, "new": 0.2}[arm]:
                taps.append(make_tap(slate))
                purchases += [make_event(user, slate, price=1200.0)] if rng.random() < 0.3 else []
    return write_log(folder, slates, taps=taps, purchases=purchases)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return log_of(tmp_path_factory.mktemp("log"), users=400)


def report(definitions: Path, log: Path, *more: str, name: str = "better-encoder") -> Result:
    environment = {"NITAMONO_EXPERIMENTS_DIR": str(definitions)}
    return CliRunner().invoke(group, ["report", name, "--log", str(log), *more], env=environment)


def test_a_clear_win_is_shipped(definitions: Path, log: Path, tmp_path: Path) -> None:
    """The sentence in the terminal, page and JSON in the folder."""
    done = report(definitions, log, "--until", "2026-11-30", "--out", str(tmp_path / "it"))
    assert done.exit_code == 0, done.output
    assert done.output.startswith("Ship new: it raises taps per slate (+")
    found = json.loads((tmp_path / "it" / "report.json").read_text())
    assert found["period"]["days"] == found["period"]["planned_days"] == 14
    assert found["period"]["until"] == planned_end(make_experiment()).isoformat()
    assert found["recommendation"]["sentence"] in (tmp_path / "it" / "report.html").read_text()
    assert found["sample_ratio"]["misassigned"] == 0


def test_until_a_day(definitions: Path, log: Path) -> None:
    """Three days in, a rise is no reason to ship."""
    done = report(definitions, log, "--until", "2026-11-04", "--json")
    found = json.loads(done.stdout)
    assert found["period"]["days"] == 3
    assert found["recommendation"]["decision"] == "not enough yet"
    assert "future" in {each["reason"] for each in found["exclusions"]}


def test_misassigned_users(definitions: Path, tmp_path: Path) -> None:
    """Twenty of 60 were shown the other arm: something else than assignment chose."""
    done = report(definitions, log_of(tmp_path, wrong=20), "--until", "2026-11-15")
    assert "Do not read this experiment: 20 users were not shown their assigned arm" in done.output


def test_a_simulated_log_says_so(definitions: Path, tmp_path: Path) -> None:
    """Before anything else, and a marker without words is refused."""
    marker = log_of(tmp_path) / "SIMULATED.json"
    marker.write_text('{"sentence": "simulated: nobody was asked"}')
    assert report(definitions, tmp_path, "--until", "2026-11-15").output.startswith("Simulated: nobody")
    marker.write_text("{}")
    done = report(definitions, tmp_path, "--until", "2026-11-15")
    assert done.exit_code == 1
    assert "expected JSON with a text `sentence`" in done.output


def test_a_log_of_simulated_events_says_so(definitions: Path, tmp_path: Path) -> None:
    """Exported from the events of a simulator, without a marker."""
    user, moment = f"{0:032x}", datetime(START.year, START.month, START.day, 12, tzinfo=UTC)
    slate = make_slate(user, None, arms=["better-encoder:old"], time=moment, simulated=True)
    write_log(tmp_path, [slate])
    assert report(definitions, tmp_path, "--until", "2026-11-15").output.startswith("Simulated users: ")


def test_faulty_files_are_named_relative_to_the_log(definitions: Path, tmp_path: Path) -> None:
    """Without the path to the log, which tells of the machine."""
    log_of(tmp_path)
    (tmp_path / "taps" / "broken.parquet").write_text("no parquet")
    done = report(definitions, tmp_path, "--until", "2026-11-15", "--json")
    (faulty,) = json.loads(done.stdout)["faulty_files"]
    assert faulty["path"] == "taps/broken.parquet"
    assert str(tmp_path) not in done.stdout


@pytest.mark.parametrize(
    ("more", "name", "why"),
    [
        ((), "other", "no experiment 'other'; known: better-encoder"),
        (
            ("--until", "2026-11-01"),
            "better-encoder",
            "no valid slate carries an arm of 'better-",
        ),
    ],
)
def test_errors_name_the_remedy(
    definitions: Path, log: Path, more: tuple[str, ...], name: str, why: str
) -> None:
    """One sentence and an exit code, no traceback."""
    done = report(definitions, log, *more, name=name)
    assert done.exit_code == 1
    assert why in done.output


def test_an_empty_folder_is_no_log(definitions: Path, tmp_path: Path) -> None:
    """It says what was expected there."""
    done = report(definitions, tmp_path)
    assert done.exit_code == 1
    assert "no impressions can be read" in done.output


def test_a_folder_that_cannot_be_made(definitions: Path, log: Path, tmp_path: Path) -> None:
    """A file is in the way."""
    (tmp_path / "file").touch()
    done = report(definitions, log, "--until", "2026-11-15", "--out", str(tmp_path / "file" / "below"))
    assert done.exit_code == 1
    assert "the report cannot be written" in done.output
