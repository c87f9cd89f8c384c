"""Limits and circuit breakers of hosts."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from indexer.photos import hosts
from indexer.photos.hosts import Admission, BreakerLimits, Breakers, HostLimit, Outcome
from indexer.photos.urls import checked_url

SILENT, FAILED, ANSWERED = Outcome.SILENT, Outcome.FAILED, Outcome.ANSWERED


@dataclass
class Clock:
    """A clock that a test sets."""

    now: float = 1000.0

    def __call__(self) -> float:
        """The time, in seconds."""
        return self.now


def breakers_after(*outcomes: Outcome, clock: Clock | None = None) -> Breakers:
    """The breakers after these requests to `shop`."""
    breakers = Breakers(clock=clock or Clock())
    for outcome in outcomes:
        breakers.record("shop", outcome, "down")
    return breakers


@pytest.mark.parametrize(
    ("outcomes", "is_open"),
    [
        ([SILENT] * 4, False),
        ([SILENT] * 5, True),
        ([*[SILENT] * 4, ANSWERED, *[SILENT] * 4], False),
        ([*[SILENT] * 4, FAILED, *[SILENT] * 4], False),
        ([FAILED] * 19, False),
        ([FAILED] * 20, True),
        ([FAILED, *[ANSWERED] * 4, *[FAILED] * 15], True),
        ([FAILED, *[ANSWERED] * 5, *[FAILED] * 14], False),
    ],
)
def test_a_breaker_opens_by_silence_in_a_row_or_by_the_share_of_failures(
    outcomes: list[Outcome], is_open: bool
) -> None:
    """A few URLs that answer 503 are no reason to leave out a host that many sellers share."""
    breakers = Breakers(clock=Clock())
    for outcome in outcomes:
        breakers.record("shop", outcome)
    assert breakers.is_open("shop") is is_open
    assert not breakers.is_open("other")


def test_old_failures_do_not_count() -> None:
    """Only those of the last minute."""
    clock = Clock()
    breakers = breakers_after(*[FAILED] * 19, clock=clock)
    clock.now += 61
    breakers.record("shop", FAILED)

    assert breakers.admit("shop") == (Admission.SEND, "")


def test_an_open_breaker_lets_one_probe_through_after_its_wait() -> None:
    """All others fail at once, with what the host did last."""
    clock = Clock()
    breakers = breakers_after(*[SILENT] * 5, clock=clock)
    assert breakers.admit("shop") == (Admission.FAIL, "down")
    clock.now += 7.6  # the first wait of 5 s, and half as much again

    assert breakers.admit("shop") == (Admission.PROBE, "down")
    assert breakers.admit("shop") == (Admission.FAIL, "down")
    breakers.record("shop", ANSWERED)
    assert breakers.admit("shop") == (Admission.SEND, "")


def test_the_wait_doubles_after_each_failed_probe() -> None:
    """Up to a minute, each within a half of it, so that processes do not probe in step."""
    clock = Clock()
    breakers = breakers_after(*[SILENT] * 5, clock=clock)
    waits = []
    for expected in (5, 10, 20, 40, 60, 60):
        start = clock.now
        while breakers.admit("shop")[0] is not Admission.PROBE:
            clock.now += 0.25
        waits.append((clock.now - start) / expected)
        breakers.record("shop", SILENT)

    assert all(0.5 <= wait <= 1.6 for wait in waits)
    assert len(set(waits)) > 1


def test_hosts_take_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A seller may have any number of host names; those that answer are not remembered."""
    monkeypatch.setattr(hosts, "MOST_HOSTS", 3)
    breakers = Breakers(BreakerLimits(silent=1))
    for name in "abcde":
        breakers.record(name, SILENT)
        breakers.record(f"good-{name}", ANSWERED)

    assert [name for name in "abcde" if breakers.is_open(name)] == ["c", "d", "e"]
    assert len(breakers._by_host) == 3


def test_hosts_that_are_not_in_use_have_no_limit_in_memory() -> None:
    """However many hosts there were."""
    limit = HostLimit(1)
    with limit.of(checked_url("http://example.com/a")):
        held = limit.of(checked_url("http://example.com/b"))
        assert not held.acquire(blocking=False)
    del held
    assert len(limit._semaphores) == 0
