"""What is known of photos that many listings share: placeholders, or photos that may be shared."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, Protocol

import orjson
import redis

from cache.changes import REDIS_UNAVAILABLE, RedisUnavailable
from mappings.listing import isoformat


class Verdict(StrEnum):
    """What a shared photo is."""

    PLACEHOLDER = "placeholder"
    FINE = "fine"
    """A photo of an item, however many sellers use it."""


class MarkedBy(StrEnum):
    """Who decided it."""

    WORKER = "worker"
    OPERATOR = "operator"


@dataclass(frozen=True)
class Mark:
    """The verdict on the photos with one image hash."""

    verdict: Verdict
    by: MarkedBy
    at: str
    detail: str = ""

    @property
    def why(self) -> str:
        """The counts that decided, or who did and when."""
        return self.detail or f"marked by {self.by} at {self.at}"

    @classmethod
    def now(cls, verdict: Verdict, by: MarkedBy, detail: str = "") -> Mark:
        """Return a mark of this moment."""
        return cls(verdict, by, isoformat(datetime.now(UTC)), detail)


class Marks(Protocol):
    """Where marks are kept."""

    def read(self, image_hashes: Sequence[str]) -> dict[str, Mark]:
        """Return the marks of these hashes."""

    def add(self, image_hash: str, mark: Mark) -> None:
        """Keep a mark, unless there is one."""

    def is_first_alarm(self, image_hash: str) -> bool:
        """Return whether no alarm about the hash was raised within the last hour, and remember this one."""


class NoMarks:
    """For an indexer without Redis: each chunk counts anew."""

    def read(self, image_hashes: Sequence[str]) -> dict[str, Mark]:
        """Return none."""
        del image_hashes
        return {}

    def add(self, image_hash: str, mark: Mark) -> None:
        """Do nothing."""

    def is_first_alarm(self, image_hash: str) -> bool:
        """Return that it is."""
        del image_hash
        return True


ALARM_S: Final = 3600


@dataclass(frozen=True)
class RedisMarks:
    """A Redis hash, in the Redis of the queue and as durable. It holds no seller and no item."""

    client: redis.Redis
    prefix: str

    @property
    def key(self) -> str:
        """The Redis key of the hash."""
        return f"nitamono:{self.prefix}:photo-marks"

    def read(self, image_hashes: Sequence[str]) -> dict[str, Mark]:
        """Return the marks of these hashes.

        Raises:
            RedisUnavailable: Redis does not answer.
        """
        if not image_hashes:
            return {}
        try:
            found: list[bytes | None] = self.client.hmget(self.key, list(image_hashes))  # type: ignore[assignment]
        except redis.RedisError as error:
            raise RedisUnavailable(REDIS_UNAVAILABLE, str(error)) from error
        return {name: _mark(value) for name, value in zip(image_hashes, found, strict=True) if value}

    def all(self) -> dict[str, Mark]:
        """Return all marks."""
        return {name.decode(): _mark(value) for name, value in self.client.hscan_iter(self.key, count=500)}

    def add(self, image_hash: str, mark: Mark) -> None:
        """Keep a mark, unless there is one.

        Raises:
            RedisUnavailable: Redis does not answer.
        """
        try:
            self.client.hsetnx(self.key, image_hash, _json(mark))
        except redis.RedisError as error:
            raise RedisUnavailable(REDIS_UNAVAILABLE, str(error)) from error

    def replace(self, image_hash: str, mark: Mark) -> None:
        """Keep a mark in place of another."""
        self.client.hset(self.key, image_hash, _json(mark))

    def drop(self, image_hashes: Iterable[str]) -> int:
        """Delete the marks of these hashes, and return how many there were."""
        names = list(image_hashes)
        return int(self.client.hdel(self.key, *names)) if names else 0

    def is_first_alarm(self, image_hash: str) -> bool:
        """Return whether no alarm about the hash was raised within the last hour, and remember this one.

        Raises:
            RedisUnavailable: Redis does not answer.
        """
        try:
            name = f"nitamono:{self.prefix}:photo-alarm:{image_hash}"
            return bool(self.client.set(name, b"1", nx=True, ex=ALARM_S))
        except redis.RedisError as error:
            raise RedisUnavailable(REDIS_UNAVAILABLE, str(error)) from error


def _json(mark: Mark) -> bytes:
    return orjson.dumps(asdict(mark))


def _mark(value: bytes) -> Mark:
    fields = orjson.loads(value)
    return Mark(Verdict(fields["verdict"]), MarkedBy(fields["by"]), fields["at"], fields["detail"])
