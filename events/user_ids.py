"""A user's id, salted and hashed on arrival: no other form of it is kept, logged or sent on."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from mappings.errors import InvalidSetting
from settings.services_file import state_folder

HASH_LENGTH = 32
USER_HASH: Final = re.compile(rf"[0-9a-f]{{{HASH_LENGTH}}}")

SHORTEST_SALT = 16
EXAMPLE_SALT: Final = "change-me"
"""How the salt of `.env.example` begins, which everybody knows."""


def user_hash(salt: str, user_id: str) -> str:
    """The first 32 hex digits of HMAC-SHA256, with the salt as key. Both are taken as UTF-8.

    Without the salt the id cannot be found by trying ids; with another salt everybody is somebody else.
    """
    return hmac.new(salt.encode(), user_id.encode(), hashlib.sha256).hexdigest()[:HASH_LENGTH]


def user_salt(environ: Mapping[str, str]) -> str | None:
    """The salt: NITAMONO_USER_SALT or, where that is not set, what `make up` wrote into its state folder.

    None where there is neither: then nothing that is about users can work.

    Raises:
        InvalidSetting: it is so short that it could be guessed, the example's, or its file cannot be read.
    """
    salt = environ.get("NITAMONO_USER_SALT") or _salt_in(salt_file(environ))
    if salt is not None and len(salt) < SHORTEST_SALT:
        raise InvalidSetting(
            f"NITAMONO_USER_SALT has {len(salt)} characters, expected at least {SHORTEST_SALT} of chance; "
            "`openssl rand -hex 32` makes some"
        )
    if salt is not None and salt.startswith(EXAMPLE_SALT):
        raise InvalidSetting(
            f"NITAMONO_USER_SALT is the example's ({EXAMPLE_SALT}…), which everybody knows; "
            "`openssl rand -hex 32` makes one of your own"
        )
    return salt


def salt_file(environ: Mapping[str, str]) -> Path:
    """Where `make up` keeps the salt that it made: `user-salt` in NITAMONO_STATE."""
    return state_folder(environ) / "user-salt"


def _salt_in(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidSetting(f"{path}: {error}; expected the salt that `make up` wrote") from error
