"""The contact sheet, and the errors of `nitamono demo contact-sheet`."""

from __future__ import annotations

import pytest
from click.testing import CliRunner
from PIL import Image

from demo import contact_sheet
from demo.cli import group
from demo.contact_sheet import CAPTION, GAP, THUMBNAIL, Row, draw_contact_sheet
from mappings.image_roots import ImageRoots
from mappings.listing import ListingDocument
from tests.free_port import free_port

RED, GREY = (255, 0, 0), (216, 216, 216)


def make_document(*images):
    """A stored listing with these photos."""
    return ListingDocument.model_validate(
        {
            "item_id": "m1",
            "category": ["Apparel", "Skirts"],
            "category_paths": ["Apparel", "Apparel > Skirts"],
            "price": 1290,
            "currency": "JPY",
            "seller_id": "s1",
            "status": "on_sale",
            "created_at": "2026-01-01T09:00:00Z",
            "updated_at": "2026-01-02T09:00:00Z",
            "images": images,
            "encoder_id": "colour-00000001",
            "indexed_at": "2026-01-02T09:00:01Z",
        }
    )


@pytest.fixture
def roots(tmp_path):
    """A folder with a red photo and with two files that are not complete photos."""
    Image.new("RGB", (60, 40), RED).save(tmp_path / "red.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "red.png").read_bytes()[:60])
    (tmp_path / "note.jpg").write_text("not a photo")
    return ImageRoots((tmp_path,))


@pytest.fixture
def stopped_system(tmp_path):
    """The settings of a system whose Elasticsearch does not run."""
    return {
        "NITAMONO_STATE_DIR": str(tmp_path / "state"),
        "ELASTICSEARCH_URL": f"http://127.0.0.1:{free_port()}",
        "ELASTICSEARCH_MAX_RETRIES": "0",
        "NITAMONO_REDIS_URL": "",
    }


def invoke(environ, out):
    """Run `nitamono demo contact-sheet --out OUT`."""
    return CliRunner().invoke(group, ["contact-sheet", "--out", str(out)], env=environ)


def colours(sheet, row=0):
    """The colour in the middle of each thumbnail of a row."""
    top = GAP + row * (THUMBNAIL + CAPTION + GAP) + THUMBNAIL // 2
    lefts = range(2 * GAP + THUMBNAIL // 2, sheet.width, THUMBNAIL + GAP)
    return [sheet.getpixel((left, top)) for left in lefts]


def test_similar_photos_are_right_of_the_query(roots):
    """One row a query, one column an item; a row with fewer similar ones ends earlier."""
    red = make_document("red.png")
    sheet = draw_contact_sheet([Row(red, (red, red)), Row(red, (red,))], roots)
    assert sheet.size == (3 * (THUMBNAIL + GAP) + 2 * GAP, 2 * (THUMBNAIL + CAPTION + GAP) + GAP)
    assert colours(sheet) == [RED, RED, RED]
    assert colours(sheet, row=1) == [RED, RED, (255, 255, 255)]


@pytest.mark.parametrize(
    "images",
    [["gone.png"], ["https://photos.example/1.jpg"], ["../red.png"], ["cut.png"], ["note.jpg"], []],
    ids=["missing", "remote", "outside", "truncated", "not a photo", "none"],
)
def test_a_photo_that_cannot_be_shown_is_a_grey_square(roots, images):
    """The rest of the sheet is drawn."""
    red, lacking = make_document("red.png"), make_document(*images)
    sheet = draw_contact_sheet([Row(lacking, (red, lacking, red))], roots)
    assert colours(sheet) == [GREY, RED, GREY, RED]


def test_an_unknown_format_is_refused_first(stopped_system, tmp_path):
    """The message lists the formats."""
    answer = invoke(stopped_system, tmp_path / "c.xyz")
    assert answer.exit_code == 2
    assert "should end in .jpg, .jpeg or .png" in answer.output


def test_an_unreachable_elasticsearch_is_reported(stopped_system, tmp_path):
    """One message says what does not answer and how to start it."""
    answer = invoke(stopped_system, tmp_path / "c.jpg")
    assert answer.exit_code == 1
    assert answer.output.startswith("Error: Elasticsearch does not answer")
    assert "`make up`" in answer.output


def test_an_invalid_elasticsearch_url_is_reported(stopped_system, tmp_path):
    """A URL without scheme and port ends with a message that names the variable."""
    answer = invoke({**stopped_system, "ELASTICSEARCH_URL": "localhost"}, tmp_path / "c.jpg")
    assert answer.output.startswith("Error: ELASTICSEARCH_URL is localhost"), answer.exception
    assert answer.exit_code == 1


def test_a_missing_folder_is_reported(stopped_system, tmp_path, roots, monkeypatch):
    """The path and the reason are named."""
    red = make_document("red.png")
    monkeypatch.setattr(contact_sheet, "find_rows", lambda *_, **__: [Row(red, ())])
    out = tmp_path / "nope" / "c.jpg"
    answer = invoke(stopped_system, out)
    assert answer.exit_code == 1
    assert answer.output == f"Error: {out} cannot be written: No such file or directory\n"


@pytest.mark.parametrize("name", ["c.jpg", "c.PNG"])
def test_the_sheet_is_written(stopped_system, tmp_path, monkeypatch, name):
    """The image is at the given path, and its rows are counted."""
    row = Row(make_document("gone.png"), ())
    monkeypatch.setattr(contact_sheet, "find_rows", lambda *_, **__: [row, row])
    answer = invoke(stopped_system, tmp_path / name)
    assert (answer.exit_code, answer.output) == (0, f"{tmp_path / name}: 2 queries\n")
    with Image.open(tmp_path / name) as sheet:
        assert sheet.height == 2 * (THUMBNAIL + CAPTION + GAP) + GAP


def test_an_empty_index_is_reported(stopped_system, tmp_path, monkeypatch):
    """The message says how to index listings."""
    monkeypatch.setattr(contact_sheet, "find_rows", lambda *_, **__: [])
    answer = invoke(stopped_system, tmp_path / "c.jpg")
    assert (answer.exit_code, "make demo" in answer.output) == (1, True)
    assert not (tmp_path / "c.jpg").exists()
