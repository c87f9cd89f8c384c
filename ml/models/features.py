"""Vectors of a torch model, before export. Imports torch."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ml.models.serving_graph import to_unit_range


def squares(pixels: Tensor, size: int, share: float = 1.0) -> Tensor:
    """The centres of pixels (n, s, s, 3) uint8 as (n, 3, size, size) float32 in −1 to 1.

    share: of the side, that the centre has.
    """
    edge = round(pixels.shape[1] * (1 - share) / 2)
    photos = to_unit_range(pixels[:, edge : pixels.shape[1] - edge, edge : pixels.shape[2] - edge])
    if photos.shape[-1] == size:
        return photos
    return functional.interpolate(photos, (size, size), mode="bilinear", antialias=True)


def embed(
    tower: nn.Module, pixels: NDArray[np.uint8], size: int, share: float = 1.0, batch: int = 128
) -> NDArray[np.float32]:
    """(n, width) float32, unit norm, of the centres of pixels (n, s, s, 3) uint8: see squares.

    tower: in evaluation mode.
    """
    return np.concatenate([vectors.numpy() for vectors in outputs(tower, tower, pixels, size, share, batch)])


@torch.no_grad()
def outputs(
    tower: nn.Module,
    compute: Callable[[Tensor], Tensor],
    pixels: NDArray[np.uint8],
    size: int,
    share: float = 1.0,
    batch: int = 128,
) -> Iterator[Tensor]:
    """What `compute`, a part of the tower, makes of batches of pixels: see embed."""
    device = next(tower.parameters()).device
    for part in torch.split(torch.from_numpy(pixels), batch):
        yield compute(squares(part.to(device), size, share)).cpu()
