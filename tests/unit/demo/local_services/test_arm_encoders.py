"""Encoders of experiments' arms on one machine."""

from __future__ import annotations

import json

import pytest

from demo.local_services.arm_encoders import ArmEncoder, arm_encoders
from demo.local_services.errors import NoSuchEncoder
from experiments.errors import InvalidDefinition

DEFINITION = """
name = "encoder"
hypothesis = "One finds better neighbours than the other."
start = 2026-11-02
planned_weeks = 2
minimum_detectable_effect = 0.1
arms = [
    {{ name = "control", prefix = "older", encoder = "{encoder}" }},
    {{ name = "treatment" }},
]
"""


@pytest.fixture
def artifacts(tmp_path):
    """A folder with one artifact, `tiny-12345678`."""
    folder = tmp_path / "artifacts" / "tiny"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(json.dumps({"encoder_id": "tiny-12345678"}))
    return folder.parent


@pytest.fixture
def experiments(tmp_path):
    """An empty folder of experiments."""
    folder = tmp_path / "experiments"
    folder.mkdir()
    return folder


def test_each_prefix_has_its_encoder(experiments, artifacts):
    """An arm without a prefix is answered by the deployment's own."""
    (experiments / "encoder.toml").write_text(DEFINITION.format(encoder="tiny-12345678"))
    (arm,) = arm_encoders(experiments, artifacts)
    assert arm == ArmEncoder("older", artifacts / "tiny")
    assert arm.worker == "worker-older"
    assert arm.environment({"LANG": "C", "NITAMONO_INDEX_PREFIX": "listings"}) == {
        "LANG": "C",
        "NITAMONO_INDEX_PREFIX": "older",
        "NITAMONO_ENCODER_DIR": str(artifacts / "tiny"),
    }


def test_two_experiments_may_read_one_prefix(experiments, artifacts):
    """It is enough that one of them names its encoder."""
    first = DEFINITION.format(encoder="tiny-12345678").replace('"encoder"', '"another"', 1)
    (experiments / "another.toml").write_text(first + "buckets = [0.0, 0.5]\n")
    second = DEFINITION.format(encoder="").replace(', encoder = ""', "")
    (experiments / "encoder.toml").write_text(second + "buckets = [0.5, 1.0]\n")
    assert arm_encoders(experiments, artifacts) == (ArmEncoder("older", artifacts / "tiny"),)


def test_an_experiment_that_is_off_needs_none(experiments, artifacts):
    """Nor does a folder without experiments, nor one that is not there."""
    (experiments / "encoder.toml").write_text(DEFINITION.format(encoder="gone-1") + "enabled = false\n")
    assert arm_encoders(experiments, artifacts) == ()
    assert arm_encoders(experiments / "none", artifacts) == ()


def test_a_missing_encoder_is_named(experiments, artifacts):
    """With those that are, and what to do."""
    (experiments / "encoder.toml").write_text(DEFINITION.format(encoder="gone-1"))
    with pytest.raises(NoSuchEncoder, match=r"prefix older with the encoder gone-1; .* has tiny-12345678"):
        arm_encoders(experiments, artifacts)


def test_a_broken_file_is_named(experiments, artifacts):
    """Before anything starts."""
    (experiments / "encoder.toml").write_text("name = 1")
    with pytest.raises(InvalidDefinition, match=r"encoder\.toml"):
        arm_encoders(experiments, artifacts)
