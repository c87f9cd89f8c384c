"""The batches of a run: row order, random views and captions. Imports torch.

Each draw has a generator of its own, seeded by run seed, purpose, and epoch or step. A resumed run and each
of several processes therefore draw what one uninterrupted process would; only dropout depends on the process.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from ml.data.corpus import Corpus
from ml.data.pairs import Pair
from ml.data.tokenizer import tokenize
from ml.training.augment import random_views
from ml.training.config import FinetuneConfig
from ml.training.distributed import Processes
from ml.training.prototypes import label_classes

ORDER: Final = 0
CAPTIONS: Final = 1
VIEWS: Final = 2
DROPOUT: Final = 3


@dataclass(frozen=True)
class Batch:
    """One process's share of a step."""

    views: Tensor
    """(n, 3, s, s) float32 in about −1 to 1."""
    token_ids: Tensor
    """(n, tokens) int64."""
    options: Tensor
    """(n, k) int64 numbers of the captions that match each photo, padded with −1."""
    numbers: Tensor
    """(n,) int64 numbers of the captions drawn."""
    classes: Tensor
    """(n, levels) int64 numbers of the photos' classes: see ml/training/prototypes.py."""
    sources: Tensor
    """(n,) int64 numbers of the photos' sources."""

    def split(self, parts: int) -> list["Batch"]:
        """Split into this many equal batches."""
        if parts == 1:
            return [self]
        size = len(self.views) // parts
        return [self.part(slice(start, start + size)) for start in range(0, size * parts, size)]

    def part(self, rows: slice) -> "Batch":
        """The batch of some rows."""
        return Batch(
            self.views[rows],
            self.token_ids[rows],
            self.options[rows],
            self.numbers[rows],
            self.classes[rows],
            self.sources[rows],
        )


class Captions:
    """The captions of all pairs, tokenised once, from which each view of a photo draws one.

    Half of the draws are the first caption, the title; the other half is spread over the descriptions.
    """

    def __init__(self, pairs: Sequence[Pair], tokenizer: Tokenizer) -> None:
        distinct = list(dict.fromkeys(caption for pair in pairs for caption in pair.captions))
        number_of = {caption: number for number, caption in enumerate(distinct)}
        most = max(len(pair.captions) for pair in pairs)
        self.options = torch.full((len(pairs), most), -1)
        for row, pair in enumerate(pairs):
            numbers = [number_of[caption] for caption in pair.captions]
            self.options[row, : len(numbers)] = torch.tensor(numbers)
        self.token_ids = torch.from_numpy(tokenize(tokenizer, distinct))

    def draw(self, rows: Tensor, random: torch.Generator) -> Tensor:
        """Draw (n,) int64 caption numbers, one for each of rows (n,) int64."""
        options = self.options[rows]
        weights = (options >= 0).float()
        weights[:, 0] = weights[:, 1:].sum(dim=1).clamp(min=1)
        drawn = torch.multinomial(weights, 1, generator=random)
        return options.gather(1, drawn).squeeze(1)


class BatchSampler:
    """The random batches of a run on a corpus."""

    def __init__(
        self, config: FinetuneConfig, corpus: Corpus, tokenizer: Tokenizer, processes: Processes
    ) -> None:
        self.config = config
        self.processes = processes
        self.classes = label_classes(corpus)
        self.captions = Captions(corpus.pairs, tokenizer)
        self.pixels = torch.from_numpy(corpus.pixels)
        self.rows = torch.from_numpy(corpus.rows("train"))

    def epoch(self, number: int) -> Sequence[Tensor]:
        """The rows (n,) int64 of each step of an epoch, for all processes together."""
        random = generator(self.config.seed, ORDER, number)
        parts = self.processes.count * self.config.accumulate
        return [rows[: len(rows) // parts * parts] for rows in batches(self.rows, self.config.batch, random)]

    def batch(self, rows: Tensor, step: int, size: int) -> Batch:
        """Draw this process's share of a step's rows (n,) int64, as views of size × size pixels."""
        config, share, device = self.config, self.processes.share, self.processes.device
        numbers = share(self.captions.draw(rows, generator(config.seed, CAPTIONS, step)))
        total, rows = len(rows), share(rows)
        views = random_views(
            self.pixels[rows],
            size,
            crop=config.crop,
            contrast=config.contrast,
            random=generator(config.seed, VIEWS, step),
            first=self.processes.rank * len(rows),
            total=total,
        )
        return Batch(
            views.contiguous(memory_format=torch.channels_last).to(device),
            self.captions.token_ids[numbers].to(device),
            self.captions.options[rows].to(device),
            numbers.to(device),
            self.classes.numbers[rows].to(device),
            self.classes.sources[rows].to(device),
        )


def generator(*numbers: int) -> torch.Generator:
    """Create a generator seeded by a sequence of numbers."""
    return torch.Generator().manual_seed(seed_of(*numbers))


def seed_of(*numbers: int) -> int:
    """A seed for a sequence of numbers."""
    seed = np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0]
    return int(seed >> np.uint64(1))


def batches(rows: Tensor, size: int, random: torch.Generator) -> Sequence[Tensor]:
    """Shuffle rows (n,) int64 into batches (size,) int64; an incomplete last batch is dropped."""
    order = rows[torch.randperm(len(rows), generator=random)]
    return [batch for batch in torch.split(order, size) if len(batch) == size] or [order]
