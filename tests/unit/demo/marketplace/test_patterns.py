"""Textures of two colours."""

import numpy as np
import pytest

from demo.marketplace.patterns import PATTERNS, mixed, texture

RED, BLUE = (220, 20, 20), (20, 20, 220)


def test_a_plain_texture_is_one_colour() -> None:
    """Every pixel is the main colour."""
    assert texture("plain", RED, BLUE, 1, 64).getcolors() == [(64 * 64, RED)]


@pytest.mark.parametrize("name", [name for name in PATTERNS if name != "plain"])
def test_every_other_texture_shows_both_colours(name: str) -> None:
    """Each colour, or one mixed of it, covers at least a fiftieth."""
    levels = np.asarray(texture(name, RED, BLUE, 3, 128), dtype=int)
    assert (levels[:, :, 0] > levels[:, :, 2]).mean() > 0.02
    assert (levels[:, :, 2] > levels[:, :, 0]).mean() > 0.02


@pytest.mark.parametrize("name", [name for name in PATTERNS if name != "plain"])
def test_a_grain_gives_the_same_texture_and_another_grain_another(name: str) -> None:
    """Among ten grains there are at least two drawings, and each is repeatable."""
    drawn = [texture(name, RED, BLUE, grain, 64).tobytes() for grain in range(10)]
    assert drawn == [texture(name, RED, BLUE, grain, 64).tobytes() for grain in range(10)]
    assert len(set(drawn)) > 1


def test_stripes_are_horizontal_and_pinstripes_vertical() -> None:
    """Rows of stripes are of one colour, and so are columns of pinstripes."""
    assert np.asarray(texture("stripes", RED, BLUE, 1, 64)).std(axis=1).max() == 0
    assert np.asarray(texture("pinstripes", RED, BLUE, 1, 64)).std(axis=0).max() == 0


def test_mixing_goes_from_one_colour_to_the_other() -> None:
    """None, half and all of the other."""
    assert [mixed((0, 100, 200), (100, 0, 200), share) for share in (0, 0.5, 1)] == [
        (0, 100, 200),
        (50, 50, 200),
        (100, 0, 200),
    ]
