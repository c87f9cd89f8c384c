"""The sigmoid contrastive loss. Imports torch."""

from torch import Tensor
from torch.nn import functional


def sigmoid_loss(images: Tensor, texts: Tensor, matches: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    """Mean over the n photos of the summed loss of their n pairings (arXiv 2303.15343, algorithm 1).

    A caption may be true of several photos: every red hat matches the text "red hat", and every hat "hat".
    Counting these as negatives would teach the opposite.

    images, texts: (n, d), unit norm. matches: (n, n) bool, whether a column's text is true of a row's photo.
    scale, bias: scalars; the logit of a pairing is scale · cosine + bias.
    """
    logits = images @ texts.T * scale + bias
    signs = matches.to(logits.dtype) * 2 - 1
    return -functional.logsigmoid(signs * logits).sum() / len(images)
