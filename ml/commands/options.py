"""Options shared by several commands, and the reading of their data."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from console.number_types import WholeNumber
from ml.artifact import DEFAULT_ARTIFACT, Preprocessing

if TYPE_CHECKING:
    from ml.data.corpus import Corpus

Command = TypeVar("Command", bound=Callable[..., Any])

existing = click.Path(exists=True, path_type=Path)
folder = click.Path(file_okay=False, path_type=Path)


def data_option_named(*names: str) -> Callable[[Command], Command]:
    """The --data option under the given names."""
    return click.option(
        *names,
        "data",
        type=existing,
        multiple=True,
        required=True,
        help="A listing JSONL, a folder of CLASS/photo.jpg, or the output of `nitamono ml pairs`. "
        "May be given several times.",
    )


data_option = data_option_named("--data", "--listings")
artifact_option = click.option(
    "--artifact",
    "--encoder",
    "artifact_folder",
    envvar="NITAMONO_ENCODER_DIR",
    type=folder,
    default=DEFAULT_ARTIFACT,
    show_default="the committed encoder",
    help="Folder of the encoder artifact.",
)
threads_option = click.option(
    "--threads",
    type=WholeNumber(1, 256),
    default=1,
    show_default=True,
    help="Number of threads; more than there are free cores make it slower.",
)


def read(data: Sequence[Path], preprocessing: Preprocessing, threads: int) -> "Corpus":
    """Read a corpus with photos at this size and crop, and print its counts to stderr."""
    from ml.data.corpus import describe  # noqa: PLC0415
    from ml.training.read_corpus import read_corpus  # noqa: PLC0415

    corpus = read_corpus(data, preprocessing.image_size, crop=preprocessing.crop, threads=threads)
    click.echo(describe(corpus), err=True)
    return corpus


def photos(corpus: "Corpus") -> list[bytes]:
    """Read the bytes of every photo file of a corpus."""
    return [pair.photo.read_bytes() for pair in corpus.pairs]
