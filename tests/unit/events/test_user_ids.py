"""Hashed user ids, and the salt."""

from __future__ import annotations

from pathlib import Path

import pytest

from events.user_ids import salt_file, user_hash, user_salt
from settings.errors import InvalidSetting
from settings.services_file import REPOSITORY


def test_the_hash_is_hmac_sha256() -> None:
    """The second test case of RFC 4231, cut to 32 digits: any other implementation gives the same."""
    assert user_hash("Jefe", "what do ya want for nothing?") == "5bdcc146bf60754e6a042426089575c7"


def test_the_hash_depends_on_the_salt_and_on_all_of_the_id() -> None:
    """Ids cannot be tried without the salt, and similar ids have different hashes."""
    hashes = {user_hash(salt, user) for salt in ("a", "b") for user in ("u1", "u2", "Ｕ1", "u1 ")}
    assert len(hashes) == 8


def test_the_salt_is_the_setting_or_that_of_make_up(tmp_path: Path) -> None:
    """Commands in another shell hash users alike."""
    environ = {"NITAMONO_STATE_DIR": str(tmp_path)}
    assert user_salt(environ) is None
    salt_file(environ).write_text("0123456789abcdef\n")
    assert user_salt(environ) == "0123456789abcdef"
    assert user_salt(environ | {"NITAMONO_USER_SALT": "fedcba9876543210"}) == "fedcba9876543210"


def test_a_salt_that_can_be_guessed_is_refused(tmp_path: Path) -> None:
    """And not shown."""
    with pytest.raises(InvalidSetting, match="has 6 characters") as caught:
        user_salt({"NITAMONO_STATE_DIR": str(tmp_path), "NITAMONO_USER_SALT": "secret"})
    assert "secret" not in str(caught.value)


def test_the_salt_of_the_example_is_refused(tmp_path: Path) -> None:
    """A copied `.env.example` would make every user identifiable."""
    example = (REPOSITORY / ".env.example").read_text()
    ((_, salt),) = [line.split("=") for line in example.splitlines() if line.startswith("USER_SALT=")]
    with pytest.raises(InvalidSetting, match="is public"):
        user_salt({"NITAMONO_STATE_DIR": str(tmp_path), "NITAMONO_USER_SALT": salt})
