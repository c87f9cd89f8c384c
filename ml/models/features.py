"""Vectors of a torch model, before export. Imports torch."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ml.models.serving_graph import to_unit_range


def squares(pixels: Tensor, size: int) -> Tensor:
    """Resize pixels (n, s, s, 3) uint8 to (n, 3, size, size) float32 in −1 to 1."""
    photos = to_unit_range(pixels)
    if photos.shape[-1] == size:
        return photos
    return functional.interpolate(photos, (size, size), mode="bilinear", antialias=True)


@torch.no_grad()
def embed(tower: nn.Module, pixels: NDArray[np.uint8], size: int, batch: int = 128) -> NDArray[np.float32]:
    """(n, width) float32, unit norm, of pixels (n, s, s, 3) uint8 resized to size × size.

    tower: in evaluation mode.
    """
    device = next(tower.parameters()).device
    parts = torch.split(torch.from_numpy(pixels), batch)
    return np.concatenate([tower(squares(part.to(device), size)).cpu().numpy() for part in parts])
