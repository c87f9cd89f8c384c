"""The model card of an artifact: its sections, and equal to the rows."""

import re
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from console.percentage import percent
from ml.artifact import CARD, EncoderArtifact, load_artifact
from ml.cli import group
from ml.data.corpus import Corpus
from ml.evaluation.comparison import Comparison
from ml.evaluation.evaluated_encoders import load_encoders
from ml.evaluation.model_card import cell, measure_card, write_card
from ml.evaluation.unseen_kinds import UnseenKind, UnseenKinds


def test_the_card_does_not_change_the_artifact(
    artifact: EncoderArtifact, corpus: Corpus, tmp_path: Path
) -> None:
    """The artifact still loads, under the same encoder_id."""
    folder = Path(shutil.copytree(artifact.folder, tmp_path / "copy"))
    path = measure_card(load_encoders([folder], None), corpus)
    assert path == folder / CARD
    assert load_artifact(folder).encoder_id == artifact.encoder_id
    text = path.read_text(encoding="utf-8")
    headings = re.findall("^## (.*)$", text, re.MULTILINE)
    assert headings == [
        "Data",
        "Metrics",
        "Known weak slices",
        "Speed",
        "Size",
        "Configuration",
        "Licence and limits",
    ]
    assert "Trained on the train split of the data below" in text
    test = len(corpus.rows("test"))
    assert re.search(rf"\| \d+ \| \d+ \| {test} \|", text)
    assert f"| {artifact.encoder_id}, full width |" in text
    assert f"| image.onnx | {(folder / 'image.onnx').stat().st_size:,} |" in text
    assert f"| tower.image_size | {artifact.image_size} |" in text
    assert re.search(rf"\| shop\d* \| {test} \| [01]\.\d{{3}} \| [01]\.\d{{3}} \|", text)
    assert re.search(r"\| photos per second, from pixels to vectors \| [\d,]+ \|", text)


def test_the_card_names_weak_slices_lowest_first(
    artifact: EncoderArtifact, comparison: Comparison, tmp_path: Path
) -> None:
    """With counts; the card says that the data is not that of training."""
    folder = Path(shutil.copytree(artifact.folder, tmp_path / "copy"))
    text = write_card(load_artifact(folder), [comparison], fingerprint="other").read_text(encoding="utf-8")
    weak = text.split("## Known weak slices")[1].split("## Size")[0]
    served = next(row for row in comparison.rows if row.encoder == artifact.encoder_id)
    shown = [float(mean) for mean in re.findall(r"\| \d+ \| ([\d.]+) \|", weak)]
    assert shown == sorted(shown)
    assert len(shown) == min(8, len(served.slices))
    assert "measured on data with the fingerprint\n`other`" in text
    assert "## Speed" not in text
    gain = percent(served.gain or 0)
    assert gain in text


def test_the_card_has_kinds_that_were_not_trained_on(
    artifact: EncoderArtifact, comparison: Comparison, tmp_path: Path
) -> None:
    """Beside MobileNetV2 and the frozen start, which an imported network does not have."""
    folder = Path(shutil.copytree(artifact.folder, tmp_path / "copy"))
    shoes = UnseenKind("shoes", "Shoes", 1200, 0.45, 0.46, 0.44, 0.5, 0.6)
    unseen = UnseenKinds("shop", 2, "c0ffee", {}, (shoes, UnseenKind("a|b", "a|b", 9, 1, 1, None, 1, 1)))
    text = write_card(load_artifact(folder), [comparison], fingerprint="x", unseen=unseen).read_text()
    table = text.split("### Unseen kinds")[1].split("##")[0]
    assert "| shoes | 1,200 | 0.450 | 0.460 | 0.440 | 0.500 | 0.600 | 0.900 |" in table
    assert "Runs of 2 epochs, on data with the fingerprint `c0ffee`" in table
    assert "| mean of kinds | 1,209 | 0.725 |" in table
    assert r"| a\|b | 9 | 1.000 | 1.000 | – | 1.000 | 1.000 | 1.000 |" in table


def test_an_unwritable_card_is_named(
    artifact: EncoderArtifact, comparison: Comparison, tmp_path: Path
) -> None:
    """The message has the file."""
    folder = Path(shutil.copytree(artifact.folder, tmp_path / "copy"))
    (folder / CARD).mkdir()
    with pytest.raises(match=r"MODEL_CARD.md: cannot be written .Is a directory"):
        write_card(load_artifact(folder), [comparison], fingerprint="other")


def test_cells_are_escaped() -> None:
    """Pipes and line breaks would break the table."""
    assert cell("a|b\nc<d") == r"a\|b c&lt;d"


def test_artifact_card_is_a_command(artifact: EncoderArtifact, shop: Path, tmp_path: Path) -> None:
    """It prints the path of the card."""
    folder = Path(shutil.copytree(artifact.folder, tmp_path / "copy"))
    result = CliRunner().invoke(group, ["artifact", "card", str(folder), "--data", str(shop)])
    assert result.exit_code == 0, result.output
    assert f"{folder / CARD}: written" in result.output
    assert artifact.encoder_id in (folder / CARD).read_text(encoding="utf-8")
