"""The keys as a server knows them: read every few seconds, and checked without asking anybody."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Final

from elasticsearch import Elasticsearch

from mappings.refreshed import Refreshed
from query.access.keys import digest, key_id
from query.access.store import ApiKey, read_keys
from query.search.errors import SearchUnavailable

MAX_AGE_S: Final = 3.0
TIMEOUT_S: Final = 0.5
"""Together with MAX_AGE_S below the five seconds in which every server knows of a revocation."""

WAIT_AFTER_S: Final = 5.0
"""After a time without requests, all of them wait for the next reading."""

STALE_AFTER_S: Final = 600.0
"""How long the last known keys hold without Elasticsearch, so that events are still accepted meanwhile.
A revocation is written to Elasticsearch, so only a server that is cut off from it can miss one."""

_NO_DIGEST: Final = "0" * 64
"""Compared with where no key has the id, so that the comparison takes place in any case."""


class KeysUnavailable(SearchUnavailable):
    """The keys could not be read from Elasticsearch, so no key can be checked."""


class Keys:
    """The keys of one reading."""

    def __init__(self, keys: Iterable[ApiKey]) -> None:
        self._by_id = {key.id: key for key in keys}

    @property
    def none_exist(self) -> bool:
        """Whether no key was ever created; one that was revoked counts."""
        return not self._by_id

    def holder(self, text: str, now: datetime) -> ApiKey | None:
        """The valid key that the text is, or None.

        Whatever is wrong with the text, it is hashed once and compared once, in constant time.
        """
        known = self._by_id.get(key_id(text) or "")
        is_same = hmac.compare_digest(digest(text), known.digest if known else _NO_DIGEST)
        return known if known and is_same and known.is_valid(now) else None


class KeyRing:
    """The current keys. Safe to share between threads."""

    def __init__(
        self, keys: Refreshed[Keys], clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._keys, self._clock = keys, clock

    @classmethod
    def of(cls, es: Elasticsearch, prefix: str) -> KeyRing:
        """The keys of a deployment. Elasticsearch is not called yet."""
        impatient = es.options(request_timeout=TIMEOUT_S, max_retries=0, retry_on_timeout=False)
        return cls(
            Refreshed(
                lambda: Keys(read_keys(impatient, prefix)),
                "the API keys",
                max_age_s=MAX_AGE_S,
                wait_after_s=WAIT_AFTER_S,
                stale_after_s=STALE_AFTER_S,
            )
        )

    def holder(self, text: str) -> ApiKey | None:
        """The valid key that the text is, or None.

        Raises:
            KeysUnavailable
        """
        return self._known().holder(text, self._clock())

    def none_exist(self) -> bool:
        """Whether no key was ever created.

        Raises:
            KeysUnavailable
        """
        return self._known().none_exist

    def _known(self) -> Keys:
        keys = self._keys.value()
        if keys is None:
            raise KeysUnavailable("Elasticsearch does not answer, and the API keys are stored there")
        return keys
