"""User ids, salted and hashed on arrival: no other form is stored, logged or sent on."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

from settings.environment import Variable
from settings.errors import InvalidSetting
from settings.services_file import state_folder

HASH_LENGTH = 32
USER_HASH: Final = re.compile(rf"[0-9a-f]{{{HASH_LENGTH}}}")

SHORTEST_SALT = 16
EXAMPLE_SALT: Final = "change-me"
"""The start of the salt in `.env.example`, which is public."""


def user_hash(salt: str, user_id: str) -> str:
    """Return the first 32 hex digits of HMAC-SHA256, with the salt as key and both in UTF-8.

    Without the salt an id cannot be found by trying ids. Another salt gives every user another hash.
    """
    return hmac.new(salt.encode(), user_id.encode(), hashlib.sha256).hexdigest()[:HASH_LENGTH]


UserSalt = Annotated[
    str | None,
    Variable(
        "NITAMONO_USER_SALT",
        f"The secret that user ids are hashed with, at least {SHORTEST_SALT} random characters. Without it "
        "there are neither [events](events.md) nor experiments. Keep it: another salt makes all users new.",
        default="`user-salt` in `NITAMONO_STATE_DIR`, written by `make up`",
        used_by="API, `nitamono experiment`, `nitamono events erase`, `nitamono indexer forget`",
        secret=True,
    ),
]


def user_salt(environ: Mapping[str, str]) -> str | None:
    """Return NITAMONO_USER_SALT or, if that is not set, the salt that `make up` wrote into its state folder.

    None if there is neither: then nothing that concerns users works.

    Raises:
        InvalidSetting: it is short enough to be guessed, or the example's, or its file cannot be read.
    """
    salt = environ.get("NITAMONO_USER_SALT") or _salt_in(salt_file(environ))
    if salt is not None and len(salt) < SHORTEST_SALT:
        raise InvalidSetting(
            f"NITAMONO_USER_SALT has {len(salt)} characters, expected at least {SHORTEST_SALT} at random; "
            "`openssl rand -hex 32` prints one"
        )
    if salt is not None and salt.startswith(EXAMPLE_SALT):
        raise InvalidSetting(
            f"NITAMONO_USER_SALT is the example's ({EXAMPLE_SALT}…), which is public; "
            "`openssl rand -hex 32` prints one of your own"
        )
    return salt


def salt_file(environ: Mapping[str, str]) -> Path:
    """Return the file in which `make up` keeps its salt: `user-salt` in NITAMONO_STATE_DIR."""
    return state_folder(environ) / "user-salt"


def _salt_in(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidSetting(f"{path}: {error}; expected the salt that `make up` wrote") from error
