"""The pieces of training one by one: loss, views, tokens, towers, schedules."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from ml.configs.siglip_small import SMOKE
from ml.data.pairs import Labels, Pair
from ml.data.tokenizer import load_tokenizer, tokenize, train_tokenizer
from ml.export.export_run import without_batch_norm
from ml.models.checkpoint import CheckpointMismatch, load_checkpoint, save_checkpoint
from ml.models.serving_graph import to_unit_range
from ml.models.tower_specs import TowerConfig
from ml.models.two_towers import ImageTower, Siglip, TextTower
from ml.training.augment import random_views
from ml.training.batches import Captions, batches
from ml.training.config import FinetuneConfig
from ml.training.learner import parameter_groups, update_average
from ml.training.loss import matches, sigmoid_loss
from ml.training.schedule import Schedule, feature_weight, learning_rate

ONE, ZERO = torch.tensor(1.0), torch.tensor(0.0)


def test_sigmoid_loss_by_hand() -> None:
    """Two crossed pairs at scale 1: per photo, log(1 + e^-1) for its own caption and log 2 for the other."""
    unit = torch.eye(2)
    expected = math.log(1 + math.exp(-1)) + math.log(2)
    assert sigmoid_loss(unit, unit, torch.eye(2).bool(), ONE, ZERO).item() == pytest.approx(expected)


def test_every_true_caption_is_a_positive() -> None:
    """Two photos to which both texts apply: all four pairings should match, and the loss says so."""
    same = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    expected = 2 * math.log(1 + math.exp(-1))
    assert sigmoid_loss(same, same, torch.ones(2, 2).bool(), ONE, ZERO).item() == pytest.approx(expected)
    assert sigmoid_loss(same, same, torch.eye(2).bool(), ONE, ZERO).item() > expected


def make_captions() -> Captions:
    """Two hats, one of them without a colour, and a folder's cap."""
    pairs = [
        make_pair("a", ("Suzume hat", "Red Hats", "Hats")),
        make_pair("b", ("Plain hat", "Hats")),
        make_pair("c", ("a photo of a cap",)),
    ]
    captions = [caption for pair in pairs for caption in pair.captions]
    return Captions(pairs, train_tokenizer(captions, vocabulary=60, length=4))


def make_pair(item_id: str, captions: tuple[str, ...]) -> Pair:
    return Pair(item_id, Path(item_id), captions[0], captions, Labels("Hats"), "shop")


def test_a_general_caption_is_true_of_every_photo_that_has_it() -> None:
    """ "Hats" matches both hats, "Red Hats" the red one alone, the cap's caption the cap."""
    captions = make_captions()
    numbers = torch.tensor([2, 1, 4])  # Hats, Red Hats, a photo of a cap
    found = matches(captions.options, numbers)
    assert found.tolist() == [[True, True, False], [True, False, False], [False, False, True]]


def test_half_of_the_draws_are_titles() -> None:
    """A photo's own title is shown as often as all its descriptions together, and never another's caption."""
    drawn = make_captions().draw(torch.zeros(2000, dtype=torch.int64), torch.Generator().manual_seed(0))
    shares = torch.bincount(drawn, minlength=5) / 2000
    assert shares[:3].tolist() == pytest.approx([0.5, 0.25, 0.25], abs=0.04)
    assert shares[3:].sum() == 0


def test_views_are_of_the_size_asked_and_keep_the_colour() -> None:
    """A plain photo stays plain and close to its colour under crops, flips and light changes."""
    pixels = torch.tensor([200, 100, 50], dtype=torch.uint8).expand(4, 40, 40, 3)
    random = torch.Generator().manual_seed(0)
    views = random_views(pixels, 24, crop=0.5, contrast=0.0, random=random)
    assert views.shape == (4, 3, 24, 24)
    assert torch.allclose(views, to_unit_range(pixels)[:, :, :24, :24], atol=1e-5)


def test_views_differ_and_repeat_by_seed() -> None:
    """Each showing is another view; the same seed gives the same ones."""
    pixels = torch.randint(0, 256, (2, 40, 40, 3), dtype=torch.uint8)
    first, second, again = (
        random_views(pixels, 40, crop=0.5, contrast=0.2, random=torch.Generator().manual_seed(seed))
        for seed in (1, 2, 1)
    )
    assert torch.equal(first, again)
    assert not torch.allclose(first, second, atol=0.1)


def test_a_view_of_everything_is_the_photo_or_its_mirror() -> None:
    """Without cropping, only the flip is left."""
    pixels = torch.randint(0, 256, (8, 16, 16, 3), dtype=torch.uint8)
    views = random_views(pixels, 16, crop=1.0, contrast=0.0, random=torch.Generator().manual_seed(0))
    # Aspect changes of up to e^0.15 are clamped to the photo on one axis, so only that axis is compared.
    assert views.amin() >= -1 - 1e-5
    assert views.amax() <= 1 + 1e-5


def test_tokens_tell_japanese_words_apart() -> None:
    """Voiced marks stay: ガ is not カ, which stripping accents would make of it."""
    tokenizer = train_tokenizer(["カラス ガラス", "red skirt"] * 5, vocabulary=60, length=6)
    ids = tokenize(tokenizer, ["カラス", "ガラス", "RED  Skirt", "red skirt", ""])
    assert (ids.shape, ids.dtype) == ((5, 6), np.int64)
    assert ids[0].tolist() != ids[1].tolist()
    assert ids[2].tolist() == ids[3].tolist()
    assert not ids[4].any()


def test_the_same_captions_give_the_same_tokenizer() -> None:
    """Ties between equally common pieces are not broken by chance."""
    captions = [f"{colour} skirt number {count}" for count in range(30) for colour in ("red", "blue", "青い")]
    made = {train_tokenizer(captions, vocabulary=90, length=6).to_str() for _ in range(5)}
    assert len(made) == 1


def test_tokenizer_survives_its_file(tmp_path: Path) -> None:
    """Padding and truncation are stored with it."""
    tokenizer = train_tokenizer(["one two three"] * 5, vocabulary=60, length=4)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    captions = ["one", "one two three one two three"]
    again = tokenize(load_tokenizer(tmp_path / "tokenizer.json"), captions)
    assert np.array_equal(again, tokenize(tokenizer, captions))


def test_padding_does_not_change_a_text() -> None:
    """The text tower sees real tokens alone."""
    tower = TextTower(TowerConfig(tokens=6, vocabulary=20, text_width=8, width=8)).eval()
    with torch.no_grad():
        tower.tokens.weight[0] = 100.0
        short = tower(torch.tensor([[3, 4, 0, 0, 0, 0]]))
        tower.tokens.weight[0] = -7.0
        assert torch.allclose(short, tower(torch.tensor([[3, 4, 0, 0, 0, 0]])), atol=1e-6)


def test_folding_batch_norm_keeps_the_vectors() -> None:
    """The exported tower has no batch norm and gives the same unit vectors."""
    tower = ImageTower(TowerConfig(channels=(8, 8, 16), width=8))
    tower(torch.randn(16, 3, 32, 32))
    tower.eval()
    folded = without_batch_norm(tower)
    pixels = torch.randn(3, 3, 32, 32)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in folded.modules())
    assert torch.allclose(folded(pixels), tower(pixels), atol=1e-5)


def test_checkpoint_comes_back_at_half_precision(tmp_path: Path) -> None:
    """Weights survive the file to within float16, and no partial file is left."""
    model = Siglip(SMOKE.tower).eval()
    save_checkpoint(model, tmp_path / "checkpoint.safetensors")
    again = load_checkpoint(tmp_path / "checkpoint.safetensors", SMOKE.tower)
    pixels = torch.randn(4, 3, 32, 32)
    assert (model.image(pixels) * again.image(pixels)).sum(1).min() > 0.999
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.safetensors"]


def test_an_unfit_checkpoint_is_refused(tmp_path: Path) -> None:
    """Other towers' weights, and files that are none, are named before anything is loaded."""
    path = tmp_path / "checkpoint.safetensors"
    save_checkpoint(Siglip(SMOKE.tower), path)
    with pytest.raises(CheckpointMismatch, match=r"weights are missing, unknown or of other shapes, first"):
        load_checkpoint(path, TowerConfig())
    path.write_bytes(b"no weights")
    with pytest.raises(CheckpointMismatch, match=r"checkpoint.safetensors: .*expected a checkpoint of"):
        load_checkpoint(path, SMOKE.tower)


def test_schedules_start_and_end_where_they_should() -> None:
    """The rate rises, then falls to zero; the teacher's weight goes from one end to the other."""
    config = FinetuneConfig("e", learning_rate=1.0, warm_up=0.1, feature_weight=10.0, feature_weight_end=2.0)
    assert learning_rate(config, 0.05) == pytest.approx(0.5)
    assert learning_rate(config, 0.1) == pytest.approx(1.0)
    assert learning_rate(config, 0.55) == pytest.approx(0.5)
    assert learning_rate(config, 1.0) == pytest.approx(0.0)
    assert [feature_weight(config, share) for share in (0, 0.5, 1)] == [10, 6, 2]


def test_a_run_ends_by_steps_or_by_the_clock() -> None:
    """Given minutes, the steps no longer count."""
    assert Schedule(steps=10, minutes=None, started=0).progress(5) == 0.5
    assert Schedule(steps=10, minutes=1e-9, started=0).progress(0) > 1


def test_an_epoch_shows_every_row_once_in_whole_batches() -> None:
    """Ten rows in batches of four: two batches, no row twice; three rows make one smaller batch."""
    random = torch.Generator().manual_seed(0)
    shown = torch.cat(list(batches(torch.arange(10), 4, random)))
    assert len(shown) == 8
    assert len(set(shown.tolist())) == 8
    assert [len(batch) for batch in batches(torch.arange(3), 4, random)] == [3]


def test_the_average_moves_a_step_towards_the_model() -> None:
    """At decay 0.75 a quarter of the way is gone."""
    average, model = torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)
    torch.nn.init.constant_(average.weight, 0.0)
    torch.nn.init.constant_(model.weight, 4.0)
    update_average(average, model, 0.75)
    assert average.weight.item() == pytest.approx(1.0)


def test_only_matrices_decay() -> None:
    """Scale, bias, norms and biases are left alone by weight decay."""
    decayed, free = parameter_groups(Siglip(SMOKE.tower), 0.1)
    assert decayed["weight_decay"] == 0.1
    assert all(value.ndim > 1 for value in decayed["params"])  # type: ignore[attr-defined]  a list of tensors
    assert any(value.ndim == 0 for value in free["params"])  # type: ignore[attr-defined]
