"""Losses on the pairings of a batch, over one or several processes. Imports torch."""

import torch
from torch import Tensor
from torch.nn import functional

from ml.training.distributed import from_neighbour, process_count, shift_ring


def sigmoid_loss(images: Tensor, texts: Tensor, matches: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    """The mean over n photos of the sum over their m pairings, a scalar (arXiv 2303.15343, algorithm 1).

    A caption may match several photos: every red hat matches "red hat", and every hat "hat". Counting these
    as negatives would teach the opposite.

    images: (n, d) float32, texts: (m, d) float32, unit norm. matches: (n, m) bool, whether a column's text
    matches a row's photo. scale, bias: scalars; the logit of a pairing is scale · cosine + bias.
    """
    logits = images @ texts.T * scale + bias
    signs = matches.to(logits.dtype) * 2 - 1
    return -functional.logsigmoid(signs * logits).sum() / len(images)


def matches(options: Tensor, numbers: Tensor) -> Tensor:
    """(n, m) bool: whether captions numbers (m,) int64 are among options (n, k) int64 of n photos."""
    found = torch.zeros(len(options), len(numbers), dtype=torch.bool, device=options.device)
    for option in options.unbind(dim=1):
        found |= option[:, None] == numbers
    return found


def chunked_sigmoid_loss(
    images: Tensor, texts: Tensor, options: Tensor, numbers: Tensor, scale: Tensor, bias: Tensor
) -> Tensor:
    """The sigmoid loss of this process's photos against the texts of all, exact in value and gradient.

    Texts are passed around a ring of processes (arXiv 2303.15343, section 3.3), so that no process holds all
    pairings, and their gradients are passed back. The mean of all processes' losses is the loss of the global
    batch, and the mean of their gradients, which DistributedDataParallel computes, is its gradient.

    images, texts: (n, d) float32, unit norm; n is equal in all processes. options: (n, k) int64 numbers of
    the captions that match each photo, padded with −1. numbers: (n,) int64, those of texts.
    """
    loss = sigmoid_loss(images, texts, matches(options, numbers), scale, bias)
    for _ in range(process_count() - 1):
        texts, numbers = from_neighbour(texts), shift_ring(numbers, 1)
        loss = loss + sigmoid_loss(images, texts, matches(options, numbers), scale, bias)
    return loss
