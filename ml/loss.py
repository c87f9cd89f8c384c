"""The sigmoid contrastive loss. Imports torch."""

from torch import Tensor
from torch.nn import functional


def sigmoid_loss(images: Tensor, texts: Tensor, captions: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    """Mean over the n photos of the summed loss of their n pairings (arXiv 2303.15343, algorithm 1).

    Equal captions are positives of each other: two photos of "red hat" both match the text "red hat", and
    counting one of them as a negative would teach the opposite.

    images, texts: (n, d), unit norm. captions: (n,) int64, equal where the caption is the same.
    scale, bias: scalars; the logit of a pairing is scale · cosine + bias.
    """
    logits = images @ texts.T * scale + bias
    signs = (captions[:, None] == captions[None, :]).to(logits.dtype) * 2 - 1
    return -functional.logsigmoid(signs * logits).sum() / len(images)
