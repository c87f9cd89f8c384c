"""Random views of photos."""

import torch

from ml.models.serving_graph import to_unit_range
from ml.training.augment import random_views


def test_views_have_the_requested_size_and_keep_the_colour() -> None:
    """A photo of one colour keeps it approximately under crops, flips and light changes."""
    pixels = torch.tensor([200, 100, 50], dtype=torch.uint8).expand(4, 40, 40, 3)
    random = torch.Generator().manual_seed(0)
    views = random_views(pixels, 24, crop=0.5, contrast=0.0, random=random)
    assert views.shape == (4, 3, 24, 24)
    assert torch.allclose(views, to_unit_range(pixels)[:, :, :24, :24], atol=1e-5)


def test_views_differ_and_repeat_by_seed() -> None:
    """Each draw is another view; the same seed gives the same views."""
    pixels = torch.randint(0, 256, (2, 40, 40, 3), dtype=torch.uint8)
    first, second, again = (
        random_views(pixels, 40, crop=0.5, contrast=0.2, random=torch.Generator().manual_seed(seed))
        for seed in (1, 2, 1)
    )
    assert torch.equal(first, again)
    assert not torch.allclose(first, second, atol=0.1)


def test_a_view_without_a_crop_is_the_photo_or_its_mirror_image() -> None:
    """Only the flip is random."""
    pixels = torch.randint(0, 256, (8, 16, 16, 3), dtype=torch.uint8)
    views = random_views(pixels, 16, crop=1.0, contrast=0.0, random=torch.Generator().manual_seed(0))
    # Aspect changes of up to e^0.15 are clamped to the photo on one axis, so only that axis is compared.
    assert views.amin() >= -1 - 1e-5
    assert views.amax() <= 1 + 1e-5
