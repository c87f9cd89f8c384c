"""The commands on experiments' files that need no Elasticsearch."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from events.user_ids import user_hash
from experiments.assignment.assign import assign, hash_buckets
from experiments.cli import group
from tests.factories import make_experiment

FILE = """\
name = "new-encoder"
hypothesis = "Items by the new encoder are tapped more often."
start = 2026-11-02
planned_weeks = 2
minimum_detectable_effect = 0.05
buckets = [0.0, 0.5]

[[arms]]
name = "control"

[[arms]]
name = "siglip"

[[ramp]]
from_day = 2026-11-02
share = 0.5
"""
SALT = "a salt of the tests"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of one experiment, on half of the layer and half of its users."""
    (tmp_path / "new-encoder.toml").write_text(FILE)
    monkeypatch.setenv("NITAMONO_EXPERIMENTS_DIR", str(tmp_path))
    monkeypatch.setenv("NITAMONO_USER_SALT", SALT)
    return tmp_path


def run(*words: str) -> Result:
    return CliRunner().invoke(group, words)


def test_assign_prints_the_arm_or_why_there_is_none(folder: Path) -> None:
    """By id or by hash, as of a day."""
    experiment = make_experiment(buckets=(0, 0.5), ramp=({"from_day": "2026-11-02", "share": 0.5},))
    users = [f"u{number}" for number in range(60)]
    done = run("assign", "new-encoder", *users, "--day", "2026-11-09")
    assert done.exit_code == 0, done.output
    rows = [line.split("\t") for line in done.output.splitlines()]
    for user, (name, said, layer, ramp, arms) in zip(users, rows, strict=True):
        hashed = user_hash(SALT, user)
        at = hash_buckets(experiment, hashed)
        arm = assign(experiment, hashed, experiment.start)
        why_not = "(not in its buckets)" if at.layer >= 0.5 else "(not yet)"
        assert (name, said) == (user, arm.name if arm else why_not)
        assert (layer, ramp, arms) == (f"layer {at.layer:.6f}", f"ramp {at.ramp:.6f}", f"arms {at.arms:.6f}")
        again = run("assign", "new-encoder", "--hashed", hashed, "--day", "2026-11-09").output
        assert again == "\t".join((hashed, said, layer, ramp, arms)) + "\n"
    assert {said for _, said, *_ in rows} == {"control", "siglip", "(not yet)", "(not in its buckets)"}
    before = run("assign", "new-encoder", users[0], "--day", "2026-11-01").output
    assert "control" not in before
    assert "siglip" not in before


def test_assign_needs_the_salt(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With another one, or none, it would tell other arms."""
    monkeypatch.delenv("NITAMONO_USER_SALT")
    monkeypatch.setenv("NITAMONO_STATE_DIR", str(tmp_path))  # where `make up` would have made one
    done = run("assign", "new-encoder", "u1")
    assert (done.exit_code, "NITAMONO_USER_SALT is not set" in done.output) == (1, True)


def test_check_names_every_fault(folder: Path) -> None:
    """And exits with 1, for the job that reviews a change."""
    assert run("check", "--files-only").output == "Valid: new-encoder\n"
    (folder / "other.toml").write_text(FILE.replace("new-encoder", "other"))
    (folder / "torn.toml").write_text("name =")
    done = run("check", "--files-only")
    assert done.exit_code == 1
    assert "torn.toml" in done.output
    assert "new-encoder and other share users of the layer similar-items" in done.output


@pytest.mark.parametrize("command", ["stop", "resume"])
def test_an_unknown_experiment_cannot_be_switched(folder: Path, command: str) -> None:
    """A mistyped name must not look as if the experiment was stopped."""
    done = run(command, "new-encodr")
    assert done.exit_code == 1
    assert "no experiment 'new-encodr'; known: new-encoder" in done.output


def test_without_a_folder_the_setting_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one sentence; where `make demo` runs an experiment, its folder is taken."""
    monkeypatch.delenv("NITAMONO_EXPERIMENTS_DIR", raising=False)
    monkeypatch.setenv("NITAMONO_STATE_DIR", str(tmp_path))
    done = run("list")
    assert done.exit_code == 1
    assert "NITAMONO_EXPERIMENTS_DIR is not set" in done.output
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "demo.toml").write_text("name = 1")
    assert "demo.toml" in run("check", "--files-only").output


def test_without_elasticsearch_it_says_so(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what starts one."""
    monkeypatch.setenv("ELASTICSEARCH_URL", "http://127.0.0.1:1")
    for words in (["list"], ["check"], ["stop", "new-encoder"]):
        done = run(*words)
        assert done.exit_code == 1
        assert "Elasticsearch does not answer" in done.output
        assert "set ELASTICSEARCH_URL" in done.output
