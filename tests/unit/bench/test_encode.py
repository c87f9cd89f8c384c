"""The benchmark of encoding, on a few small photos."""

import json
import sys
from dataclasses import replace

import pytest

from bench.encode import main, measure, ours, stock
from ml.artifact import EncoderArtifact
from ml.data.synthetic_photos import synthetic_jpegs


def test_both_ways_give_the_same_kind_of_answer(artifact: EncoderArtifact) -> None:
    """Each pipeline decodes and encodes every photo: both steps take time."""
    photos = synthetic_jpegs(3, 60, 40)
    for pipeline in (ours(artifact, "onnxruntime", 1), stock(artifact)):
        decoding, encoding = measure(pipeline, photos)
        assert decoding > 0
        assert encoding > 0


def test_names_what_an_imported_encoder_lacks(artifact: EncoderArtifact) -> None:
    """Without a checkpoint there is nothing to run in torch; the other command is named."""
    imported = replace(artifact, manifest=artifact.manifest.model_copy(update={"files": {}}))
    with pytest.raises(SystemExit, match="nitamono ml bench --stock"):
        stock(imported)


def test_reports_rates_and_ratios_as_json(
    artifact: EncoderArtifact, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A row per pipeline and size; the stock pipeline is the measure of the others."""
    options = ["--photos", "4", "--sizes", "64x48", "--repeats", "1", "--json"]
    monkeypatch.setattr(sys, "argv", ["encode", "--artifact", str(artifact.folder), *options])
    main()
    rates = json.loads(capsys.readouterr().out)["64x48"]
    assert [rate["pipeline"].split(":")[0] for rate in rates] == [
        "nitamono, openvino",
        "nitamono, onnxruntime",
        "stock",
    ]
    assert rates[-1]["ratio"] == 1
    assert rates[0]["ratio"] == pytest.approx(rates[0]["photos_per_s"] / rates[-1]["photos_per_s"])
