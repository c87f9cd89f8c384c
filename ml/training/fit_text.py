"""The last training of the text tower, on finished photo vectors. Imports torch."""

from collections.abc import Iterator
from itertools import islice
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor
from tqdm import tqdm

from ml.data.corpus import Corpus
from ml.models.two_towers import TwoTowers
from ml.training.batches import CAPTIONS, ORDER, Captions, batches, generator
from ml.training.config import FinetuneConfig
from ml.training.learner import parameter_groups
from ml.training.loss import matches, sigmoid_loss
from ml.training.schedule import learning_rate

EPOCHS: Final = 60
MOST_STEPS: Final = 3000
"""With more than about 13,000 photos these are fewer than EPOCHS."""
BATCH: Final = 256


def fit_text(
    config: FinetuneConfig,
    model: TwoTowers,
    corpus: Corpus,
    tokenizer: Tokenizer,
    vectors: NDArray[np.float32],
) -> None:
    """Train the text tower, in place, to give the captions of the train split vectors near their photos'. The
    image tower can no longer be trained afterwards.

    The photos' vectors stay as they are (locked-image tuning, arXiv 2111.07991). During the training of both
    towers a caption is compared with the output of the image tower's head alone, which is a part of a photo's
    vector and counts more in some than in others.

    vectors: (n, dims) float32, unit norm, of the train split's photos, as served.
    """
    model.image.requires_grad_(False)
    optimizer = torch.optim.AdamW(parameter_groups(model, config))
    captions, rows = Captions(corpus.pairs, tokenizer), torch.from_numpy(corpus.rows("train"))
    photos = torch.from_numpy(vectors)
    steps = min(EPOCHS * max(1, len(rows) // BATCH), MOST_STEPS)
    orders = islice(random_orders(len(rows), config.seed), steps)
    for step, order in enumerate(tqdm(orders, "captions", steps, unit="step", disable=None)):
        numbers = captions.draw(rows[order], generator(config.seed, CAPTIONS, step))
        matching = matches(captions.options[rows[order]], numbers)
        texts = model.text(captions.token_ids[numbers])
        loss = sigmoid_loss(photos[order], texts, matching, model.log_scale.exp(), model.bias)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(config, step / steps) * group["share"]
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()


def random_orders(count: int, seed: int) -> Iterator[Tensor]:
    """The positions (BATCH,) int64 of each step's photos among `count`, of one epoch after another."""
    for epoch in range(EPOCHS):
        yield from batches(torch.arange(count), BATCH, generator(seed, ORDER, epoch))
