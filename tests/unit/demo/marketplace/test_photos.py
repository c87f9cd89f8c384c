"""Photos: drawn on demand, the same every time, similar for one design and different for others."""

import io
from dataclasses import replace
from itertools import count

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from demo.marketplace.backgrounds import BACKGROUNDS
from demo.marketplace.catalogue import TYPES
from demo.marketplace.designs import Design, design_at
from demo.marketplace.listings import photos_at
from demo.marketplace.patterns import PATTERNS
from demo.marketplace.photos import PhotoSpec, draw_photo, encode_photo
from demo.marketplace.random_source import Purpose, stream
from demo.marketplace.scene import Habit, Scene, draw_scene

STUDIO = Habit("studio", 0, 0.0, 1.0)
DARK = (60, 40, 90)


def make_scene(**changes: object) -> Scene:
    """A straight photo on white without noise, changed as asked."""
    scene = draw_scene(stream(1, Purpose.PHOTO, 1), STUDIO)
    straight: dict[str, object] = {
        "background": "studio",
        "variant": 1,
        "angle": 0.0,
        "scale": 0.9,
        "offset": (0.0, 0.0),
        "tilt": (0.0, 0.0),
        "brightness": 1.0,
        "warmth": 0.0,
        "vignette": 0.0,
        "light": (0.0, 0.0),
        "noise": 0.0,
        "mirrored": False,
    }
    return replace(scene, **{**straight, **changes})  # type: ignore[arg-type]  # a test's keyword arguments


def first_design(name: str) -> Design:
    return next(design for n in count() if (design := design_at(n, 7)).item_type.name == name)


def pixels(spec: PhotoSpec, size: int = 96) -> NDArray[np.float64]:
    return np.asarray(draw_photo(spec, size), dtype=np.float64)


def colours(spec: PhotoSpec) -> NDArray[np.float64]:
    """A colour histogram of the middle of the photo, 8 × 8 × 8 bins that sum to 1: (512,)."""
    middle = pixels(spec)[24:72, 24:72].reshape(-1, 3)
    counts, _ = np.histogramdd(middle, bins=8, range=[(0, 256)] * 3)
    shares: NDArray[np.float64] = (counts / counts.sum()).ravel()
    return shares


def test_a_photo_has_the_same_bytes_each_time_it_is_drawn() -> None:
    """Same specification, same JPEG; another listing's differs."""
    spec = photos_at(3, 7)[0]
    assert encode_photo(spec, 128) == encode_photo(photos_at(3, 7)[0], 128)
    assert encode_photo(spec, 128) != encode_photo(photos_at(4, 7)[0], 128)


def test_a_photo_is_a_jpeg_of_the_size_asked_for() -> None:
    """RGB, square, at the seller's quality."""
    with Image.open(io.BytesIO(encode_photo(photos_at(3, 7)[0], 200))) as photo:
        assert (photo.format, photo.mode, photo.size) == ("JPEG", "RGB", (200, 200))


def test_size_changes_only_the_detail() -> None:
    """A photo at 320 px, reduced, is the photo at 160 px within a few levels."""
    spec = PhotoSpec(first_design("mug"), make_scene())
    reduced = draw_photo(spec, 320).resize((160, 160), Image.Resampling.BOX)
    difference = np.abs(np.asarray(reduced, dtype=np.float64) - pixels(spec, 160))
    assert difference.mean() < 4


@pytest.mark.parametrize("name", [kind.name for kind in TYPES])
def test_every_type_fills_a_good_part_of_its_photo(name: str) -> None:
    """Drawn on white with a dark body, between 6 % and 75 % of the photo is not background."""
    design = replace(first_design(name), rgb=DARK, pattern="plain")
    dark = (pixels(PhotoSpec(design, make_scene(shadow=0.0))).min(axis=2) < 200).mean()
    assert 0.06 < dark < 0.75


def in_one_dark_colour(design: Design, form: tuple[float, float, float]) -> Design:
    return replace(design, rgb=DARK, second_rgb=DARK, pattern="plain", form=form)


def test_no_two_types_have_the_same_outline() -> None:
    """With equal colours, any two types differ in at least 2 % of the pixels."""
    designs = [in_one_dark_colour(first_design(kind.name), (0.5, 0.5, 0.5)) for kind in TYPES]
    shapes = [pixels(PhotoSpec(design, make_scene(shadow=0.0))).min(axis=2) < 200 for design in designs]
    for n, shape in enumerate(shapes):
        for other in shapes[n + 1 :]:
            assert (shape != other).mean() > 0.02


@pytest.mark.parametrize("name", [kind.name for kind in TYPES])
def test_every_type_comes_in_several_cuts(name: str) -> None:
    """Both ends of its form look different in the same colours."""
    design = first_design(name)
    one, other = (
        pixels(PhotoSpec(in_one_dark_colour(design, form), make_scene()))
        for form in ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    )
    assert np.abs(one - other).mean() > 0.3


def test_every_pattern_shows_on_a_shirt() -> None:
    """Each pattern of the same two colours changes the photo, and no two look the same."""
    shirt = replace(first_design("t shirt"), rgb=(200, 40, 40), second_rgb=(30, 60, 160))
    drawn = [pixels(PhotoSpec(replace(shirt, pattern=pattern), make_scene())) for pattern in PATTERNS]
    for n, one in enumerate(drawn):
        for other in drawn[n + 1 :]:
            assert np.abs(one - other).mean() > 0.5


def test_every_background_differs_from_the_others() -> None:
    """The same shirt lies on visibly different grounds."""
    shirt = first_design("t shirt")
    corners = [
        pixels(PhotoSpec(shirt, make_scene(background=name)))[:20, :20].mean(axis=(0, 1))
        for name in BACKGROUNDS
    ]
    assert len({tuple(corner.round(-1)) for corner in corners}) == len(BACKGROUNDS)


def test_photos_of_one_design_are_nearer_in_colour_than_photos_of_others() -> None:
    """For nine designs of ten, its second photo shares more colours with the first than the median other."""
    designs = [design_at(n, 7) for n in range(60)]
    first = [colours(PhotoSpec(d, draw_scene(stream(1, Purpose.PHOTO, d.number), STUDIO))) for d in designs]
    second = [colours(PhotoSpec(d, draw_scene(stream(2, Purpose.PHOTO, d.number), STUDIO))) for d in designs]
    shared = np.array([[np.minimum(one, other).sum() for other in second] for one in first])
    own, others = np.diag(shared), np.median(shared, axis=1)
    assert (own > others).mean() >= 0.9


@pytest.mark.parametrize(
    ("change", "darker"),
    [
        ({"brightness": 0.7}, True),
        ({"vignette": 0.8}, True),
        ({"shadow": 0.9}, True),
        ({"brightness": 1.2}, False),
    ],
)
def test_light_acts_on_the_whole_photo(change: dict[str, float], darker: bool) -> None:
    """Less light, a vignette or a deeper shadow darken a photo; more light brightens it."""
    design = first_design("sweater")
    before = pixels(PhotoSpec(design, make_scene(brightness=0.9, shadow=0.2))).mean()
    after = pixels(PhotoSpec(design, make_scene(**{"brightness": 0.9, "shadow": 0.2, **change}))).mean()
    assert (after < before) == darker


def test_warm_light_adds_red_and_takes_blue() -> None:
    """The white corner of a studio photo turns yellowish."""
    red, _, blue = pixels(PhotoSpec(first_design("ball"), make_scene(brightness=0.8, warmth=0.1)))[2, 2]
    assert red > blue + 20


def test_a_camera_that_comes_closer_shows_a_larger_item() -> None:
    """A larger scale leaves less background."""
    design = replace(first_design("sofa"), rgb=DARK, second_rgb=DARK, pattern="plain")
    far, near = (
        (pixels(PhotoSpec(design, make_scene(scale=scale))).min(axis=2) < 200).mean() for scale in (0.7, 1.1)
    )
    assert near > far * 1.8


def test_an_item_partly_outside_the_photo_is_drawn() -> None:
    """The canvas is cut at the photo's edge."""
    left = pixels(PhotoSpec(first_design("plush"), make_scene(offset=(-0.45, 0.0), brightness=0.8)))
    assert left[:, :40].std() > 3 * left[:, 70:].std()
