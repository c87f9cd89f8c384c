"""A WordPiece tokenizer for captions in English and Japanese, trained on the captions themselves."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

PADDING, UNKNOWN = "[PAD]", "[UNK]"


def train_tokenizer(captions: Iterable[str], *, vocabulary: int, length: int) -> Tokenizer:
    """A tokenizer that gives exactly `length` ids below `vocabulary`, padded with 0."""
    tokenizer = Tokenizer(models.WordPiece(unk_token=UNKNOWN))
    # Accents stay: stripping them would turn ガ into カ.
    bert = normalizers.BertNormalizer(lowercase=True, strip_accents=False, handle_chinese_chars=True)
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), bert])
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocabulary, special_tokens=[PADDING, UNKNOWN], show_progress=False
    )
    tokenizer.train_from_iterator(captions, trainer)
    tokenizer.enable_padding(length=length, pad_id=0, pad_token=PADDING)
    tokenizer.enable_truncation(length)
    return tokenizer


def load_tokenizer(path: Path) -> Tokenizer:
    return Tokenizer.from_file(str(path))


def tokenize(tokenizer: Tokenizer, captions: Sequence[str]) -> NDArray[np.int64]:
    """(n, length) int64 ids, padded with 0."""
    return np.array([encoded.ids for encoded in tokenizer.encode_batch(list(captions))], dtype=np.int64)
