"""The index of API keys: created, revoked and rotated by commands, and read by every API server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from elasticsearch import Elasticsearch, NotFoundError

from mappings.creation import ensure_index, read_mapping
from mappings.listing import isoformat
from mappings.names import written_through
from query.access.keys import digest, key_id, new_key
from query.access.roles import Role
from settings.errors import UserError

KEYS_BODY: Final = read_mapping(Path(__file__).with_name("keys.v1.json"))
"""Settings and mappings of the index of keys."""

MOST_KEYS: Final = 1_000
"""Every server holds all of them in memory."""

KEPT_AFTER_END: Final = timedelta(days=90)
"""For how long a key that was revoked or has expired is listed."""


class UnknownKey(UserError):
    """No key has this id."""


class KeyEnded(UserError):
    """A key that was revoked or has expired cannot be rotated."""


class TooManyKeys(UserError):
    """The index holds as many keys as servers read."""


@dataclass(frozen=True)
class ApiKey:
    """A key as it is stored: without its secret."""

    id: str
    name: str
    role: Role
    digest: str
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None

    @property
    def ended_at(self) -> datetime | None:
        """When it ends or ended, if it does."""
        return min(filter(None, (self.revoked_at, self.expires_at)), default=None)

    def is_valid(self, now: datetime) -> bool:
        """Whether it opens anything."""
        return self.ended_at is None or now < self.ended_at

    def to_document(self) -> dict[str, Any]:
        """The document, without its id."""
        times = {
            "created_at": self.created_at,
            "expires_at": self.expires_at,
            "revoked_at": self.revoked_at,
        }
        return {
            "name": self.name,
            "role": self.role.label,
            "digest": self.digest,
            **{name: isoformat(time) for name, time in times.items() if time},
        }

    @classmethod
    def of_document(cls, id_: str, source: Mapping[str, Any]) -> ApiKey:
        """The key of a document."""
        times = {
            name: datetime.fromisoformat(source[name])
            for name in ("created_at", "expires_at", "revoked_at")
            if name in source
        }
        return cls(id_, source["name"], Role[source["role"].upper()], source["digest"], **times)


def key_index(prefix: str) -> str:
    """The index of the keys of one deployment."""
    return f"{prefix}-keys"


def read_keys(es: Elasticsearch, prefix: str) -> tuple[ApiKey, ...]:
    """Return all keys, oldest first, ended ones included; none if the index does not exist yet."""
    try:
        found = es.search(
            index=key_index(prefix),
            size=MOST_KEYS,
            sort=["created_at", "name"],
            allow_partial_search_results=False,
        )
    except NotFoundError:
        return ()
    return tuple(ApiKey.of_document(hit["_id"], hit["_source"]) for hit in found["hits"]["hits"])


def create_key(
    es: Elasticsearch,
    prefix: str,
    name: str,
    role: Role,
    now: datetime,
    *,
    expires_at: datetime | None = None,
) -> tuple[ApiKey, str]:
    """Store a new key and return it with its text, which cannot be had again.

    Raises:
        TooManyKeys: the index is full.
    """
    ensure_index(es, key_index(prefix), KEYS_BODY)
    _remove_long_ended(es, prefix, now)
    text = new_key()
    key = ApiKey(key_id(text) or "", name, role, digest(text), now, expires_at)
    _write(es, prefix, key)
    return key, text


def revoke_key(es: Elasticsearch, prefix: str, id_: str, now: datetime) -> ApiKey:
    """Revoke a key; revoking it again changes nothing.

    Raises:
        UnknownKey
    """
    key = find_key(es, prefix, id_)
    if key.revoked_at is None:
        key = replace(key, revoked_at=now)
        _write(es, prefix, key)
    return key


def rotate_key(
    es: Elasticsearch, prefix: str, id_: str, now: datetime, *, grace: timedelta
) -> tuple[ApiKey, str]:
    """Create a key with the same name, role and lifetime; the old one expires after `grace`.

    Raises:
        UnknownKey
        KeyEnded: the old one has ended already.
        TooManyKeys: the index is full.
    """
    old = find_key(es, prefix, id_)
    if not old.is_valid(now):
        raise KeyEnded(f"key {id_} ({old.name}) has ended; create a new one with `nitamono keys create`")
    lifetime = old.expires_at - old.created_at if old.expires_at else None
    made = create_key(es, prefix, old.name, old.role, now, expires_at=now + lifetime if lifetime else None)
    last = now + grace
    _write(es, prefix, replace(old, expires_at=min(last, old.expires_at or last)))
    return made


def find_key(es: Elasticsearch, prefix: str, id_: str) -> ApiKey:
    """Return the key of this id.

    Raises:
        UnknownKey
    """
    for key in read_keys(es, prefix):
        if key.id == id_:
            return key
    raise UnknownKey("no key has this id; `nitamono keys list` shows the ids")  # it may be a whole key


def _remove_long_ended(es: Elasticsearch, prefix: str, now: datetime) -> None:
    keys = read_keys(es, prefix)
    long_ended = [key for key in keys if key.ended_at and now - key.ended_at > KEPT_AFTER_END]
    for key in long_ended:
        es.delete(index=written_through(key_index(prefix)), id=key.id, refresh=True)
    if len(keys) - len(long_ended) >= MOST_KEYS:
        raise TooManyKeys(
            f"there are {MOST_KEYS:,} keys; revoke those that nobody uses, or wait until "
            f"ended ones are removed, {KEPT_AFTER_END.days} days after their end"
        )


def _write(es: Elasticsearch, prefix: str, key: ApiKey) -> None:
    index = written_through(key_index(prefix))
    es.index(index=index, id=key.id, document=key.to_document(), refresh=True, require_alias=True)
