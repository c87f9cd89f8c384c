"""API keys without Elasticsearch."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from mappings.refreshed import Refreshed
from query.access.key_ring import KeyRing, Keys
from query.access.keys import digest, key_id, new_key
from query.access.roles import Role
from query.access.store import ApiKey


def make_key(role: Role = Role.READ, **changes: datetime) -> tuple[str, ApiKey]:
    """Return a new key: its text, and what is stored of it."""
    text = new_key()
    created = datetime.now(UTC) - timedelta(days=1)
    return text, ApiKey(key_id(text) or "", role.label, role, digest(text), created, **changes)


def make_key_ring(*keys: ApiKey) -> KeyRing:
    """Return what a server knows that has read these keys, or that there are none."""
    never = float("inf")
    return KeyRing(
        Refreshed(lambda: Keys(keys), "the API keys", max_age_s=never, wait_after_s=0, stale_after_s=never)
    )
