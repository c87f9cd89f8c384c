"""Losses on the pairings of a batch, for one process and for many. Imports torch."""

import torch
from torch import Tensor
from torch.nn import functional

from ml.models.global_batch_norm import process_count
from ml.training.distributed import from_neighbour, passed


def sigmoid_loss(images: Tensor, texts: Tensor, matches: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    """Mean over the n photos of the summed loss of their m pairings (arXiv 2303.15343, algorithm 1).

    A caption may be true of several photos: every red hat matches the text "red hat", and every hat "hat".
    Counting these as negatives would teach the opposite.

    images: (n, d), texts: (m, d), unit norm. matches: (n, m) bool, whether a column's text is true of a row's
    photo. scale, bias: scalars; the logit of a pairing is scale · cosine + bias.
    """
    logits = images @ texts.T * scale + bias
    signs = matches.to(logits.dtype) * 2 - 1
    return -functional.logsigmoid(signs * logits).sum() / len(images)


def matches(options: Tensor, numbers: Tensor) -> Tensor:
    """(n, m) bool: whether the captions numbers (m,) are among the true ones, options (n, k), of n photos."""
    found = torch.zeros(len(options), len(numbers), dtype=torch.bool, device=options.device)
    for option in options.unbind(dim=1):
        found |= option[:, None] == numbers
    return found


def chunked_sigmoid_loss(
    images: Tensor, texts: Tensor, options: Tensor, numbers: Tensor, scale: Tensor, bias: Tensor
) -> Tensor:
    """The sigmoid loss of this process's photos against the texts of all, exact in value and gradient.

    Texts go round from neighbour to neighbour (arXiv 2303.15343, section 3.3), so that no process ever holds
    all pairings, and their gradients go back the same way. The mean of all processes' losses is the loss of
    the global batch; so is that of their gradients, which DistributedDataParallel takes.

    images, texts: (n, d), unit norm, n the same in every process. options: (n, k) the numbers of the captions
    that are true of each photo, −1 where there are fewer. numbers: (n,) those of texts.
    """
    loss = sigmoid_loss(images, texts, matches(options, numbers), scale, bias)
    for _ in range(process_count() - 1):
        texts, numbers = from_neighbour(texts), passed(numbers, 1)
        loss = loss + sigmoid_loss(images, texts, matches(options, numbers), scale, bias)
    return loss


def chunked_relation_loss(images: Tensor, targets: Tensor) -> Tensor:
    """Mean squared difference between cosines of photo vectors and cosines of their targets; a scalar.

    Over this process's photos times all photos of the global batch, exact in value and gradient as
    chunked_sigmoid_loss is (relational distillation: arXiv 1904.05068, section 3.2, with cosines).

    images: (n, d), unit norm, n the same in every process. targets: (n, w), unit norm.
    """
    others, other_targets = images, targets
    loss = (images @ others.T - targets @ other_targets.T).square().mean()
    for _ in range(process_count() - 1):
        others, other_targets = from_neighbour(others), passed(other_targets, 1)
        loss = loss + (images @ others.T - targets @ other_targets.T).square().mean()
    return loss / process_count()
