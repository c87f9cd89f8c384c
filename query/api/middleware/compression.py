"""Compression of responses, as far as clients accept it."""

from __future__ import annotations

from flask import Flask
from flask_compress import Compress


def add_compression(app: Flask) -> None:
    """Compress text and JSON by zstd, br or gzip, with `Vary: Accept-Encoding`.

    To be called before other `after_request` functions are added, since the one added first runs last.
    """
    app.config["COMPRESS_ALGORITHM"] = ["zstd", "br", "gzip"]
    app.config["COMPRESS_ALGORITHM_STREAMING"] = ["zstd", "br"]
    app.config["COMPRESS_MIN_SIZE"] = 1_000  # less fits one packet anyway
    Compress(app)
