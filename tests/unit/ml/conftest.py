"""A small shop of simple images, and an encoder that is trained on it in seconds."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ml.artifact import EncoderArtifact
from ml.configs.siglip_lite import SMOKE
from ml.data.corpus import Corpus
from ml.export.export_run import export_artifact
from ml.training.finetune import finetune
from ml.training.read_corpus import read_corpus

COLOURS = {"Red": (200, 30, 30), "Blue": (30, 30, 200), "Green": (30, 160, 30), "Black": (20, 20, 20)}
TYPES = {"Skirts": (8, 24, 40, 40), "Ties": (20, 4, 28, 44), "Belts": (2, 20, 46, 28)}


def draw_photo(path: Path, colour: str, kind: str, seed: int) -> None:
    """A box of the colour on white; its shape depends on the type, its position on the seed."""
    random = np.random.default_rng(seed)
    x, y = (int(shift) for shift in random.integers(-3, 4, size=2))
    image = Image.new("RGB", (48, 48), "white")
    left, top, right, bottom = TYPES[kind]
    image.paste(COLOURS[colour], (left + x, top + y, right + x, bottom + y))
    speckled = np.asarray(image).astype(int) + random.integers(-20, 21, size=(48, 48, 3))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(speckled.clip(0, 255).astype(np.uint8)).save(path)


def make_event(item_id: str = "m1", **changes: object) -> dict[str, object]:
    """A listing event with the fields that training reads."""
    event: dict[str, object] = {
        "item_id": item_id,
        "title": f"Plain red skirt {item_id}",
        "category": ["Apparel", "Skirts"],
        "price": 1200,
        "status": "on_sale",
        "images": [f"images/{item_id}.png"],
        "attributes": {"gender": "Women", "colour": "Red"},
    }
    return event | changes


def write_listings(folder: Path, events: list[dict[str, object]]) -> Path:
    """listings.jsonl in a folder."""
    path = folder / "listings.jsonl"
    path.write_text("".join(json.dumps(event) + "\n" for event in events), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The listings.jsonl of 96 photographed listings of three types in four colours."""
    folder = tmp_path_factory.mktemp("shop")
    events = []
    for number in range(96):
        colour = list(COLOURS)[number % 4]
        kind = list(TYPES)[number % 3]
        item_id = f"m{number}"
        draw_photo(folder / "images" / f"{item_id}.png", colour, kind, number)
        attributes = {"gender": "Women", "colour": colour}
        events.append(
            make_event(
                item_id,
                title=f"{colour} {kind} number {number}",
                category=["Apparel", kind],
                attributes=attributes,
            )
        )
    return write_listings(folder, events)


@pytest.fixture(scope="session")
def corpus(shop: Path) -> Corpus:
    """The shop, decoded for the smoke configuration."""
    return read_corpus([shop], SMOKE.tower.image_size, crop=SMOKE.tower.crop)


@pytest.fixture(scope="session")
def run(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished smoke run on the shop."""
    folder = tmp_path_factory.mktemp("run")
    finetune(SMOKE, corpus, folder)
    return folder


@pytest.fixture(scope="session")
def artifact(run: Path, corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> EncoderArtifact:
    """The smoke run's artifact."""
    return export_artifact(run, corpus, tmp_path_factory.mktemp("artifact"))
