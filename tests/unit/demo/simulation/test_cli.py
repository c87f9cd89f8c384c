"""`nitamono demo simulate` as a person calls it."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from demo.cli import group
from demo.simulation.cli import as_live_lines, mark_as_simulated
from demo.simulation.setup import Plan
from demo.simulation.through_api.live import LiveSummary
from tests.factories import make_event

SMALL = ("--users", "40", "--days", "1", "--pre-days", "1", "--count", "200")


def run(*arguments: str | Path) -> Result:
    """The command's result."""
    return CliRunner().invoke(group, ["simulate", *map(str, arguments)])


def test_a_log_is_written_with_a_summary(tmp_path):
    """Events of each kind, the true effect, and where the parameters are."""
    done = run("--out", tmp_path / "log", *SMALL, "--duplicate-rate", "0.5", "--truncate-files")
    assert done.exit_code == 0, done.output
    stated = json.loads((tmp_path / "log" / "SIMULATED.json").read_text())
    assert f"simulated {stated['events']['impressions']:,} impressions" in done.output
    assert "control: expected CTR" in done.output
    faults = stated["injected_faults"]
    said = f"Injected faults: duplicate {faults['duplicate']:,}, truncated_file {faults['truncated_file']}"
    assert said in done.output


def test_listings_and_experiment_are_read_from_files(tmp_path):
    """A file of listings as `nitamono index` takes it, and the definition of a real experiment."""
    listings = tmp_path / "listings.jsonl"
    events = [
        make_event(item_id=f"m{n}", price=1000 + n, attributes={"colour": f"c{n % 5}"}) for n in range(60)
    ]
    events.append(make_event(item_id="sold", status="sold_out"))
    events += [make_event(item_id="invalid", price=-1), events[0]]
    listings.write_text("\n".join(map(json.dumps, events)))
    (tmp_path / "blue.toml").write_text(
        'name = "blue"\nhypothesis = "Blue things are tapped."\nstart = 2026-04-01\nplanned_weeks = 1\n'
        'minimum_detectable_effect = 0.1\narms = [{name = "a"}, {name = "b"}, {name = "c"}]\n'
    )
    done = run(
        "--out", tmp_path / "log", *SMALL, "--listings", listings, "--experiment", tmp_path / "blue.toml",
        "--encoder", "c=3",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    stated = json.loads((tmp_path / "log" / "SIMULATED.json").read_text())
    assert stated["listings"] == 60
    assert stated["start"].startswith("2026-03-31")
    assert stated["encoders"]["c"] == "simulated-noise-3"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--truth", "tap_lift=9"), "tap_rate times tap_lift exceeds 1"),
        (("--truth", "tap_lift"), "expected NAME=VALUE"),
        (("--encoder", "blue=1"), "no arm 'blue'"),
        (("--encoder", "control=nan"), "control=nan: expected a noise of at least 0"),
        (("--encoder", "control=nowhere"), "manifest.json: not found"),
        (("--seed", "-1"), "'-1' is not a whole number"),
    ],
)
def test_impossible_simulations_are_refused_with_one_message(tmp_path, arguments, said):
    """Nothing is written."""
    done = run("--out", tmp_path / "log", *SMALL, *arguments)
    assert done.exit_code != 0
    assert said in done.output
    assert "Traceback" not in done.output
    assert not (tmp_path / "log").exists()


def test_options_of_a_log_are_refused_with_an_api(tmp_path):
    """They are not ignored."""
    done = run("--api", "http://127.0.0.1:9", "--encoder", "control=1")
    assert done.exit_code == 2
    assert "cannot be used with --api" in " ".join(done.output.split())


def test_a_log_is_marked_once_it_has_simulated_events(tmp_path):
    """A file that is there already stays: it describes the first simulation."""
    mark_as_simulated(Plan(), tmp_path, None)
    mark_as_simulated(Plan(users=5), tmp_path, tmp_path / "log")
    mark_as_simulated(Plan(users=6), tmp_path, tmp_path / "log")
    stated = json.loads((tmp_path / "log" / "SIMULATED.json").read_text())
    assert stated["users"] == 5
    assert stated["sentence"].startswith("simulated: ")


def test_a_folder_or_an_api_is_required():
    """Neither a folder nor an API."""
    done = run(*SMALL)
    assert done.exit_code == 2
    assert "name a folder with --out, or an API with --api" in done.output


def test_a_file_without_listings_is_refused_with_one_message():
    """For an API as for a log."""
    done = run("--api", "http://127.0.0.1:9", "--listings", __file__)
    assert done.exit_code == 1
    assert "expected a file that ends in .jsonl" in done.output


def test_an_artifact_for_listings_that_are_not_drawn_is_refused_with_one_message(tmp_path):
    """Their photos may be anywhere."""
    listings = tmp_path / "listings.jsonl"
    listings.write_text("\n".join(json.dumps(make_event(item_id=f"m{n}")) for n in range(30)))
    options = ("--listings", listings, "--encoder", f"treatment={tmp_path}")
    done = run("--out", tmp_path / "log", *SMALL, *options)
    assert done.exit_code == 1
    assert f"those of {listings} are not drawn here" in done.output


def test_an_unreachable_api_is_reported_with_one_message(tmp_path):
    """With the command that starts it; no SIMULATED.json is written."""
    listings = tmp_path / "listings.jsonl"
    listings.write_text("\n".join(json.dumps(make_event(item_id=f"m{n}")) for n in range(9)))
    done = run("--api", "http://127.0.0.1:9", "--out", tmp_path / "log", "--listings", listings)
    assert done.exit_code == 1
    assert "http://127.0.0.1:9 does not answer" in done.output
    assert "make up" in done.output
    assert not (tmp_path / "log").exists()


def test_the_summary_of_live_buyers_adds_up():
    """Slates by arm, events by kind, what was rejected and why."""
    summary = LiveSummary(
        visits=12,
        slates=Counter({"test:a": 6, "": 4}),
        sent=Counter(impression=10, tap=3),
        received=Counter({"accepted": 12, "time_too_old": 1}),
        unanswered=Counter({404: 2}),
        sold=1,
        seconds=2.0,
    )
    assert as_live_lines("http://api", summary) == [
        "http://api: 12 simulated visits in 2.0 s: 10 impressions, 3 taps",
        "  Accepted: 12. Rejected: 1 (time_too_old 1).",
        "  Sold: 1 listings, sent to the indexer",
        "  no experiment: 4 slates",
        "  test:a: 6 slates",
        "  HTTP 404 instead of similar items: 2 visits",
    ]
