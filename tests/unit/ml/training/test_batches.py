"""Batches: captions and row order."""

from pathlib import Path

import pytest
import torch

from ml.data.pairs import Labels, Pair
from ml.data.tokenizer import train_tokenizer
from ml.training.batches import Captions, batches
from ml.training.loss import matches


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


def test_a_general_caption_matches_every_photo_that_has_it() -> None:
    """ "Hats" matches both hats, "Red Hats" only the red one, the cap's caption the cap."""
    captions = make_captions()
    numbers = torch.tensor([2, 1, 4])  # Hats, Red Hats, a photo of a cap
    found = matches(captions.options, numbers)
    assert found.tolist() == [[True, True, False], [True, False, False], [False, False, True]]


def test_half_of_the_draws_are_titles() -> None:
    """A photo's title is drawn as often as all its descriptions together, and no caption of another photo."""
    drawn = make_captions().draw(torch.zeros(2000, dtype=torch.int64), torch.Generator().manual_seed(0))
    shares = torch.bincount(drawn, minlength=5) / 2000
    assert shares[:3].tolist() == pytest.approx([0.5, 0.25, 0.25], abs=0.04)
    assert shares[3:].sum() == 0


def test_an_epoch_has_every_row_once_in_full_batches() -> None:
    """Ten rows in batches of four: two batches without a repeated row; three rows give one smaller batch."""
    random = torch.Generator().manual_seed(0)
    shown = torch.cat(list(batches(torch.arange(10), 4, random)))
    assert len(shown) == 8
    assert len(set(shown.tolist())) == 8
    assert [len(batch) for batch in batches(torch.arange(3), 4, random)] == [3]
