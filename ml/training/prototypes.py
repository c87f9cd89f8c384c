"""Learned vectors of label classes, which photos are pulled to. Imports torch."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ml.data.corpus import Corpus
from ml.data.pairs import Pair

INVERSE_TEMPERATURE: Final = 14.0
"""Factor on the cosine between a photo's vector and a prototype, before softmax."""
SMOOTHING: Final = 0.05
"""Share of the target that is spread over all classes that compete."""


@dataclass(frozen=True)
class LabelClasses:
    """The classes of a corpus at each level: type, type and gender, type and gender and colour."""

    numbers: Tensor
    """(n, levels) int64 class of each photo; −1 where the train split has none of its class, or where its
    label is missing although others of its source have one."""
    sources: Tensor
    """(n,) int64 source of each photo."""
    source_of: tuple[Tensor, ...]
    """For each level (classes,) int64: the source whose photos a class has."""


def label_classes(corpus: Corpus) -> LabelClasses:
    """The classes of the train split."""
    train = corpus.rows("train")
    order = {source: number for number, source in enumerate(corpus.sources)}
    numbers, source_of = [], []
    for level in zip(*map(class_names, corpus.pairs), strict=True):
        found = {level[row] for row in train}
        labelled = {source for source, *_, label in found if label}
        found = {(source, *labels) for source, *labels in found if labels[-1] or source not in labelled}
        known = {name: number for number, name in enumerate(sorted(found))}
        numbers.append([known.get(name, -1) for name in level])
        source_of.append(torch.tensor([order[source] for source, *_ in known], dtype=torch.int64))
    sources = torch.tensor([order[pair.source] for pair in corpus.pairs])
    return LabelClasses(torch.from_numpy(np.array(numbers, dtype=np.int64).T), sources, tuple(source_of))


def class_names(pair: Pair) -> list[tuple[str, ...]]:
    """The name of a pair's class at each level."""
    labels = (pair.source, pair.labels.type, pair.labels.gender, pair.labels.colour)
    return [labels[:length] for length in (2, 3, 4)]


class Prototypes(nn.Module):
    """A vector for each class. Classes of one source alone compete: others may name the same thing."""

    def __init__(self, classes: LabelClasses, width: int) -> None:
        super().__init__()
        self.vectors = nn.ParameterList(torch.randn(len(level), width) * 0.05 for level in classes.source_of)
        for level, source_of in enumerate(classes.source_of):
            self.register_buffer(f"source_of_{level}", source_of)

    def forward(self, images: Tensor, numbers: Tensor, sources: Tensor) -> Tensor:
        """The sum over levels of the cross-entropy of a photo's own class, a scalar, mean over photos that
        have one.

        images: (n, width) float32, unit norm. numbers: (n, levels) int64, see LabelClasses. sources: (n,)
        int64.
        """
        losses = []
        for level, vectors in enumerate(self.vectors):
            rows = numbers[:, level] >= 0
            if not rows.any():
                losses.append(vectors.sum() * 0)
                continue
            others = self.get_buffer(f"source_of_{level}") != sources[rows, None]
            logits = INVERSE_TEMPERATURE * images[rows] @ functional.normalize(vectors, dim=-1).T
            losses_of = -logits.masked_fill(others, -torch.inf).log_softmax(dim=-1)
            own = losses_of.gather(1, numbers[rows, level, None]).squeeze(1)
            mean = losses_of.masked_fill(others, 0).sum(dim=1) / (~others).sum(dim=1)
            losses.append(((1 - SMOOTHING) * own + SMOOTHING * mean).mean())
        return torch.stack(losses).sum()
