"""The format of keys, by which people, servers and secret scanners recognise them."""

from __future__ import annotations

import re
import zlib

from query.access.keys import digest, key_id, new_key

# As docs/access.md gives it to secret scanners.
SCANNER = re.compile(r"nitamono_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}")


def test_keys_are_found_by_the_documented_pattern_and_differ() -> None:
    """In a line of code, too."""
    keys = {new_key() for _ in range(200)}
    assert len(keys) == 200
    assert all(SCANNER.search(f'KEY = "{key}"  # prod') for key in keys)
    assert len({key_id(key) for key in keys}) == 200


def test_the_checksum_is_a_crc_32_in_base_62() -> None:
    """So that a scanner can verify it without asking anybody."""
    alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    key = new_key()
    number = 0
    for letter in key[-6:]:
        number = number * 62 + alphabet.index(letter)
    assert number == zlib.crc32(key[:-6].encode())


def test_a_key_with_any_character_changed_is_none() -> None:
    """Typing errors and invented keys are noticed without a look-up."""
    key = new_key()
    changed = [key[:at] + ("b" if key[at] == "a" else "a") + key[at + 1 :] for at in range(len(key))]
    assert [key_id(text) for text in changed] == [None] * len(key)
    assert [key_id(text) for text in ("", key[:-1], key + "a", f" {key}", key.upper())] == [None] * 5


def test_the_digest_is_of_the_whole_key() -> None:
    """The id is bound to its secret. Bytes that are no UTF-8 have a digest too."""
    key = new_key()
    assert len(digest(key)) == 64
    assert digest(key) != digest(key.replace(key_id(key) or "", "A" * 12))
    assert digest("caf\udce9") != digest("café")
