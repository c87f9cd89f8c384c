"""Random views of photos, for training. Imports torch."""

import torch
from torch import Tensor
from torch.nn import functional

from ml.models.serving_graph import to_unit_range


def random_views(
    pixels: Tensor,
    size: int,
    *,
    crop: float,
    contrast: float,
    random: torch.Generator,
    first: int = 0,
    total: int | None = None,
) -> Tensor:
    """(n, 3, size, size) float32 in about −1 to 1: random crops, flips, brightness and contrast.

    pixels: (n, h, w, 3) uint8. crop: smallest share of the area kept. contrast: largest change, as a share.
    first, total: draw for `total` photos of all processes, and use the n draws from `first` on.
    """
    count = len(pixels)

    def uniform(low: float, high: float, columns: int = 1) -> Tensor:
        drawn = torch.rand(total or count, columns, generator=random)[first : first + count]
        return drawn * (high - low) + low

    side = uniform(crop, 1).sqrt()
    stretch = uniform(-0.15, 0.15).exp()
    sides = torch.cat([(side * stretch).clamp(max=1), (side / stretch).clamp(max=1)], dim=1)
    centres = uniform(-1, 1, 2) * (1 - sides)
    mirror = torch.cat([(uniform(0, 1) < 0.5).float() * 2 - 1, torch.ones(count, 1)], dim=1)
    window = torch.cat([torch.diag_embed(sides * mirror), centres.unsqueeze(-1)], dim=2)
    grid = functional.affine_grid(window, [count, 3, size, size], align_corners=False)
    photos = to_unit_range(pixels)
    views = functional.grid_sample(photos, grid, padding_mode="border", align_corners=False)
    gain = 1 + uniform(-contrast, contrast)[..., None, None]
    return views * gain + uniform(-contrast, contrast)[..., None, None]
