"""`nitamono demo generate`: what a person types and reads."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from demo.marketplace.cli import generate


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(generate, [str(argument) for argument in arguments])


def test_generate_says_what_it_wrote(tmp_path: Path) -> None:
    """Listings and photos are counted, with the folder and the time."""
    result = run("--out", tmp_path / "market", "--count", "12", "--photo-size", "32")
    photos = len(list(tmp_path.rglob("*.jpg")))
    assert result.exit_code == 0, result.output
    assert f"{tmp_path / 'market'}: 12 listings, {photos} photos in" in result.output


def test_generate_without_photos_writes_listings_alone(tmp_path: Path) -> None:
    """For load tests: no image is drawn."""
    assert run("--out", tmp_path, "--count", "12", "--no-photos").exit_code == 0
    assert [file.name for file in tmp_path.rglob("*") if file.is_file()] == ["listings.jsonl"]


def test_generate_refuses_a_folder_that_is_not_empty_until_forced(tmp_path: Path) -> None:
    """One sentence and exit status 1; --force goes ahead."""
    (tmp_path / "notes.txt").write_text("mine")
    refused = run("--out", tmp_path, "--count", "3", "--no-photos")
    assert (refused.exit_code, refused.output.count("\n")) == (1, 1)
    assert f"Error: {tmp_path} is not empty" in refused.output
    assert run("--out", tmp_path, "--count", "3", "--no-photos", "--force").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--count", "0"), "--count"),
        (("--count", "many"), "--count"),
        (("--photo-size", "8"), "--photo-size"),
        (("--seed", "-1"), "'-1' is not a whole number"),
        (("--seed", str(2**63)), "--seed"),
    ],
)
def test_generate_names_what_is_wrong(tmp_path: Path, arguments: tuple[str, str], said: str) -> None:
    """The option or value is named, no traceback is shown, nothing is written."""
    result = run("--out", tmp_path / "market", *arguments)
    assert result.exit_code != 0
    assert said in result.output
    assert not (tmp_path / "market").exists()


def test_generate_into_a_file_is_refused(tmp_path: Path) -> None:
    """A path below a file cannot be made into a folder: one sentence, no traceback."""
    (tmp_path / "file").write_text("mine")
    result = run("--out", tmp_path / "file" / "market", "--count", "3", "--no-photos")
    assert result.exit_code == 1
    assert "Error: " in result.output
    assert "Not a directory" in result.output
