"""What a step is shown: which rows in which order, in which views, with which captions. Imports torch.

Every draw comes from a generator of its own seed, epoch or step, never from where an earlier draw left off: a
resumed run, and each of several processes, draws what an unbroken run of one process would.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor

from ml.data.pairs import Corpus, Pair
from ml.data.tokenizer import tokenize
from ml.training.augment import random_views
from ml.training.config import FinetuneConfig
from ml.training.distillation_targets import Lesson
from ml.training.distributed import Processes

ORDER: Final = 0
CAPTIONS: Final = 1
VIEWS: Final = 2


@dataclass(frozen=True)
class Batch:
    """One process's share of a step."""

    views: Tensor
    """(n, 3, s, s) float32 in about −1 to 1."""
    token_ids: Tensor
    """(n, tokens) int64."""
    options: Tensor
    """(n, k) numbers of the captions that are true of each photo, −1 where there are fewer."""
    numbers: Tensor
    """(n,) those of the captions shown."""
    targets: Tensor | None = None
    """(n, f) a teacher's features, unit norm."""
    taught: Tensor | None = None
    """(n, width) vectors that those of the photos should be, unit norm."""

    def split(self, parts: int) -> list["Batch"]:
        """As many equal batches."""
        if parts == 1:
            return [self]
        size = len(self.views) // parts
        return [self.part(slice(at, at + size)) for at in range(0, size * parts, size)]

    def part(self, rows: slice) -> "Batch":
        targets = None if self.targets is None else self.targets[rows]
        taught = None if self.taught is None else self.taught[rows]
        return Batch(
            self.views[rows], self.token_ids[rows], self.options[rows], self.numbers[rows], targets, taught
        )


class Captions:
    """Every caption of the pairs, tokenised once; a photo draws one of its own each time it is shown.

    Half the draws are the first caption, the title; the others are spread over the descriptions.
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
        """(n,) caption numbers, one for each of rows (n,)."""
        options = self.options[rows]
        weights = (options >= 0).float()
        weights[:, 0] = weights[:, 1:].sum(dim=1).clamp(min=1)
        drawn = torch.multinomial(weights, 1, generator=random)
        return options.gather(1, drawn).squeeze(1)


class Shown:
    """The training photos with all that is drawn for them."""

    def __init__(
        self,
        config: FinetuneConfig,
        corpus: Corpus,
        tokenizer: Tokenizer,
        lesson: Lesson | None,
        processes: Processes,
    ) -> None:
        self.config = config
        self.processes = processes
        self.targets = None if lesson is None else torch.from_numpy(lesson.features)
        self.taught = None if lesson is None or lesson.vectors is None else torch.from_numpy(lesson.vectors)
        self.rows = shown_rows(corpus, corpus.rows("train"), config.repeats)
        self.captions = Captions(corpus.pairs, tokenizer)
        self.pixels = torch.from_numpy(corpus.pixels)

    def epoch(self, number: int) -> Sequence[Tensor]:
        """The rows of each step of an epoch, all processes' together."""
        random = generator(self.config.seed, ORDER, number)
        parts = self.processes.count * self.config.accumulate
        return [rows[: len(rows) // parts * parts] for rows in batches(self.rows, self.config.batch, random)]

    def batch(self, rows: Tensor, step: int, size: int) -> Batch:
        """This process's share of a step's rows (n,), in views of size × size."""
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
            None if self.targets is None else self.targets[rows].to(device),
            None if self.taught is None else self.taught[rows].to(device),
        )


def generator(*numbers: int) -> torch.Generator:
    """A generator of its own for every sequence of numbers."""
    seed = np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(seed >> np.uint64(1)))


def shown_rows(corpus: Corpus, train: NDArray[np.int64], repeats: int) -> Tensor:
    """The rows of one epoch: those of photos without a title `repeats` times."""
    times = [1 if corpus.pairs[row].title else repeats for row in train]
    return torch.from_numpy(np.repeat(train, times))


def batches(rows: Tensor, size: int, random: torch.Generator) -> Sequence[Tensor]:
    """One epoch's rows in random order; those that fill no whole batch wait for another epoch."""
    order = rows[torch.randperm(len(rows), generator=random)]
    return [batch for batch in torch.split(order, size) if len(batch) == size] or [order]
