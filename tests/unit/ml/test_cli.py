"""The commands of `nitamono ml`."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

import ml.commands.finetune
from ml.artifact import GOLDEN, IMAGE_GRAPH, EncoderArtifact, load_artifact
from ml.cli import group
from tests.unit.ml.conftest import draw_photo, make_event, write_listings


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(group, [str(argument) for argument in arguments])


def test_finetune_trains_and_exports(shop: Path, tmp_path: Path) -> None:
    """One command trains on listings, writes an artifact, and prints its id and scores."""
    result = call("finetune", "siglip_lite", "--smoke", "--data", shop, "--out", tmp_path)
    assert result.exit_code == 0, result.output
    assert "siglip-smoke-" in result.output
    manifest = json.loads(call("artifact", "show", tmp_path / "artifact").output)
    assert manifest["encoder_id"] in result.output
    graphs = [path.read_bytes() for path in (tmp_path / "artifact").glob("*.onnx")]
    assert len(graphs) == 2
    assert not any(b"export.py" in graph for graph in graphs), "folders of this machine in a graph"


def test_export_accepts_an_interrupted_run(run: Path, shop: Path, tmp_path: Path) -> None:
    """The weights of the last epoch suffice for an artifact."""
    result = call("export", run, "--data", shop, "--out", tmp_path / "artifact")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "artifact" / "manifest.json").exists()


def test_embed_reads_photos_folders_and_listings(artifact: EncoderArtifact, tmp_path: Path) -> None:
    """Each kind of path is embedded; ids are in their own file; bad photos are listed with their codes."""
    for name in ("m1", "m2"):
        draw_photo(tmp_path / "images" / f"{name}.png", "Red", "Ties", 1)
    (tmp_path / "images" / "broken.jpg").write_bytes(b"<html>404</html>")
    events = [make_event("m1"), make_event("m2", status="reserved"), make_event("m3")]
    listings = write_listings(tmp_path, events)
    listings.write_text(listings.read_text() + "no event\n")
    out = tmp_path / "out" / "vectors.npy"
    photo = tmp_path / "images" / "m1.png"
    result = call("embed", listings, tmp_path / "images", photo, "--out", out, "--artifact", artifact.folder)
    assert result.exit_code == 0, result.output
    vectors = np.load(out)
    ids = (tmp_path / "out" / "vectors.ids.txt").read_text().splitlines()
    assert ids == ["m1", "m2", str(photo), str(tmp_path / "images" / "m2.png"), str(photo)]
    assert vectors.shape == (5, 8)
    assert np.array_equal(vectors[0], vectors[2])
    assert "8 given, 5 embedded by siglip-smoke-" in result.output
    assert "3 left out (not_a_listing 1, photo_not_an_image 1, photo_unreadable 1)" in result.output
    assert f"{listings}:4: not_a_listing" in result.output
    assert "broken.jpg: photo_not_an_image: found" in result.output


def test_embed_fails_when_nothing_can_be_embedded(artifact: EncoderArtifact, tmp_path: Path) -> None:
    """The exit status is not 0 if there is no output."""
    (tmp_path / "empty.jpg").touch()
    out = tmp_path / "vectors.npy"
    result = call("embed", tmp_path / "empty.jpg", "--out", out, "--artifact", artifact.folder)
    assert result.exit_code == 1
    assert "photo_empty" in result.output
    assert "no photo could be embedded" in result.output
    assert not out.exists()


def test_evaluate_prints_a_table(
    artifact: EncoderArtifact, shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every row of the comparison, with intervals and the gain over MobileNetV2."""
    (tmp_path / "config.json").write_text('{"model_type": "mobilenet_v2"}')
    monkeypatch.setattr("ml.models.reference_encoders.mobilenet_features", fake_mobilenet)
    result = call(
        "evaluate",
        "--listings",
        shop,
        "--artifact",
        artifact.folder,
        "--split",
        "all",
        "--mobilenet",
        tmp_path,
    )
    assert result.exit_code == 0, result.output
    assert f"{shop}: 96 photos (all), each searched among the others" in result.output
    lines = {line.split("  ")[0]: line for line in result.output.splitlines()}
    assert {"random", artifact.encoder_id, "MobileNetV2", "MobileNetV2 + colours"} <= set(lines)
    assert lines[artifact.encoder_id].count("%") == 3
    assert "%" not in lines["MobileNetV2"]


def fake_mobilenet(
    _folder: Path, photos: list[bytes], *, threads: int
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Random vectors (n, 1280) float32, unit norm."""
    return np.random.default_rng(threads).standard_normal((len(photos), 4)).astype(np.float32)


def test_evaluate_prints_json(artifact: EncoderArtifact, shop: Path) -> None:
    """The trained encoder beats random vectors on its own training photos."""
    result = call("evaluate", "--data", shop, "--artifact", artifact.folder, "--split", "train", "--json")
    (rows,) = json.loads(result.stdout).values()
    scores = {row["encoder"]: row["means"]["ndcg@5"] for row in rows}
    assert scores[artifact.encoder_id] > scores["random"]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            "siglip_large",
            "no such configuration; expected a Python file or one of: efficientnet_lite0, siglip",
        ),
        ("own.py", "CONFIG is None, expected an ml.training.config.FinetuneConfig"),
        ("broken.py", "broken.py: cannot be loaded (invalid syntax"),
        ("empty.py", "empty.py: cannot be loaded (none: batch is 0, expected 1 or more)"),
    ],
)
def test_unknown_configurations_are_named(
    config: str, message: str, shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For a typo the message lists the configurations; for a file without CONFIG, what it must define."""
    monkeypatch.chdir(tmp_path)
    Path("own.py").write_text("NOTHING = 1\n")
    Path("broken.py").write_text("CONFIG =\n")
    Path("empty.py").write_text(
        "from dataclasses import replace\nfrom ml.configs.siglip_lite import SMOKE\n"
        "CONFIG=replace(SMOKE, name='none', batch=0)\n"
    )
    result = call("finetune", config, "--data", shop, "--out", tmp_path / "run")
    assert result.exit_code == 1
    assert message in result.output


def test_a_damaged_artifact_ends_in_one_sentence(artifact: EncoderArtifact, tmp_path: Path) -> None:
    """With the file and the remedy, without a traceback."""
    folder = Path(shutil.copytree(artifact.folder, tmp_path / "copy"))
    (folder / "image.onnx").unlink()
    result = call("artifact", "show", folder)
    assert result.exit_code == 1
    assert result.output.startswith(
        f"Error: {folder / 'image.onnx'}: cannot be read (No such file or directory)"
    )


def test_the_message_without_torch_has_what_to_install(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Serving environments have no torch; the message has the extra that includes it."""

    def without_torch(*_: object) -> None:
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setattr(ml.commands.finetune, "read", without_torch)
    result = call("finetune", "siglip_lite", "--data", shop, "--out", tmp_path)
    assert result.exit_code == 1
    assert "torch is not installed, and this command needs it: run `make train`" in result.output


def test_a_network_is_exported_as_it_comes(shop: Path, tmp_path: Path) -> None:
    """Nothing is trained: the artifact has no text tower and no checkpoint, and encodes photos."""
    result = call("finetune", "efficientnet_lite0", "--smoke", "--data", shop, "--out", tmp_path)
    assert result.exit_code == 0, result.output
    made = load_artifact(tmp_path / "artifact")
    assert set(made.manifest.files) == {IMAGE_GRAPH, GOLDEN}
    with (tmp_path / "log.csv").open() as file:
        assert [line.split(",")[1] for line in file] == ["step", "0"]
