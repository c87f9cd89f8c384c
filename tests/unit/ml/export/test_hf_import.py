"""Import from Hugging Face folders: MobileNetV2, small and full-size SigLIPs with random weights."""

import io
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tokenizers import Tokenizer, models, normalizers, processors, trainers
from transformers import (
    AutoImageProcessor,
    MobileNetV2Model,
    PreTrainedTokenizerFast,
    SiglipConfig,
    SiglipImageProcessor,
    SiglipModel,
    SiglipVisionModel,
)

from ml.artifact import CARD, GOLDEN, IMAGE_GRAPH, MANIFEST, load_artifact
from ml.atomic_files import SameFolder
from ml.data.synthetic_photos import synthetic_photo, synthetic_photos
from ml.data.tokenizer import load_tokenizer, tokenize, train_tokenizer
from ml.data.unit_vectors import normalize
from ml.export.export_run import write_graph
from ml.export.hf_import import artifact_name, import_artifact
from ml.inference.encoder import NoTextTower, load_encoder, load_text_encoder
from ml.inference.graph import Backend, open_graph
from ml.inference.preprocess import decode_as
from ml.models.huggingface.families import read_towers
from ml.models.huggingface.folder import HuggingFaceUnreachable
from ml.models.huggingface.processing import UnsupportedModel
from ml.models.serving_graph import ImageGraph
from ml.pca.projection import BadProjection, Projection, TooFewVectors
from tests.soak import scaled
from tests.unit.ml.conftest import COLOURS
from tests.unit.ml.test_cli import call

MOBILENET = Path(os.environ.get("NITAMONO_MODELS_DIR", "../shared/models")) / "mobilenet_v2_1.0_224"
TINY = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
TOKENS = 8


BASE = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}
"""Of the image tower of google/siglip-base-patch16-256-multilingual."""


def write_siglip(
    folder: Path, layers: dict[str, int] = TINY, *, vocabulary: int = 80, side: int = 32
) -> Path:
    """A SigLIP with random weights in Hugging Face's layout, by default tiny. layers: of the image tower."""
    torch.manual_seed(0)
    text = TINY | {"vocab_size": vocabulary, "max_position_embeddings": TOKENS}
    image = layers | {"image_size": side, "patch_size": 16}
    text["projection_size"] = layers["hidden_size"]
    SiglipModel(SiglipConfig(text_config=text, vision_config=image)).save_pretrained(folder)
    SiglipImageProcessor(size={"height": side, "width": side}).save_pretrained(folder)
    tokenizer = train_tokenizer([*COLOURS, "red skirt", "赤いスカート"], vocabulary=60, length=TOKENS)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"pad_token": "[PAD]"}))
    return folder


@pytest.fixture(scope="module")
def siglip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny SigLIP."""
    return write_siglip(tmp_path_factory.mktemp("siglip"))


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    """A tiny SigLIP for a single test."""
    return write_siglip(tmp_path / "damaged")


def test_siglip_gives_the_vectors_of_transformers(siglip: Path, tmp_path: Path) -> None:
    """Photos and captions have the vectors of the model in transformers, at full width."""
    made = load_artifact(import_artifact(str(siglip), tmp_path / "a").folder)
    pixels = synthetic_photos(4, 32)
    model = SiglipModel.from_pretrained(siglip)
    with torch.inference_mode():
        inputs = SiglipImageProcessor.from_pretrained(siglip)(
            list(pixels), return_tensors="pt", do_resize=False
        )
        photos = normalize(model.vision_model(inputs["pixel_values"]).pooler_output.numpy())
        ids = tokenize(load_tokenizer(made.tokenizer), ["red skirt", "赤い"])
        texts = normalize(model.text_model(torch.from_numpy(ids)).pooler_output.numpy())
    assert (load_encoder(made, precision="f32").encode(pixels) * photos).sum(axis=1) == pytest.approx(
        1, abs=1e-3
    )
    found = load_text_encoder(made).encode(["RED skirt", "赤い"])
    assert (found * texts).sum(axis=1) == pytest.approx(1, abs=1e-3)
    assert (made.dims, made.manifest.width, made.image_size) == (32, 32, 32)


def write_siglip2(folder: Path) -> Path:
    """A tiny SigLIP 2 with a fixed resolution; its tokenizer keeps case and adds an end token, as Gemma's."""
    write_siglip(folder)
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    special = ["<pad>", "<eos>", "<bos>", "<unk>"]
    trainer = trainers.BpeTrainer(vocab_size=80, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(["red skirt", "a RED Skirt", "赤いスカート"], trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="$A <eos>", special_tokens=[("<eos>", 1)])
    tokenizer.save(str(folder / "tokenizer.json"))
    padding = {"content": "<pad>", "special": True}
    (folder / "tokenizer_config.json").write_text(json.dumps({"pad_token": padding}))
    return folder


def test_siglip2_gives_the_vectors_of_transformers(tmp_path: Path) -> None:
    """Captions are lower-cased, ended, truncated and padded as by Hugging Face's processor."""
    folder = write_siglip2(tmp_path / "folder")
    made = import_artifact(str(folder), tmp_path / "a")
    captions = ["red skirt", "a red skirt, a red skirt, a red skirt", "赤い"]
    theirs = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"), pad_token="<pad>")
    ids = theirs(captions, padding="max_length", max_length=TOKENS, truncation=True, return_tensors="pt")
    with torch.inference_mode():
        pooled = SiglipModel.from_pretrained(folder).text_model(ids["input_ids"]).pooler_output
    found = load_text_encoder(made).encode([caption.upper() for caption in captions])
    assert (found * normalize(pooled.numpy())).sum(axis=1) == pytest.approx(1, abs=1e-3)


def test_pca_is_fitted_to_the_given_photos(siglip: Path, shop: Path, tmp_path: Path) -> None:
    """The graph includes PCA; photos differ more after it, since their mean is subtracted."""
    options = ("--data", shop, "--dims", "8", "--name", "tiny")
    result = call("import", siglip, "--out", tmp_path / "a", *options, "--no-text")
    assert result.exit_code == 0, result.output
    made = load_artifact(tmp_path / "a")
    assert made.encoder_id.startswith("tiny-")
    assert (made.dims, made.manifest.width) == (8, 32)
    assert made.manifest.training["similarity_measured_on"] == "96 photos"
    assert f"{tmp_path / 'a' / CARD}: model card" in result.output
    assert f"| {made.encoder_id} |" in (tmp_path / "a" / CARD).read_text()
    plain = import_artifact(str(siglip), tmp_path / "b", photos=[shop], dims=None, text=False)
    assert made.manifest.similarity.spread > plain.manifest.similarity.spread


def test_photos_without_labels_give_no_card(siglip: Path, shop: Path, tmp_path: Path) -> None:
    """The artifact is written; the message has the command for a card; an older card is removed."""
    for name in (CARD, MANIFEST):
        (tmp_path / name).write_text("of an earlier import")
    photos = shop.parent / "images"
    result = call("import", siglip, "--out", tmp_path, "--data", photos, "--no-pca", "--no-text")
    assert result.exit_code == 0, result.output
    assert "no model card: " in result.output
    assert f"write one with `nitamono ml artifact card {tmp_path} --data" in result.output
    assert not (tmp_path / CARD).exists()
    assert load_artifact(tmp_path).dims == 32


def test_a_given_projection_is_the_last_layer(siglip: Path, tmp_path: Path) -> None:
    """The vectors are those at full width, projected."""
    random = np.random.default_rng(0)
    axes = np.linalg.qr(random.normal(size=(32, 4)))[0].T.astype(np.float32)
    mean = random.normal(size=32).astype(np.float32) * 0.1
    np.savez(tmp_path / "p.npz", mean=mean, components=axes, explained=0.5)
    options = ("--no-text", "--projection", tmp_path / "p.npz")
    assert call("import", siglip, "--out", tmp_path / "a", *options).exit_code == 0
    full = import_artifact(str(siglip), tmp_path / "b", text=False)
    pixels = synthetic_photos(3, 32)
    expected = Projection(mean, axes, 0.5).apply(load_encoder(full, precision="f32").encode(pixels))
    found = load_encoder(load_artifact(tmp_path / "a"), precision="f32").encode(pixels)
    assert (found * expected).sum(axis=1) == pytest.approx(1, abs=1e-3)


def test_without_a_text_tower_captions_are_rejected(siglip: Path, tmp_path: Path) -> None:
    """The message has the remedy; files of an earlier import are removed."""
    with_text = import_artifact(str(siglip), tmp_path / "a")
    made = import_artifact(str(siglip), tmp_path / "a", text=False)
    assert with_text.encoder_id != made.encoder_id
    assert sorted(path.name for path in made.folder.iterdir()) == [GOLDEN, IMAGE_GRAPH, MANIFEST]
    with pytest.raises(NoTextTower, match="again without --no-text"):
        load_text_encoder(made)


@pytest.mark.skipif(not MOBILENET.is_dir(), reason="needs a local MobileNetV2: set NITAMONO_MODELS_DIR")
def test_mobilenet_gives_the_vectors_of_transformers(tmp_path: Path) -> None:
    """Photos are cropped as by Hugging Face's processor, also if they are not square."""
    made = import_artifact(str(MOBILENET), tmp_path / "a")
    buffer = io.BytesIO()
    photo = Image.fromarray(synthetic_photo(np.random.default_rng(0), 300, 400))
    photo.save(buffer, "PNG")
    processor = AutoImageProcessor.from_pretrained(MOBILENET, use_fast=False)
    with torch.inference_mode():
        inputs = processor(photo, return_tensors="pt")
        expected = normalize(MobileNetV2Model.from_pretrained(MOBILENET)(**inputs).pooler_output.numpy())
    found = load_encoder(made, precision="f32").encode(decode_as(made.preprocessing, buffer.getvalue())[None])
    assert (found * expected).sum() == pytest.approx(1, abs=3e-3)
    assert (made.dims, made.image_size, made.has_text) == (1280, 224, False)
    assert made.preprocessing.crop == 0.875


def pooled(folder: Path, *, text: bool = False) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """(2, width) float32 of synthetic photos, by the towers of a folder."""
    towers = read_towers(folder, text=text)
    pixels = torch.tensor(synthetic_photos(2, 32) / 127.5 - 1).permute(0, 3, 1, 2).float()
    with torch.inference_mode():
        return towers.image(pixels).numpy()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_weights_are_converted_to_float32(
    siglip: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, dtype: torch.dtype
) -> None:
    """With a warning."""
    shutil.copytree(siglip, tmp_path / "half")
    SiglipModel.from_pretrained(siglip).to(dtype).save_pretrained(tmp_path / "half")
    assert (pooled(tmp_path / "half") * pooled(siglip)).sum(axis=1) == pytest.approx(1, abs=1e-3)
    assert f"weights stored as {str(dtype)[6:]} are converted to float32" in caplog.text


def test_a_large_photo_has_the_same_vector_in_any_batch(tmp_path: Path) -> None:
    """At 256 pixels a call of the graph has six photos, which do not attend to each other."""
    towers = read_towers(write_siglip(tmp_path / "folder", side=256), text=False)
    write_graph(ImageGraph(towers.image, None).eval(), synthetic_photos(2, 256), tmp_path / "image.onnx")
    pixels = synthetic_photos(14, 256)
    backends: tuple[Backend, ...] = ("openvino", "onnxruntime")
    for backend in backends:
        graph = open_graph(tmp_path / "image.onnx", backend=backend, precision="f32")
        alone = np.concatenate([graph(one[None]) for one in pixels])
        for count in (1, 2, 5, 6, 7, 11, 12, 13, 14):
            assert np.abs(graph(pixels[:count]) - alone[:count]).max() < 1e-5


def shards(folder: Path) -> None:
    SiglipModel.from_pretrained(folder).save_pretrained(folder, max_shard_size="20KB")
    (folder / "model.safetensors").unlink()
    assert len(list(folder.glob("model-*.safetensors"))) > 1


def pickled_weights(folder: Path) -> None:
    torch.save(SiglipModel.from_pretrained(folder).state_dict(), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def image_tower_alone(folder: Path) -> None:
    vision = SiglipVisionModel.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    vision.save_pretrained(folder)
    assert json.loads((folder / "config.json").read_text())["model_type"] == "siglip_vision_model"


def processor_of_transformers_5(folder: Path) -> None:
    settings = json.loads((folder / "preprocessor_config.json").read_text())
    (folder / "preprocessor_config.json").unlink()
    (folder / "processor_config.json").write_text(json.dumps({"image_processor": settings}))


@pytest.mark.parametrize("store", [shards, pickled_weights, image_tower_alone, processor_of_transformers_5])
def test_models_are_read_in_any_storage_format(
    siglip: Path, tmp_path: Path, store: Callable[[Path], None]
) -> None:
    """In shards with an index, as a state dict, without a text tower, or with its processor in one file."""
    folder = Path(shutil.copytree(siglip, tmp_path / "other"))
    store(folder)
    assert np.allclose(pooled(folder, text=True), pooled(siglip), atol=1e-6)


class Planted:
    """An object that runs a command when it is unpickled."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.mkdir, ("planted",)


def planted_weights(folder: Path) -> None:
    torch.save({"weight": Planted()}, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def edit_config(folder: Path, part: str | None, **changes: object) -> None:
    config = json.loads((folder / "config.json").read_text())
    (config[part] if part else config).update(changes)
    (folder / "config.json").write_text(json.dumps(config))


def without_head(folder: Path) -> None:
    edit_config(folder, "vision_config", vision_use_head=False)


def grey(folder: Path) -> None:
    edit_config(folder, "vision_config", num_channels=1)


def quantised_weights(folder: Path) -> None:
    edit_config(folder, None, quantization_config={"quant_method": "bitsandbytes"})


def text_tower_alone(folder: Path) -> None:
    edit_config(folder, None, model_type="siglip_text_model")


def naflex(folder: Path) -> None:
    edit_config(folder, None, model_type="siglip2")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            planted_weights,
            r"pytorch_model\.bin is damaged, or contains more than weights, which",
        ),
        (without_head, r"config\.json: vision_use_head is false, so the network has no vector for a photo"),
        (
            grey,
            r"config\.json: num_channels is 1, expected 3|weights cannot be read|are missing",
        ),
        (quantised_weights, r"has a quantization_config; import the original model"),
        (text_tower_alone, r"model_type is siglip_text_model, expected one of siglip, mobilenet_v2"),
        (naflex, r"model_type is siglip2, .* choose one with a fixed resolution"),
    ],
)
def test_rejects_unsupported_models(
    damaged: Path, monkeypatch: pytest.MonkeyPatch, damage: Callable[[Path], None], message: str
) -> None:
    """And files that would run a command."""
    monkeypatch.chdir(damaged)
    damage(damaged)
    with pytest.raises(UnsupportedModel, match=message):
        read_towers(damaged, text=False)
    assert not (damaged / "planted").exists()


def squash_and_crop(folder: Path) -> None:
    size = {"height": 32, "width": 32}
    SiglipImageProcessor(size=size, crop_size=size, do_center_crop=True).save_pretrained(folder)


def another_architecture(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps({"model_type": "clip"}))


def no_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def weights_cut_off(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])


def weights_of_another(folder: Path) -> None:
    MobileNetV2Model.config_class().save_pretrained(folder / "other")
    config = json.loads((folder / "config.json").read_text())
    config["vision_config"]["num_hidden_layers"] = 3
    (folder / "config.json").write_text(json.dumps(config))


def larger_vocabulary(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    write_siglip(folder, vocabulary=10)
    config["text_config"]["vocab_size"] = 10


def no_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()


def another_padding(folder: Path) -> None:
    (folder / "tokenizer_config.json").write_text(json.dumps({"pad_token": {"content": "<pad>"}}))


def another_side(folder: Path) -> None:
    SiglipImageProcessor(size={"height": 64, "width": 64}).save_pretrained(folder)


def no_config(folder: Path) -> None:
    (folder / "config.json").unlink()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (another_architecture, r"config.json: model_type is clip, expected one of siglip, mobilenet_v2"),
        (no_config, r"config.json: cannot be read"),
        (no_weights, r"weights cannot be read .* download model.safetensors"),
        (weights_cut_off, r"weights cannot be read .* download model.safetensors"),
        (weights_of_another, r"\d+ weights of the network are missing, first vision_model"),
        (larger_vocabulary, r"has ids up to \d+, but the text tower a vocabulary of 10; .*--no-text"),
        (no_tokenizer, r"tokenizer.json: tokenizer cannot be read .*--no-text"),
        (another_padding, r"tokenizer.json: lacks the padding token <pad>"),
        (squash_and_crop, r"preprocessor_config.json: [\s\S]*a height and there is a crop_size"),
        (another_side, r"the image processor resizes to 64 pixels, but config.json has image_size 32"),
    ],
)
def test_rejects_an_incomplete_folder(
    damaged: Path, tmp_path: Path, damage: Callable[[Path], None], message: str
) -> None:
    """The message has the file, and no artifact is written."""
    damage(damaged)
    with pytest.raises(UnsupportedModel, match=message):
        import_artifact(str(damaged), tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_rejects_an_id_that_cannot_be_downloaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The message has the remedy without a connection."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(
        HuggingFaceUnreachable,
        match=r"^nobody/nothing: neither a local folder .* local copy of the model's folder",
    ):
        import_artifact("nobody/nothing", tmp_path)


def test_rejects_a_projection_of_another_width(siglip: Path, tmp_path: Path) -> None:
    """Such as the PCA of another network."""
    other = Projection(np.zeros(5, np.float32), np.eye(5, dtype=np.float32)[:2], 1.0)
    with pytest.raises(BadProjection, match=r"width 5, the network 32"):
        import_artifact(str(siglip), tmp_path, projection=other, text=False)


def test_rejects_pca_on_too_few_photos(siglip: Path, shop: Path, tmp_path: Path) -> None:
    """PCA needs as many photos as dims; the artifact of an earlier import is unchanged."""
    photos = sorted((shop.parent / "images").iterdir())
    before = import_artifact(str(siglip), tmp_path)
    with pytest.raises(TooFewVectors, match=r"PCA to 8 dims .* found \(3, 32\); add photos"):
        import_artifact(str(siglip), tmp_path, photos=photos[:3], dims=8, text=False)
    assert load_artifact(tmp_path).encoder_id == before.encoder_id
    assert {path.name for path in tmp_path.iterdir()} == {MANIFEST, *before.manifest.files}


def test_rejects_its_source_as_output(damaged: Path) -> None:
    """The tokenizer of the artifact would overwrite the model's."""
    before = {path.name for path in damaged.iterdir()}
    with pytest.raises(SameFolder, match="choose another --out"):
        import_artifact(str(damaged), damaged)
    assert {path.name for path in damaged.iterdir()} == before


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("google/siglip-base-patch16-256", "siglip-base-patch16-256"),
        ("google/mobilenet_v2_1.4_224", "mobilenet-v2-1-4-224"),
    ],
)
def test_artifacts_are_named_after_their_source(source: str, name: str) -> None:
    """In characters that index names allow."""
    assert artifact_name(source) == name


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_full_size_siglip(tmp_path: Path) -> None:
    """A ViT-B/16, at 320 pixels or 64 in CI, has an artifact of under 200 MB for photos and captions."""
    side = scaled(320)
    made = import_artifact(str(write_siglip(tmp_path / "folder", BASE, side=side)), tmp_path / "a")
    assert made.dims == 768
    assert made.image_graph.stat().st_size < 200e6
    assert np.linalg.norm(load_encoder(made).encode(synthetic_photos(1, side))) == pytest.approx(1, abs=1e-4)
    assert np.linalg.norm(load_text_encoder(made).encode(["red skirt"])) == pytest.approx(1, abs=1e-4)
