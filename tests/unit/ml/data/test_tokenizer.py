"""Training, saving and applying the tokenizer."""

from pathlib import Path

import numpy as np

from ml.data.tokenizer import load_tokenizer, tokenize, train_tokenizer


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
