"""An experiment's file says what is wrong with it, all at once."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from experiments.assignment.definition import Metric, find_experiment, read_experiments
from experiments.errors import InvalidDefinition, UnknownExperiment
from tests.factories import make_experiment

FILE = """\
name = "{name}"
hypothesis = "Items by the new encoder are tapped more often."
layer = "{layer}"
buckets = {buckets}
start = 2026-11-02
planned_weeks = 2
minimum_detectable_effect = 0.05
enabled = {enabled}

[[arms]]
name = "control"

[[arms]]
name = "siglip"
{setting}
"""


def write(folder: Path, name: str, **changes: str) -> Path:
    """A folder's file of an experiment, with `changes` over what it says."""
    said = {"name": name, "layer": "similar-items", "buckets": "[0, 1]", "enabled": "true", "setting": ""}
    path = folder / f"{name}.toml"
    path.write_text(FILE.format(**(said | changes)))
    return path


def faults(folder: Path) -> list[str]:
    with pytest.raises(InvalidDefinition) as caught:
        read_experiments(folder)
    return str(caught.value).splitlines()


def test_a_file_becomes_an_experiment(tmp_path: Path) -> None:
    """With defaults for what it does not say."""
    write(tmp_path, "new-encoder", setting='prefix = "siglip-listings"')
    (experiment,) = read_experiments(tmp_path)
    assert experiment.name == "new-encoder"
    assert experiment.start == date(2026, 11, 2)
    assert (experiment.control.name, experiment.arms[1].prefix) == ("control", "siglip-listings")
    assert (experiment.primary, experiment.pre_period_days) == (Metric.CTR, 14)


def test_all_faults_of_all_files_are_reported_at_once(tmp_path: Path) -> None:
    """So that a review needs one round."""
    write(tmp_path, "good")
    write(tmp_path, "misspelt", setting="prefixx = 'a'")
    write(tmp_path, "renamed").rename(tmp_path / "other-name.toml")
    (tmp_path / "torn.toml").write_text("name = ")
    write(tmp_path, "same-users", buckets="[0.5, 1]")
    write(tmp_path, "bad-names", layer="Similar items", setting="ranking_file = 'a/b.json'")
    bad_names, misspelt, renamed, corrupted, overlapping = faults(tmp_path)
    assert (
        "layer: found 'Similar items', expected 1 to 48 lower-case letters, digits and hyphens" in bad_names
    )
    assert "ranking_file: found 'a/b.json', expected a file name without a folder" in bad_names
    assert "misspelt.toml: Unknown field `arms[1].prefixx`. Allowed: name, " in misspelt
    assert "the name is 'renamed', expected that of the file, 'other-name'" in renamed
    assert "torn.toml" in corrupted
    assert (
        "good and same-users share users of the layer similar-items: buckets [0.0, 1.0] and [0.5, 1.0]"
        in overlapping
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"arms": ({"name": "control"}, {"name": "control"})},
        {"buckets": (0.5, 0.5)},
        {"ramp": ({"from_day": "2026-11-02", "share": 0.5}, {"from_day": "2026-11-03", "share": 0.1})},
        {"arms": ({"name": "control"},)},
        {"minimum_detectable_effect": 0},
        {"hypothesis": "why not"},
    ],
)
def test_invalid_definitions_are_refused(changes: dict[str, object]) -> None:
    """Twins among arms, no users, a ramp that goes back, nothing to compare, nothing to find, no reason."""
    with pytest.raises(ValueError, match="validation error"):
        make_experiment(**changes)


def test_no_arm_is_handicapped_by_a_random_order(tmp_path: Path) -> None:
    """Shuffled slates are tapped less, so an arm with more of them would lose; alike is fair."""
    arms = [{"name": "control", "shuffle": 0.02}, {"name": "siglip"}]
    with pytest.raises(ValueError, match=r"arms shuffle 0, 0\.02 of their slates; expected the same share"):
        make_experiment(arms=arms)
    arms[1]["shuffle"] = 0.02
    assert {arm.shuffle for arm in make_experiment(arms=arms).arms} == {0.02}


def test_disjoint_buckets_and_disabled_files_do_not_conflict(tmp_path: Path) -> None:
    """Both halves of a layer, and an old experiment that is over."""
    write(tmp_path, "one", buckets="[0, 0.5]")
    write(tmp_path, "other", buckets="[0.5, 1]")
    write(tmp_path, "old", enabled="false")
    assert [experiment.name for experiment in read_experiments(tmp_path)] == ["old", "one", "other"]


def test_a_setting_belongs_to_one_layer(tmp_path: Path) -> None:
    """Two layers share their users, so two of their experiments may not set the same thing."""
    write(tmp_path, "one", layer="encoders", setting="ranking_weights = { price = 0.5 }")
    write(tmp_path, "other", layer="ranking", setting="ranking_weights = { price = 0.1, category = 2 }")
    (fault,) = faults(tmp_path)
    assert "one and other both set ranking_weights.price" in fault
    write(tmp_path, "other", layer="ranking", setting="ranking_weights = { category = 1.5 }")
    assert len(read_experiments(tmp_path)) == 2


def test_a_ranking_file_sets_all_weights(tmp_path: Path) -> None:
    """So no experiment of another layer may set one; the file must be there."""
    (tmp_path / "ours.json").write_text("{}")
    write(tmp_path, "one", layer="encoders", setting="ranking_weights = { price = 0.5 }")
    write(tmp_path, "other", layer="ranking", setting='ranking_file = "ours.json"')
    (fault,) = faults(tmp_path)
    assert "one and other both set ranking_weights.price" in fault
    (tmp_path / "one.toml").unlink()
    (experiment,) = read_experiments(tmp_path)
    assert experiment.arms[1].ranking_file == "ours.json"
    (tmp_path / "ours.json").unlink()
    (fault,) = faults(tmp_path)
    assert "arm siglip: no file ours.json" in fault


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    """A misspelt setting must not switch all experiments off in silence."""
    assert read_experiments(tmp_path) == ()
    (fault,) = faults(tmp_path / "nowhere")
    assert "nowhere is not a folder" in fault


def test_an_unknown_name_lists_the_known_ones() -> None:
    """So that a typo is easy to correct."""
    experiments = (make_experiment(), make_experiment(name="other"))
    assert find_experiment(experiments, "other").name == "other"
    with pytest.raises(UnknownExperiment, match="no experiment 'othr'; known: new-encoder, other"):
        find_experiment(experiments, "othr")
