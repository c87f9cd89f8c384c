"""The files on disk that a photo reference may lead to."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mappings.errors import UnsafePhotoPath
from mappings.image_roots import ImageRoots, is_remote


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    root = tmp_path / "shop"
    (root / "images").mkdir(parents=True)
    (root / "images" / "a.jpg").write_bytes(b"a")
    (tmp_path / "secret.txt").write_text("secret")
    return root


def refusal(roots: ImageRoots, reference: str) -> str:
    with pytest.raises(UnsafePhotoPath) as caught:
        roots.resolve(reference)
    assert "expected" in str(caught.value)
    return caught.value.reason


def test_relative_and_absolute_paths_below_a_root_are_found(shop: Path) -> None:
    """Both forms lead to the same file."""
    roots = ImageRoots((shop,))
    assert roots.resolve("images/a.jpg") == (shop / "images" / "a.jpg").resolve()
    assert roots.resolve(str(shop / "images" / "a.jpg")) == (shop / "images" / "a.jpg").resolve()


def test_second_root_is_tried_if_the_first_has_no_such_file(shop: Path, tmp_path: Path) -> None:
    """A relative path is tried below each root in turn."""
    (tmp_path / "empty").mkdir()
    assert ImageRoots((tmp_path / "empty", shop)).resolve("images/a.jpg").name == "a.jpg"


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        ("../secret.txt", "photo_outside_roots"),
        ("../../etc/passwd", "photo_outside_roots"),
        ("images/../../secret.txt", "photo_outside_roots"),
        ("/etc/passwd", "photo_outside_roots"),
        ("file:///etc/passwd", "photo_scheme_not_allowed"),
        ("FILE:/etc/passwd", "photo_scheme_not_allowed"),
        ("gopher://x/", "photo_scheme_not_allowed"),
        ("images/a.jpg\x00.png", "photo_scheme_not_allowed"),
        ("images/none.jpg", "photo_not_found"),
        ("images", "photo_not_a_file"),
    ],
)
def test_unsafe_reference_is_refused_with_its_reason(shop: Path, reference: str, reason: str) -> None:
    """A path outside the root, with a scheme, or not of a regular file."""
    assert refusal(ImageRoots((shop,)), reference) == reason


def test_symbolic_link_out_of_the_root_is_refused(shop: Path, tmp_path: Path) -> None:
    """A link is followed first; its target must be inside."""
    (shop / "link.jpg").symlink_to(tmp_path / "secret.txt")
    (shop / "alias.jpg").symlink_to(shop / "images" / "a.jpg")
    assert refusal(ImageRoots((shop,)), "link.jpg") == "photo_outside_roots"
    assert ImageRoots((shop,)).resolve("alias.jpg").name == "a.jpg"


def test_named_pipe_is_not_a_photo(shop: Path) -> None:
    """Reading it would block a worker forever."""
    os.mkfifo(shop / "pipe.jpg")
    assert refusal(ImageRoots((shop,)), "pipe.jpg") == "photo_not_a_file"


def test_path_that_cannot_be_followed_is_refused(shop: Path) -> None:
    """A loop of links, or a name that is too long, must not crash the worker."""
    (shop / "a-link").symlink_to(shop / "b-link")
    (shop / "b-link").symlink_to(shop / "a-link")
    # From Python 3.13 on, a circle is not followed and so is no file.
    assert refusal(ImageRoots((shop,)), "a-link") in {"photo_unreadable", "photo_not_found"}
    assert refusal(ImageRoots((shop,)), "x" * 300) in {"photo_unreadable", "photo_not_found"}


def test_folder_with_the_same_prefix_is_outside(shop: Path, tmp_path: Path) -> None:
    """`/data/shop-private` is not below `/data/shop`."""
    (tmp_path / "shop-private").mkdir()
    (tmp_path / "shop-private" / "a.jpg").write_bytes(b"a")
    assert refusal(ImageRoots((shop,)), "../shop-private/a.jpg") == "photo_outside_roots"


def test_without_roots_every_path_is_refused() -> None:
    """Nothing is readable until an operator allows it; the message says how."""
    with pytest.raises(UnsafePhotoPath, match="set NITAMONO_IMAGE_ROOTS"):
        ImageRoots().resolve("a.jpg")


def test_folder_allowed_later_is_seen_without_a_restart(shop: Path, tmp_path: Path) -> None:
    """A running worker reads the file of roots again; allowing a folder twice writes it once."""
    environ = {"NITAMONO_IMAGE_ROOTS_FILE": str(tmp_path / "roots")}
    roots = ImageRoots.from_environ(environ)
    assert refusal(roots, "images/a.jpg") == "photo_outside_roots"
    ImageRoots.from_environ(environ).allow(shop)
    ImageRoots.from_environ(environ).allow(shop)
    assert roots.resolve("images/a.jpg").name == "a.jpg"
    assert (tmp_path / "roots").read_text().count("\n") == 1


def test_roots_come_from_the_environment(shop: Path, tmp_path: Path) -> None:
    """Folders are separated as in PATH."""
    state = tmp_path / "state"
    environ = {"NITAMONO_IMAGE_ROOTS": f"{tmp_path}{os.pathsep}{shop}", "NITAMONO_STATE_DIR": str(state)}
    roots = ImageRoots.from_environ(environ)
    assert roots.allowed() == (tmp_path.resolve(), shop.resolve())
    roots.allow(tmp_path.parent)
    assert (state / "image-roots").read_text() == f"{tmp_path.parent.resolve()}\n"
    with pytest.raises(ValueError, match="NITAMONO_IMAGE_ROOTS_FILE"):
        ImageRoots().allow(shop)


@pytest.mark.parametrize(
    ("reference", "remote"),
    [
        ("https://x/a.jpg", True),
        ("HTTP://x", True),
        ("file:///x", False),
        ("a/b.jpg", False),
        ("ftp://x", False),
    ],
)
def test_only_http_references_are_remote(reference: str, remote: bool) -> None:
    """Only http and https are fetched."""
    assert is_remote(reference) is remote
