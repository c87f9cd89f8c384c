"""Checks of keys against what was last read."""

from __future__ import annotations

import hmac
from datetime import UTC, datetime, timedelta

import pytest
from elastic_transport import ConnectionTimeout

from mappings.refreshed import Refreshed
from query.access.key_ring import (
    MAX_AGE_S,
    STALE_AFTER_S,
    TIMEOUT_S,
    WAIT_AFTER_S,
    KeyRing,
    Keys,
    KeysUnavailable,
)
from query.access.keys import checksum, digest, key_id, new_key
from query.access.roles import Role
from query.access.store import ApiKey

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)


def stored(text: str, **changes: datetime) -> ApiKey:
    """The key of the text, as it is stored."""
    return ApiKey(key_id(text) or "", "shop", Role.INGEST, digest(text), NOW - timedelta(days=1), **changes)


def test_each_role_includes_those_before_it() -> None:
    """Operate, ingest, read."""
    assert sorted(Role) == [Role.READ, Role.INGEST, Role.OPERATE]
    assert [role.label for role in Role] == ["read", "ingest", "operate"]


def test_a_key_opens_until_it_is_revoked_or_expires() -> None:
    """To the microsecond."""
    texts = [new_key() for _ in range(5)]
    moment = timedelta(microseconds=1)
    keys = Keys(
        [
            stored(texts[0]),
            stored(texts[1], revoked_at=NOW),
            stored(texts[2], expires_at=NOW),
            stored(texts[3], expires_at=NOW + moment),
            stored(texts[4], expires_at=NOW + timedelta(days=1), revoked_at=NOW - moment),
        ]
    )
    assert [keys.holder(text, NOW) is not None for text in texts] == [True, False, False, True, False]


@pytest.mark.parametrize("kind", ["valid", "unknown id", "wrong secret", "bad checksum", "no key", "empty"])
def test_every_text_is_hashed_once_and_compared_once_in_constant_time(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that time does not tell a known id from an unknown one, nor how much of a secret is right."""
    valid, other = new_key(), new_key()
    forged = Forged(valid)
    text = {
        "valid": valid,
        "unknown id": other,
        "wrong secret": forged.text,
        "bad checksum": valid[:-1] + ("a" if valid[-1] != "a" else "b"),
        "no key": "Bearer of nothing",
        "empty": "",
    }[kind]
    compared: list[tuple[int, int]] = []
    compare = hmac.compare_digest

    def watched(one: str, two: str) -> bool:
        compared.append((len(one), len(two)))
        return compare(one, two)

    monkeypatch.setattr(hmac, "compare_digest", watched)
    holder = Keys([stored(valid)]).holder(text, NOW)
    assert (holder is not None) == (kind == "valid")
    assert compared == [(64, 64)]


class Forged:
    """A well-formed key with the id of another and a secret of its own."""

    def __init__(self, key: str) -> None:
        body = f"nitamono_{key_id(key)}_{new_key()[22:65]}"
        self.text = body + checksum(body)


class Reader:
    """A fake index that gives set keys or does not answer."""

    def __init__(self, *keys: ApiKey) -> None:
        self.keys: tuple[ApiKey, ...] | None = keys

    def __call__(self) -> Keys:
        if self.keys is None:
            raise ConnectionTimeout("no answer in time")
        return Keys(self.keys)


def make_ring(reader: Reader, now: list[float]) -> KeyRing:
    """The key ring of a server, with its limits."""
    refreshed = Refreshed(
        reader,
        "the API keys",
        max_age_s=MAX_AGE_S,
        wait_after_s=WAIT_AFTER_S,
        stale_after_s=STALE_AFTER_S,
        clock=lambda: now[0],
    )
    return KeyRing(refreshed, clock=lambda: NOW)


def test_a_revocation_is_known_within_five_seconds() -> None:
    """And a new key as well."""
    now, text = [100.0], new_key()
    reader = Reader()
    ring = make_ring(reader, now)
    assert ring.none_exist()
    reader.keys = (stored(text),)
    now[0] += MAX_AGE_S
    assert ring.holder(text)
    assert not ring.none_exist()
    reader.keys = (stored(text, revoked_at=NOW),)
    now[0] += MAX_AGE_S
    assert ring.holder(text) is None
    assert not ring.none_exist(), "a server whose last key was revoked must not open up"
    assert MAX_AGE_S + TIMEOUT_S < 5


def test_without_elasticsearch_the_last_keys_hold_for_a_while_and_then_none() -> None:
    """Nothing is open because it cannot be checked."""
    now, text = [100.0], new_key()
    reader = Reader(stored(text))
    ring = make_ring(reader, now)
    assert ring.holder(text)
    reader.keys = None
    now[0] += STALE_AFTER_S - 1
    assert ring.holder(text)
    now[0] += 1
    for ask in (lambda: ring.holder(text), ring.none_exist):
        with pytest.raises(KeysUnavailable, match="Elasticsearch does not answer"):
            ask()
