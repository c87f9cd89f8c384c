"""Whether the encoder works on this machine: `python -m indexer.encoder_check`."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Mapping

from indexer.settings import IndexerSettings
from ml.artifact import load_artifact
from ml.encoder import load_encoder
from ml.errors import MlError


class EncoderUnfit(MlError):
    """An encoder that cannot be loaded here, or gives wrong vectors."""


def check_encoder(environ: Mapping[str, str]) -> None:
    """Load the encoder in a process of its own, as each worker process will do.

    Not in this one: the threads of an inference library do not survive the fork of the worker processes.

    Raises:
        EncoderUnfit: it cannot be loaded; the message is that of its own error.
    """
    command = [sys.executable, "-m", "indexer.encoder_check"]
    result = subprocess.run(command, env=dict(environ), stderr=subprocess.PIPE, text=True, check=False)  # noqa: S603
    if result.returncode:
        last = result.stderr.strip().rpartition("\n")[2]
        raise EncoderUnfit(last or f"loading the encoder ended with exit code {result.returncode}")


def main() -> None:
    """Exit with one sentence if the encoder of the environment cannot be loaded, or gives wrong vectors."""
    logging.disable(logging.WARNING)  # the worker processes log it, too
    settings = IndexerSettings.from_environ(os.environ)
    try:
        load_encoder(
            load_artifact(settings.encoder),
            backend=settings.encoder_backend,
            threads=settings.encoder_threads,
        )
    except MlError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
