"""Training, saving and applying the tokenizer."""

from pathlib import Path

import numpy as np

from ml.data.tokenizer import load_tokenizer, tokenize, train_tokenizer


def test_japanese_words_have_different_tokens() -> None:
    """Voiced sound marks are kept: stripping accents would turn ガ into カ."""
    tokenizer = train_tokenizer(["カラス ガラス", "red skirt"] * 5, vocabulary=60, length=6)
    ids = tokenize(tokenizer, ["カラス", "ガラス", "RED  Skirt", "red skirt", ""])
    assert (ids.shape, ids.dtype) == ((5, 6), np.int64)
    assert ids[0].tolist() != ids[1].tolist()
    assert ids[2].tolist() == ids[3].tolist()
    assert not ids[4].any()


def test_the_same_captions_give_the_same_tokenizer() -> None:
    """Ties between equally frequent pieces are not random."""
    captions = [f"{colour} skirt number {count}" for count in range(30) for colour in ("red", "blue", "青い")]
    made = {train_tokenizer(captions, vocabulary=90, length=6).to_str() for _ in range(5)}
    assert len(made) == 1


def test_a_saved_tokenizer_is_read_back(tmp_path: Path) -> None:
    """With its padding and truncation."""
    tokenizer = train_tokenizer(["one two three"] * 5, vocabulary=60, length=4)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    captions = ["one", "one two three one two three"]
    again = tokenize(load_tokenizer(tmp_path / "tokenizer.json"), captions)
    assert np.array_equal(again, tokenize(tokenizer, captions))
