"""Limits that several processes share, and those of one that is cut off from Redis."""

from __future__ import annotations

import logging

import pytest
from limits import RateLimitItem, parse

from query.api.errors import TooManyRequests
from query.api.middleware.rate_limits import BLOCKS, Counter, RateLimits, SharedLimit
from query.api.middleware.settings import AccessSettings
from settings.environment import read_settings
from settings.errors import InvalidSetting
from tests.free_port import free_port


class Bucket(Counter):
    """A fake counter with a number of permits for everybody together."""

    def __init__(self, permits: int) -> None:
        self.permits, self.asked = permits, 0

    def take(self, limit: RateLimitItem, caller: str, permits: int) -> int | None:
        del limit, caller  # one bucket for all
        self.asked += 1
        if permits > self.permits:
            return 7
        self.permits -= permits
        return None


def admitted(*processes: SharedLimit, requests: int) -> int:
    """How many of the requests, sent to the processes in turn, are let through."""
    count = 0
    for number in range(requests):
        try:
            processes[number % len(processes)].check("key a")
        except TooManyRequests:
            continue
        count += 1
    return count


@pytest.mark.parametrize(("limit", "requests"), [(5, 20), (199, 300), (2_000, 3_000)])
def test_exactly_the_limit_is_admitted_by_all_processes_together(limit: int, requests: int) -> None:
    """Also where they take permits in blocks."""
    bucket = Bucket(limit)
    processes = [SharedLimit(parse(f"{limit}/minute"), bucket, clock=lambda: 0.0) for _ in range(4)]
    assert admitted(*processes, requests=requests) == limit


def test_permits_are_taken_in_blocks() -> None:
    """One request in ten asks Redis at 2,000 a minute; a small limit is counted request by request."""
    bucket = Bucket(10**9)
    admitted(SharedLimit(parse("2000/minute"), bucket), requests=1_000)
    assert bucket.asked == 1_000 / (2_000 / BLOCKS)
    bucket.asked = 0
    admitted(SharedLimit(parse("100/minute"), bucket), requests=50)
    assert bucket.asked == 50


def test_whoever_was_refused_waits_as_told_without_asking_redis_again() -> None:
    """A flood of refused requests must not reach it."""
    now = [0.0]
    bucket = Bucket(1)
    limit = SharedLimit(parse("1/minute"), bucket, clock=lambda: now[0])
    limit.check("key a")
    for _ in range(100):
        with pytest.raises(TooManyRequests, match=r"more than 1 per 1 minute from one key; retry in 7 s"):
            limit.check("key a")
    assert bucket.asked == 2
    now[0] += 2.5
    with pytest.raises(TooManyRequests) as refused:
        limit.check("key a")
    assert refused.value.retry_after_s == 5
    bucket.permits = 1
    now[0] += 5
    limit.check("key a")


def test_without_redis_each_process_counts_for_itself(caplog: pytest.LogCaptureFixture) -> None:
    """Requests are answered, and said once in the log."""
    counter = Counter(f"redis://127.0.0.1:{free_port()}/0", "shop")
    limits = RateLimits("address", "3/minute", counter)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            limits.check("192.0.2.1")
        with pytest.raises(TooManyRequests) as refused:
            limits.check("192.0.2.1")
        limits.check("192.0.2.2")
    assert 1 <= refused.value.retry_after_s <= 60
    assert caplog.text.count("each process limits requests for itself") == 1


def test_every_limit_of_a_list_holds_and_off_is_none() -> None:
    """The first of them that is reached refuses."""
    counter = Counter(f"redis://127.0.0.1:{free_port()}/0", "shop")
    limits = RateLimits("key", "100/hour;2/second", counter)
    for _ in range(2):
        limits.check("a")
    with pytest.raises(TooManyRequests, match="2 per 1 second"):
        limits.check("a")
    off = RateLimits("key", "off", counter)
    for _ in range(1_000):
        off.check("a")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("NITAMONO_RATE_LIMIT_PER_KEY", "fast"),
        ("NITAMONO_RATE_LIMIT_PER_KEY", "10"),
        ("NITAMONO_RATE_LIMIT_PER_ADDRESS", "0/minute"),
        ("NITAMONO_TRUSTED_PROXIES", "10.0.0.0/33"),
        ("NITAMONO_TRUSTED_PROXIES", "proxy.example"),
        ("NITAMONO_TRUSTED_PROXIES", "*"),
        ("NITAMONO_CORS_ORIGINS", "shop.example"),
        ("NITAMONO_CORS_ORIGINS", "https://shop.example/path"),
        ("NITAMONO_CORS_ORIGINS", "https://*.example"),
        ("NITAMONO_PUBLIC_READ", "yes"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(variable: str, value: str) -> None:
    """With what is expected."""
    with pytest.raises(InvalidSetting, match=f"{variable} is .*, expected "):
        read_settings(AccessSettings, {variable: value})


def test_settings_are_read() -> None:
    """In the forms that docs/access.md shows."""
    settings = read_settings(
        AccessSettings,
        {
            "NITAMONO_RATE_LIMIT_PER_KEY": "100/second;60000/hour",
            "NITAMONO_RATE_LIMIT_PER_ADDRESS": "off",
            "NITAMONO_TRUSTED_PROXIES": "10.0.0.0/8, fd00::1",
            "NITAMONO_CORS_ORIGINS": "https://shop.example,http://localhost:3000",
            "NITAMONO_PUBLIC_READ": "1",
        },
    )
    assert settings.rate_limit_per_key == "100/second;60000/hour"
    assert settings.rate_limit_per_address == "off"
    assert [str(network) for network in settings.trusted_proxies] == ["10.0.0.0/8", "fd00::1/128"]
    assert settings.cors_origins == ("https://shop.example", "http://localhost:3000")
    assert settings.public_read == 1
