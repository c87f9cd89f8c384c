"""Helpers for the tests of pair shards."""

from pathlib import Path

from click.testing import CliRunner, Result

from ml.cli import group
from ml.data.pair_shards import read_shards
from ml.data.pairs import Pair
from tests.unit.ml.conftest import COLOURS, TYPES, draw_photo, write_listings


def make_shop(folder: Path, events: list[dict[str, object]]) -> Path:
    """A listings.jsonl whose photos exist, each of another seed unless the event names a photo of its own."""
    for number, event in enumerate(events):
        colour, kind = list(COLOURS)[number % 4], list(TYPES)[number % 3]
        photo = folder / "images" / f"{event['item_id']}.png"
        if not photo.exists():
            draw_photo(photo, colour, kind, number)
    folder.mkdir(exist_ok=True)
    return write_listings(folder, events)


def write(*arguments: str | Path) -> Result:
    """Run `nitamono ml pairs`."""
    return CliRunner().invoke(group, ["pairs", *map(str, arguments)])


def read(folder: Path) -> dict[str, Pair]:
    """The pairs of a folder of shards by item id."""
    return {pair.item_id: pair for pair in read_shards(folder)}
