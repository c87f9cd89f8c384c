"""WordPiece tokenizers for English and Japanese captions, trained on the captions."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

from ml.errors import MlError

PADDING: Final = "[PAD]"
UNKNOWN: Final = "[UNK]"


class UnreadableTokenizer(MlError):
    """A file that is not a tokenizer."""


def train_tokenizer(captions: Sequence[str], *, vocabulary: int, length: int) -> Tokenizer:
    """Train a tokenizer that outputs `length` ids below `vocabulary`, padded with 0. Deterministic."""
    draft = word_pieces({})
    letters = sorted(set(draft.normalizer.normalize_str("".join(captions))) - {" "})
    # The trainer numbers inner letters in the random order of a hash table and breaks ties by number. Listing
    # them as special tokens fixes the order; a second tokenizer then treats them as ordinary word pieces.
    first = [PADDING, UNKNOWN, *(f"##{letter}" for letter in letters)]
    trainer = trainers.WordPieceTrainer(vocab_size=vocabulary, special_tokens=first, show_progress=False)
    draft.train_from_iterator(captions, trainer)
    tokenizer = word_pieces(draft.get_vocab())
    tokenizer.enable_padding(length=length, pad_id=0, pad_token=PADDING)
    tokenizer.enable_truncation(length)
    return tokenizer


def word_pieces(vocabulary: Mapping[str, int]) -> Tokenizer:
    """Create an untrained tokenizer with this vocabulary, NFKC, lower case and BERT's word boundaries."""
    tokenizer = Tokenizer(models.WordPiece(dict(vocabulary), unk_token=UNKNOWN))
    # Accents are kept: stripping them would turn ガ into カ.
    bert = normalizers.BertNormalizer(lowercase=True, strip_accents=False, handle_chinese_chars=True)
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), bert])
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


def load_tokenizer(path: Path) -> Tokenizer:
    """Load a tokenizer.json.

    Raises:
        UnreadableTokenizer: the file is missing or damaged.
    """
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises nothing more specific
        raise UnreadableTokenizer(
            f"{path}: not a readable tokenizer ({error}); restore the file, or train into another folder"
        ) from error


def tokenize(tokenizer: Tokenizer, captions: Sequence[str]) -> NDArray[np.int64]:
    """(n, length) int64 token ids of the captions, padded with 0."""
    return np.array([encoded.ids for encoded in tokenizer.encode_batch(list(captions))], dtype=np.int64)
