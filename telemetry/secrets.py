"""Secrets that are cut out of logs and error messages."""

from __future__ import annotations

import re
from typing import Final

_API_KEY: Final = re.compile(r"nitamono_[0-9A-Za-z]{12}_[0-9A-Za-z]*")
_PASSWORD: Final = re.compile(r"(?<=://)[^/@\s\"']{0,200}:[^/@\s\"']{1,200}@")
"""User and password of a URL, such as that of Redis."""


def redacted(text: str) -> str:
    """Return the text without API keys, complete or cut off, and without the passwords of URLs."""
    if "nitamono_" in text:
        text = _API_KEY.sub("nitamono_[redacted]", text)
    return _PASSWORD.sub("[redacted]@", text) if "://" in text else text
