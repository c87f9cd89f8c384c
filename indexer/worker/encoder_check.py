"""A check that the encoder works on this machine: `python -m indexer.worker.encoder_check`."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Final

from indexer.settings import IndexerSettings
from indexer.worker.encoders import load_encoders
from ml.errors import MlError


class EncoderUnfit(MlError):
    """An encoder that cannot be loaded on this machine, or computes wrong vectors."""


TIMEOUT_S: Final = 120.0
"""A ViT-B/16 takes about 10 s of a core. Without a limit, a deadlock in a library would block the start."""


def check_encoder(environ: Mapping[str, str], timeout_s: float = TIMEOUT_S) -> None:
    """Load the encoders in a process of its own, as each worker process will do.

    Not in this one: the threads of an inference library do not survive the fork of the worker processes.

    Raises:
        EncoderUnfit: it cannot be loaded, or not in timeout_s seconds; the message says why.
    """
    command = [sys.executable, "-m", "indexer.worker.encoder_check"]
    try:
        result = subprocess.run(  # noqa: S603
            command, env=dict(environ), stderr=subprocess.PIPE, text=True, check=False, timeout=timeout_s
        )
    except subprocess.TimeoutExpired as error:
        raise EncoderUnfit(
            f"loading the encoder took more than {timeout_s:g} s; check the CPU and memory that this worker "
            "has, then start it again"
        ) from error
    if result.returncode:
        last = result.stderr.strip().rpartition("\n")[2]
        raise EncoderUnfit(last or f"loading the encoder ended with exit code {result.returncode}")


def main() -> None:
    """Exit with one sentence if an encoder of the environment cannot be loaded, or gives wrong vectors."""
    logging.disable(logging.WARNING)  # the worker processes log it, too
    settings = IndexerSettings.from_environ(os.environ)
    try:
        load_encoders(settings)
    except MlError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
