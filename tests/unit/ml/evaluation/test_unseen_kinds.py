"""Kinds of photo that an encoder was not trained on."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from ml.artifact import DEFAULT_ARTIFACT, Manifest
from ml.configs import siglip_b16_256_multilingual
from ml.configs.siglip_lite import SMOKE
from ml.data.corpus import Corpus
from ml.evaluation import unseen_kinds
from ml.evaluation.unseen_kinds import NoSuchKind, UnreadableUnseen, UnseenKind, mean_kind, read_unseen
from ml.metrics.relevance import UninformativeLabels
from ml.training.config import FinetuneConfig, InvalidConfig
from ml.training.read_corpus import read_corpus
from tests.unit.ml.evaluation.test_evaluated_encoders import fake_features
from tests.unit.ml.test_cli import call


@pytest.fixture
def whole(shop: Path) -> Corpus:
    """The shop's photos, whole."""
    return read_corpus([shop], 40, crop=1.0)


def test_a_kind_is_not_trained_on(whole: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither its photos nor its class are in the run, and all of its photos are searched."""
    monkeypatch.setattr(unseen_kinds, "mobilenet_features", fake_features)
    config = replace(SMOKE, epochs=1)
    (found,) = unseen_kinds.unseen_kinds(config, whole, {"ties": re.compile("Ties")}, tmp_path, tmp_path)
    ties = sum(pair.labels.type == "Ties" for pair in whole.pairs)
    assert (found.kind, found.pattern, found.photos, found.frozen_start) == ("ties", "Ties", ties, None)
    trained = json.loads((tmp_path / "ties" / "data.json").read_text())["pairs"]
    assert sum(trained[split] for split in ("train", "validation", "test")) == len(whole.pairs) - ties
    assert 0 < found.served <= 1


@pytest.mark.parametrize(("pattern", "count"), [("Boots", "none"), (".", "all")])
def test_a_kind_of_no_photo_or_of_all_is_refused(whole: Corpus, pattern: str, count: str) -> None:
    """The message shows what is searched."""
    with pytest.raises(NoSuchKind, match=rf"boots: {count} of 96 photos match .*SOURCE/TYPE, such as shop"):
        unseen_kinds.of_kind(whole, "boots", re.compile(pattern))


def test_each_kind_counts_the_same() -> None:
    """In the mean, whatever its number of photos."""
    one = UnseenKind("shoes", "Shoes", 900, 0.4, 0.5, None, 0.5, 0.6)
    two = UnseenKind("toys", "Toys", 100, 0.8, 0.7, 0.6, 0.7, 0.8)
    assert mean_kind([one, two]) == UnseenKind(
        "mean of kinds", "", 1000, *(pytest.approx(mean) for mean in (0.6, 0.6, 0.6, 0.6, 0.7))
    )


def test_the_command_writes_what_a_card_reads(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line for each kind and their mean; the same in the file. Runs that are complete are not repeated."""
    monkeypatch.setattr(unseen_kinds, "mobilenet_features", fake_features)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "mobilenet_v2"}')
    Path("own.py").write_text("from ml.configs.siglip_lite import SMOKE as CONFIG\n")
    options = ("--kind", "ties=Ties", "--kind", "belts=Belts", "--epochs", "1", "--mobilenet", tmp_path)
    result = call("unseen", "own.py", "--data", shop, *options, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    corpus = read_corpus([shop], SMOKE.photo_size, crop=1.0)
    trained = manifest_of(SMOKE, corpus.fingerprint)
    found = read_unseen(tmp_path / "out" / "unseen.json", trained)
    assert [kind.kind for kind in found.rows] == ["ties", "belts", "mean of kinds"]
    assert (found.epochs, found.kinds[0].pattern) == (1, "Ties")
    log = (tmp_path / "out" / "ties" / "log.csv").read_text()
    lines = result.stdout.splitlines()
    assert [line.split("  ")[0] for line in lines[-3:]] == ["ties", "belts", "mean of kinds"]
    again = call("unseen", "own.py", "--data", shop, *options, "--out", tmp_path / "out")
    assert again.stdout.splitlines()[-3:] == lines[-3:]
    assert (tmp_path / "out" / "ties" / "log.csv").read_text() == log
    other = call("artifact", "card", "--data", shop, "--unseen", tmp_path / "out" / "unseen.json")
    assert "measured with other settings (name, base_model, " in other.output
    with pytest.raises(UnreadableUnseen, match=r"measured with other settings \(seed\) than smoke-1 has"):
        read_unseen(tmp_path / "out" / "unseen.json", manifest_of(replace(SMOKE, seed=8), "x"))
    with pytest.raises(UnreadableUnseen, match=r"fingerprint .*, and smoke-1 was trained on c0ffee"):
        read_unseen(tmp_path / "out" / "unseen.json", manifest_of(SMOKE, "c0ffee"))


def manifest_of(config: FinetuneConfig, fingerprint: str) -> Manifest:
    """The manifest of an artifact that was trained for more epochs."""
    settings = replace(config, epochs=9).settings
    return Manifest.model_construct(
        name=config.name, encoder_id="smoke-1", training=settings, data_fingerprint=fingerprint
    )


@pytest.mark.parametrize(
    ("kinds", "message"),
    [
        (["shoes"], "'shoes'; expected NAME=PATTERN, such as footwear='Shoes|Heels'"),
        (["=x"], "'=x'; expected NAME=PATTERN"),
        (["a b=x"], "'a b=x'; expected NAME=PATTERN"),
        (["shoes=("], "'shoes=(': missing ), unterminated subpattern"),
        (["shoes=x", "shoes=y"], "shoes: given twice"),
    ],
)
def test_an_unusable_kind_is_refused(shop: Path, tmp_path: Path, kinds: list[str], message: str) -> None:
    """With an example."""
    options = [option for kind in kinds for option in ("--kind", kind)]
    result = call(
        "unseen", "siglip_lite", "--data", shop, *options, "--mobilenet", tmp_path, "--out", tmp_path / "out"
    )
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())


def test_what_cannot_be_measured_is_refused_before_training(
    whole: Corpus, shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A MobileNetV2 that is none, a kind whose photos are all of one class, and a Hugging Face tower."""
    options = ("--kind", "ties=Ties", "--mobilenet", tmp_path, "--out", tmp_path / "out")
    result = call("unseen", "siglip_lite", "--data", shop, *options)
    assert "no MobileNetV2 (config.json with model_type mobilenet_v2)" in result.output
    artifact = call("evaluate", "--data", shop, "--mobilenet", DEFAULT_ARTIFACT)
    assert "siglip-lite: no MobileNetV2" in artifact.output
    monkeypatch.setattr(unseen_kinds, "mobilenet_features", fake_features)
    monkeypatch.setattr(unseen_kinds, "finetune", None)
    pairs = tuple(replace(pair, labels=replace(pair.labels, colour="", gender="")) for pair in whole.pairs)
    plain, kinds = replace(whole, pairs=pairs), {"ties": re.compile("Ties")}
    with pytest.raises(UninformativeLabels):
        next(unseen_kinds.unseen_kinds(SMOKE, plain, kinds, tmp_path, tmp_path))
    with pytest.raises(InvalidConfig, match="trains on the CPU; choose a TowerConfig"):
        next(unseen_kinds.unseen_kinds(siglip_b16_256_multilingual.SMOKE, whole, kinds, tmp_path, tmp_path))


@pytest.mark.parametrize(
    "text",
    [
        '{"kinds": [{"kind": "shoes"}]}',
        '{"config": "siglip-lite", "epochs": 2, "data_fingerprint": "x", "settings": {}, "kinds": []}',
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, text: str) -> None:
    """With the remedy."""
    path = tmp_path / "unseen.json"
    path.write_text(text)
    with pytest.raises(UnreadableUnseen, match=r"unseen\.json: .*write it again with `nitamono ml unseen`"):
        read_unseen(path, manifest_of(SMOKE, "x"))
