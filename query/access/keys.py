"""API keys as text: `nitamono_<id>_<secret><checksum>`.

The id names the key in commands and in the index. The secret has 256 random bits. The prefix and the checksum
let scanners of repositories and logs find keys without false alarms, as GitHub's tokens do
(https://github.blog/engineering/platform-security/behind-githubs-new-authentication-token-formats/).
"""

from __future__ import annotations

import hashlib
import re
import secrets
import string
import zlib
from typing import Final

ID_LENGTH: Final = 12
SECRET_LENGTH: Final = 43
"""62 ** 43 > 2 ** 256."""
CHECKSUM_LENGTH: Final = 6
"""62 ** 6 > 2 ** 32, the range of a CRC-32."""

_ALPHABET: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase
_KEY: Final = re.compile(
    rf"nitamono_([0-9A-Za-z]{{{ID_LENGTH}}})_[0-9A-Za-z]{{{SECRET_LENGTH + CHECKSUM_LENGTH}}}"
)


def new_key() -> str:
    """Return a new random key."""
    body = f"nitamono_{_random(ID_LENGTH)}_{_random(SECRET_LENGTH)}"
    return body + checksum(body)


def key_id(text: str) -> str | None:
    """Return the id of a key, or None if the text is not a key."""
    match = _KEY.fullmatch(text)
    well_formed = match and checksum(text[:-CHECKSUM_LENGTH]) == text[-CHECKSUM_LENGTH:]
    return match[1] if match and well_formed else None


def checksum(body: str) -> str:
    """Return the CRC-32 of what precedes it in a key, in base 62."""
    number, digits = zlib.crc32(body.encode("ascii")), ""
    for _ in range(CHECKSUM_LENGTH):
        number, digit = divmod(number, len(_ALPHABET))
        digits = _ALPHABET[digit] + digits
    return digits


def digest(text: str) -> str:
    """Return what is stored of a key: the SHA-256 of all of it, as hex digits.

    A slow hash protects passwords, which can be guessed. 256 random bits cannot, however fast the hash is.
    """
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))
