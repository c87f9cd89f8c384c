"""Training a SigLIP in Hugging Face's layout: a tiny one with random weights."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import ml.commands.finetune
from ml.artifact import CHECKPOINT, TOKENIZER, load_artifact
from ml.configs.siglip_b16_256_multilingual import CONFIG as PAPER
from ml.configs.siglip_b16_256_multilingual import SMOKE
from ml.configs.siglip_b16_large_gpu import CONFIG as LARGE
from ml.configs.siglip_b16_large_gpu import SMOKE as LARGE_SMOKE
from ml.configs.siglip_lite import SMOKE as LITE_SMOKE
from ml.data.corpus import Corpus
from ml.data.tokenizer import load_tokenizer, train_tokenizer
from ml.export.export_run import export_artifact
from ml.inference.encoder import load_encoder
from ml.models.checkpoint import load_checkpoint
from ml.models.huggingface.folder import NETWORK_FOLDER
from ml.models.huggingface.processing import PREPROCESSOR, PROCESSOR, UnsupportedModel
from ml.models.huggingface.trainable_siglip import HuggingFaceSiglip
from ml.models.tower_specs import HuggingFaceTower
from ml.training.batches import Batch
from ml.training.config import InvalidConfig
from ml.training.distributed import Processes, UnevenBatch
from ml.training.finetune import RunOptions, finetune
from ml.training.learner import Learner, parameter_groups
from ml.training.prototypes import LabelClasses
from ml.training.run_folder import LOG, read_config
from ml.training.start_huggingface import pretrained, write_tiny_siglip

CAPTIONS = ["red skirt", "blue tie", "black belt"] * 5


@pytest.fixture(scope="module")
def siglip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in Hugging Face's layout."""
    torch.manual_seed(1)
    folder = tmp_path_factory.mktemp("siglip_folder")
    write_tiny_siglip(folder, CAPTIONS, image_size=32, width=16)
    return folder


@pytest.fixture(scope="module")
def tuned(siglip_folder: Path, corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the large configuration's smoke version on that folder: accumulated, bf16, checkpointed."""
    out = tmp_path_factory.mktemp("tuned")
    finetune(LARGE_SMOKE, corpus, out, RunOptions(base=str(siglip_folder)))
    return out


def make_model(siglip_folder: Path, run: Path) -> HuggingFaceSiglip:
    """The folder's model at the start of a run."""
    return pretrained(str(siglip_folder), HuggingFaceTower("", 32, 16), run, checkpointing=False)[0]


def make_batch(count: int = 12) -> Batch:
    """Noise with captions, some of which match several photos."""
    random = torch.Generator().manual_seed(2)
    numbers = torch.randint(0, 6, (count,), generator=random)
    return Batch(
        torch.randn(count, 3, 32, 32, generator=random),
        torch.randint(2, 20, (count, 8), generator=random),
        numbers[:, None],
        numbers,
        make_classes(count).numbers,
        make_classes(count).sources,
    )


def make_classes(count: int = 12) -> LabelClasses:
    """Photos of one source in three classes."""
    sources = torch.zeros(count, dtype=torch.int64)
    return LabelClasses((torch.arange(count) % 3)[:, None], sources, (sources[:3],))


def test_a_hugging_face_model_is_trained_and_exported(
    tuned: Path, siglip_folder: Path, corpus: Corpus, tmp_path: Path
) -> None:
    """The weights change, both epochs are logged, and the artifact has the vectors of torch."""
    assert read_config(tuned) == LARGE_SMOKE
    assert len((tuned / LOG).read_text().splitlines()) == 1 + LARGE_SMOKE.epochs
    after = load_checkpoint(tuned / CHECKPOINT, LARGE_SMOKE.tower)
    before = make_model(siglip_folder, tmp_path)
    moved = [
        not torch.allclose(value, after.state_dict()[name], atol=1e-3)
        for name, value in before.named_parameters()
    ]
    assert sum(moved) > len(moved) / 2
    artifact = export_artifact(tuned, corpus, tmp_path / "artifact")
    vectors = load_encoder(load_artifact(artifact.folder), backend="onnxruntime").encode(corpus.pixels[:3])
    assert vectors.shape == (3, LARGE_SMOKE.dims)


def test_a_run_of_a_hugging_face_model_resumes(tuned: Path, corpus: Corpus, tmp_path: Path) -> None:
    """From its folder, without Hugging Face; the finished run's state gives the same checkpoint."""
    out = tmp_path / "copy"
    shutil.copytree(tuned, out)
    finetune(LARGE_SMOKE, corpus, out, RunOptions(resume=True))
    assert (out / CHECKPOINT).read_bytes() == (tuned / CHECKPOINT).read_bytes()


def test_a_run_keeps_a_processor_of_transformers_5(siglip_folder: Path, tmp_path: Path) -> None:
    """In a file that its artifact includes."""
    folder = Path(shutil.copytree(siglip_folder, tmp_path / "siglip_folder"))
    settings = (folder / PREPROCESSOR).read_text()
    (folder / PREPROCESSOR).unlink()
    (folder / PROCESSOR).write_text(json.dumps({"image_processor": json.loads(settings)}))
    make_model(folder, tmp_path / "run")
    assert json.loads((tmp_path / "run" / NETWORK_FOLDER / PREPROCESSOR).read_text()) == json.loads(settings)


def test_a_smoke_run_needs_no_download(corpus: Corpus, tmp_path: Path) -> None:
    """It creates a tiny SigLIP; another run starts from its weights."""
    finetune(replace(SMOKE, epochs=1), corpus, tmp_path / "one")
    still = replace(SMOKE, epochs=1, learning_rate=0.0)
    finetune(still, corpus, tmp_path / "two", RunOptions(start=tmp_path / "one"))
    one, two = (load_checkpoint(tmp_path / name / CHECKPOINT, SMOKE.tower) for name in ("one", "two"))
    for name, value in one.state_dict().items():
        assert torch.equal(value, two.state_dict()[name]), name


def test_accumulated_gradients_are_those_of_the_whole_batch(siglip_folder: Path, tmp_path: Path) -> None:
    """Three parts give the same losses and gradients as one."""
    learners = []
    for parts in (1, 3):
        torch.manual_seed(4)
        config = replace(SMOKE, batch=12, accumulate=parts, prototype_weight=0.5, feature_weight=2.0)
        learner = Learner(config, make_model(siglip_folder, tmp_path), make_classes(), Processes())
        learners.append((learner.differentiate(make_batch()), learner))
    (losses, whole), (accumulated, parted) = learners
    torch.testing.assert_close(losses, accumulated)
    for (name, value), other in zip(
        whole.objective.named_parameters(), parted.objective.parameters(), strict=True
    ):
        if not value.requires_grad:
            continue
        assert value.grad is not None, name
        torch.testing.assert_close(value.grad, other.grad, atol=1e-5, rtol=1e-5)


def test_frozen_towers_are_not_trained(siglip_folder: Path, tmp_path: Path) -> None:
    """A frozen text tower keeps its weights while the other is trained."""
    learner = Learner(
        replace(SMOKE, frozen=("text",)), make_model(siglip_folder, tmp_path), make_classes(), Processes()
    )
    before = {name: value.clone() for name, value in learner.model.named_parameters()}
    learner.learn(make_batch(), 0, 0.1)
    changed = {
        name for name, value in learner.model.named_parameters() if not torch.equal(value, before[name])
    }
    assert changed
    assert not any(name.startswith("text.") for name in changed)


def test_lower_layers_have_lower_learning_rates(siglip_folder: Path, tmp_path: Path) -> None:
    """Two layers: embeddings at 0.5³, the first layer at 0.5², the second at 0.5, the head at 1."""
    model = make_model(siglip_folder, tmp_path)
    shares = {
        id(value): group["share"]
        for group in parameter_groups(model, replace(SMOKE, layer_decay=0.5))
        for value in group["params"]  # type: ignore[attr-defined]  # a list of tensors
    }
    named = dict(model.named_parameters())
    expected = {"embeddings.patch": 0.125, "layers.0.": 0.25, "layers.1.": 0.5, "network.head": 1.0}
    for part, share in expected.items():
        found = {
            shares[id(value)] for name, value in named.items() if part in name and name.startswith("image.")
        }
        assert found == {share}, part


def test_a_tokenizer_of_another_model_is_rejected(
    siglip_folder: Path, corpus: Corpus, tmp_path: Path
) -> None:
    """One with more ids than the vocabulary of the text tower is named before training."""
    wrong = tmp_path / "wrong"
    shutil.copytree(siglip_folder, wrong)
    words = [f"word{number} {number}x" for number in range(900)]
    train_tokenizer(words, vocabulary=800, length=8).save(str(wrong / "tokenizer.json"))
    with pytest.raises(
        UnsupportedModel, match=r"tokenizer\.json: has ids up to \d+, but the text tower a vocabulary of \d+"
    ):
        finetune(SMOKE, corpus, tmp_path / "run", RunOptions(base=str(wrong)))
    (wrong / "tokenizer.json").unlink()
    with pytest.raises(UnsupportedModel, match=r"tokenizer\.json: tokenizer cannot be read"):
        finetune(SMOKE, corpus, tmp_path / "run", RunOptions(base=str(wrong)))


def test_other_sizes_than_configured_are_rejected(
    siglip_folder: Path, corpus: Corpus, tmp_path: Path
) -> None:
    """Photos would be decoded at the wrong size."""
    config = replace(SMOKE, tower=HuggingFaceTower("", image_size=64, width=16))
    with pytest.raises(UnsupportedModel, match=r"config\.json: 32 px and width 16, expected 64 px and 16"):
        finetune(config, corpus, tmp_path, RunOptions(base=str(siglip_folder)))
    content = json.loads((siglip_folder / "config.json").read_text())
    other = tmp_path / "other"
    other.mkdir()
    (other / "config.json").write_text(json.dumps(content | {"model_type": "clip"}))
    with pytest.raises(UnsupportedModel, match=r"model_type is clip, expected siglip"):
        finetune(SMOKE, corpus, tmp_path, RunOptions(base=str(other)))


def test_the_papers_settings() -> None:
    """Five epochs, batches of 256 and a rate of 5e-5, on the multilingual B/16 at 256 px."""
    assert (PAPER.epochs, PAPER.batch, PAPER.learning_rate) == (5, 256, 5e-5)
    assert PAPER.tower == HuggingFaceTower("google/siglip-base-patch16-256-multilingual", 256, 768)
    assert (LARGE.precision, LARGE.checkpointing, LARGE.tower) == ("bf16", True, PAPER.tower)


@pytest.mark.parametrize(
    "name", ["efficientnet_lite0", "siglip_b16_256_multilingual", "siglip_b16_large_gpu", "siglip_lite"]
)
def test_every_configuration_has_a_smoke_version(name: str) -> None:
    """It needs no download."""
    config = ml.commands.finetune.load_config(name, smoke=True)
    assert not isinstance(config.tower, HuggingFaceTower) or config.tower.source == ""


def test_contradictory_settings_are_rejected() -> None:
    """Before data is read."""
    with pytest.raises(InvalidConfig, match="both towers are frozen"):
        replace(SMOKE, frozen=("image", "text"))
    with pytest.raises(InvalidConfig, match="checkpointing needs a HuggingFaceTower"):
        replace(LITE_SMOKE, checkpointing=True)
    with pytest.raises(InvalidConfig, match=r"runs the head twice, and its dropout \(0.1\) would differ"):
        replace(LITE_SMOKE, accumulate=2, tower=replace(LITE_SMOKE.tower, dropout=0.1))


def test_a_vocabulary_below_the_letters_is_refused(corpus: Corpus, tmp_path: Path) -> None:
    """Token ids above it would end in a traceback."""
    config = replace(LITE_SMOKE, tower=replace(LITE_SMOKE.tower, vocabulary=5))
    with pytest.raises(InvalidConfig, match=r"a vocabulary of 5 cannot hold the \d+ letters"):
        finetune(config, corpus, tmp_path)


def test_a_batch_that_cannot_be_shared_is_refused(corpus: Corpus, tmp_path: Path) -> None:
    """The multiple that would do is named."""
    with pytest.raises(UnevenBatch, match="a batch of 16 cannot be divided among 1 processes in 3 parts"):
        finetune(replace(SMOKE, accumulate=3), corpus, tmp_path)


def test_the_tokenizer_of_the_run_is_the_models(tuned: Path, siglip_folder: Path) -> None:
    """Captions have as many ids as the text tower has places."""
    assert len(load_tokenizer(tuned / TOKENIZER).encode("red skirt").ids) == 8
    assert (tuned / NETWORK_FOLDER / "config.json").read_bytes() == (
        siglip_folder / "config.json"
    ).read_bytes()
