"""The rule of the cache on a real Redis: no stored answer shows an item as it was before its last change."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import cache.answers
import cache.changes
from cache.answers import AnswerCache, CacheState, cache_client
from cache.changes import Changes, RedisUnavailable
from cache.protocol import MAX_TTL_S, CacheKeys
from tests.conftest import RunningService
from tests.free_port import free_port

PREFIX = "shop"
VISIBLE_S = 0.05


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    """An empty Redis database."""
    with redis.Redis.from_url(redis_url) as found:
        yield found


@pytest.fixture
def answers(redis_url: str) -> AnswerCache:
    """A cache of at most three answers."""
    return AnswerCache(cache_client(redis_url), ttl_s=60, most=3)


@pytest.fixture
def changes(client: redis.Redis) -> Changes:
    """The marks of a worker that has started, for writes that are visible after VISIBLE_S."""
    found = Changes(client, PREFIX, longest_write_s=60, visible_after_s=VISIBLE_S)
    found.announce()
    time.sleep(VISIBLE_S + 0.01)
    return found


def stored(answers: AnswerCache, digest: str, *items: str, content: bytes = b"{}") -> bool:
    """Whether an answer is served after it was looked up, searched for and stored."""
    started = answers.look_up(PREFIX, digest).started_ms
    if started is not None:
        answers.store(PREFIX, digest, started, items, content)
    return answers.look_up(PREFIX, digest).content == content


def test_an_answer_is_served_until_an_item_in_it_changes(answers: AnswerCache, changes: Changes) -> None:
    """Others stay, and it can be stored again once searches show the change."""
    assert stored(answers, "a", "asked", "日本語-id", "m 1")
    assert stored(answers, "b", "asked", "m2")
    with changes.of(["日本語-id"]):
        assert answers.look_up(PREFIX, "a").content is None, "it ends before the write, not after it"
        assert answers.look_up(PREFIX, "b").content == b"{}"
    assert not stored(answers, "a", "asked", "日本語-id", "m 1"), "the index may not show the change yet"
    time.sleep(VISIBLE_S + 0.01)
    assert stored(answers, "a", "asked", "日本語-id", "m 1")


def test_a_search_that_began_before_a_change_stores_nothing(answers: AnswerCache, changes: Changes) -> None:
    """However long it took."""
    started = answers.look_up(PREFIX, "a").started_ms
    assert started is not None
    with changes.of(["m1"]):
        pass
    time.sleep(VISIBLE_S * 2)
    answers.store(PREFIX, "a", started, ["m1"], b"{}")
    assert answers.look_up(PREFIX, "a").content is None


def test_a_killed_writer_ends_the_answers_all_the_same(client: redis.Redis, answers: AnswerCache) -> None:
    """Until its write can no longer happen; another write of the item does not shorten that."""
    changes = Changes(client, PREFIX, longest_write_s=0.3, visible_after_s=VISIBLE_S)
    changes.announce()
    time.sleep(VISIBLE_S + 0.01)
    assert stored(answers, "a", "m1")
    killed = changes.of(["m1"])
    killed.__enter__()
    with changes.of(["m1"]):
        pass
    time.sleep(VISIBLE_S * 2)
    assert not stored(answers, "a", "m1")
    time.sleep(0.3)
    assert stored(answers, "a", "m1")


def test_a_write_that_failed_counts_as_one_that_may_have_happened(
    answers: AnswerCache, changes: Changes
) -> None:
    """Elasticsearch may have taken what it did not acknowledge."""
    assert stored(answers, "a", "m1")
    with pytest.raises(TimeoutError), changes.of(["m1"]):
        raise TimeoutError
    time.sleep(VISIBLE_S * 2)
    assert not stored(answers, "a", "m1")


def test_marks_of_failed_writes_do_not_pile_up(client: redis.Redis, answers: AnswerCache) -> None:
    """An item that is retried through an outage keeps the marks of writes that may still happen, not all."""
    changes = Changes(client, PREFIX, longest_write_s=0.02, visible_after_s=VISIBLE_S)
    changes.announce()
    for _ in range(30):
        time.sleep(0.01)
        with pytest.raises(TimeoutError), changes.of(["m1"]):
            raise TimeoutError
    marks = client.hlen(f"{CacheKeys(PREFIX).changed}m1")
    assert isinstance(marks, int)
    assert 1 <= marks <= 8, "0.07 s of marks, one every 0.01 s"
    assert not stored(answers, "a", "m1")
    time.sleep(0.02 + VISIBLE_S + 0.01)
    assert stored(answers, "a", "m1")


def test_nothing_is_stored_where_no_worker_marks_changes(answers: AnswerCache, client: redis.Redis) -> None:
    """Nor after FLUSHALL, until one writes or starts."""
    assert not stored(answers, "a", "m1")
    assert answers.counts.state is CacheState.NO_WORKER
    changes = Changes(client, PREFIX, longest_write_s=0.1, visible_after_s=VISIBLE_S)
    changes.announce()
    assert not stored(answers, "a", "m1"), "what was written before has no marks"
    time.sleep(VISIBLE_S + 0.01)
    assert stored(answers, "a", "m1")
    client.flushdb()
    assert not stored(answers, "a", "m1")
    with changes.of(["other"]):
        pass
    time.sleep(VISIBLE_S + 0.01)
    assert not stored(answers, "a", "m1"), "a write that began before FLUSHALL has no mark, and may go on"
    time.sleep(0.1)
    assert stored(answers, "a", "m1")


def test_prefixes_and_digests_are_apart(answers: AnswerCache, changes: Changes, client: redis.Redis) -> None:
    """An arm's own index has its own worker, answers and changes."""
    assert stored(answers, "a", "m1")
    assert answers.look_up(PREFIX, "b").content is None
    Changes(client, "other", longest_write_s=1, visible_after_s=0).announce()
    assert answers.look_up("other", "a").content is None
    with Changes(client, "other", longest_write_s=1).of(["m1"]):
        pass
    assert answers.look_up(PREFIX, "a").content == b"{}"


def test_the_number_of_answers_is_bounded(
    answers: AnswerCache, changes: Changes, client: redis.Redis
) -> None:
    """The one that expires first makes room; one that is stored again does not count twice."""
    for digest in ("a", "b", "b", "c"):
        assert stored(answers, digest, "m1")
        time.sleep(0.002)
    assert answers.look_up(PREFIX, "a").content == b"{}"
    assert stored(answers, "d", "m1")
    kept = [digest for digest in "abcd" if answers.look_up(PREFIX, digest).content]
    assert kept == ["b", "c", "d"]
    assert len(client.keys("*:answer:*")) == client.zcard(CacheKeys(PREFIX).expiries) == 3


def test_everything_expires_but_the_start_of_marking(
    client: redis.Redis, redis_url: str, changes: Changes
) -> None:
    """An answer with its time to live, counted from its search; a mark after any answer that it is about."""
    answers = AnswerCache(cache_client(redis_url), ttl_s=0.2, most=3)
    assert stored(answers, "a", "m1")
    keys = CacheKeys(PREFIX)
    assert 0 < client.pttl(keys.answer("a")) <= 200
    with changes.of(["m1"]):
        pass
    assert client.pttl(f"{keys.changed}m1") > MAX_TTL_S * 1000
    time.sleep(0.25)
    assert answers.look_up(PREFIX, "a").content is None
    assert stored(answers, "b", "m2")
    assert client.zrange(keys.expiries, 0, -1) == [keys.answer("b").encode()]


def test_look_ups_are_counted(answers: AnswerCache, changes: Changes) -> None:
    """Hits and misses of this process."""
    assert stored(answers, "a", "m1")
    counts = answers.counts
    assert (counts.state, counts.hits, counts.misses) == (CacheState.ON, 1, 1)


def test_redis_away_costs_one_short_try(own_redis: RunningService) -> None:
    """Then none until the pause is over; and it comes back by itself."""
    now = [0.0]
    answers = AnswerCache(cache_client(own_redis.url), ttl_s=60, most=3, pause_s=5, clock=lambda: now[0])
    with redis.Redis.from_url(own_redis.url) as client:
        Changes(client, PREFIX, longest_write_s=1, visible_after_s=0).announce()
    assert stored(answers, "a", "m1")
    own_redis.kill()
    assert not stored(answers, "a", "m1")
    assert answers.counts.state is CacheState.UNAVAILABLE
    own_redis.start()
    assert not stored(answers, "a", "m1"), "the pause is not over"
    now[0] = 5.1
    assert answers.look_up(PREFIX, "a").content == b"{}", "this Redis loses nothing at a kill"
    assert answers.counts.state is CacheState.ON


def test_a_worker_without_redis_writes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """Its chunk waits, as for Elasticsearch."""
    nobody = redis.Redis(port=free_port(), retry=None)
    written = []
    marks = Changes(nobody, PREFIX, longest_write_s=1)
    with pytest.raises(RedisUnavailable, match="redis_unavailable"), marks.of(["m1"]):
        written.append("m1")
    assert not written


def test_a_worker_that_loses_redis_during_a_write_goes_on(
    own_redis: RunningService, caplog: pytest.LogCaptureFixture
) -> None:
    """The first mark is enough."""
    marks = Changes(redis.Redis.from_url(own_redis.url, retry=None), PREFIX, longest_write_s=1)
    with marks.of(["m1"]):
        own_redis.kill()
    assert "the end of a write is not marked" in caplog.text


# A model: writers and searchers whose steps are shuffled, and which may be killed between any two.

ITEMS = ("m1", "m2")
REFRESH_MS = 1000
LONGEST_WRITE_MS = 5000
CLOCK = "clock"


@dataclass
class Catalogue:
    """An index that shows a write at its next refresh, on the clock of the test."""

    now: int
    writes: list[tuple[int, str, int]] = field(default_factory=list)

    def write(self, item_id: str, version: int) -> None:
        """Store a version of an item."""
        self.writes.append((self.now, item_id, version))

    def shown(self) -> dict[str, int]:
        """The versions that a search shows now."""
        refreshed = self.now // REFRESH_MS * REFRESH_MS
        return dict.fromkeys(ITEMS, 0) | {
            item: version for at, item, version in self.writes if at <= refreshed
        }


@pytest.fixture
def on_test_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the scripts read their time from a key, in ms."""
    real = "local time = redis.call('TIME')\n  return time[1] * 1000 + math.floor(time[2] / 1000)"
    for module, names in ((cache.answers, ("LOOK_UP", "STORE")), (cache.changes, ("BEGIN", "END"))):
        for name in names:
            script: str = getattr(module, name)
            assert real in script
            monkeypatch.setattr(
                module, name, script.replace(real, f"return tonumber(redis.call('GET', '{CLOCK}'))")
            )


class Shop:
    """The actors of the model. Each is a generator that does one step at a time."""

    def __init__(self, client: redis.Redis, answers: AnswerCache) -> None:
        self.client, self.answers = client, answers
        self.changes = Changes(
            client, PREFIX, longest_write_s=LONGEST_WRITE_MS / 1000, visible_after_s=REFRESH_MS / 1000
        )
        self.versions = itertools.count(1)
        # Far ahead, since Redis itself ends keys by its real clock.
        self.index = Catalogue((int(time.time()) + 86_400) * 1000)
        client.flushdb()
        self.pass_time(0)
        self.changes.announce()
        self.pass_time(REFRESH_MS)

    def pass_time(self, ms: int) -> None:
        """Move the clock."""
        self.index.now += ms
        self.client.set(CLOCK, self.index.now)

    def flush(self) -> None:
        """Lose all data."""
        self.client.flushdb()
        self.pass_time(0)

    def actor(self, kind: str, what: Any) -> Iterator[None]:
        """Return a writer or a searcher."""
        return self.writer(what) if kind == "write" else self.searcher(what)

    def writer(self, item_id: str) -> Iterator[None]:
        """Mark, write, mark."""
        begun = self.index.now
        with ExitStack() as stack:
            block = self.changes.of([item_id])
            block.__enter__()
            yield
            if self.index.now - begun > LONGEST_WRITE_MS:
                return  # ended by its time limit
            self.index.write(item_id, next(self.versions))
            yield
            stack.push(block)

    def searcher(self, items: Sequence[str]) -> Iterator[None]:
        """Look up, search, store. What is found must not be older than what a search shows."""
        digest = "-".join(items)
        found = self.answers.look_up(PREFIX, digest)
        shown = self.index.shown()
        if found.content is not None:
            served = orjson.loads(found.content)
            assert all(served[item] >= shown[item] for item in items), (served, shown)
        yield
        shown = self.index.shown()
        yield
        if found.started_ms is not None:
            answer = orjson.dumps({item: shown[item] for item in items})
            self.answers.store(PREFIX, digest, found.started_ms, items, answer)


ACTORS = st.one_of(
    st.tuples(st.just("write"), st.sampled_from(ITEMS)),
    st.tuples(st.just("search"), st.sampled_from([ITEMS, ITEMS[:1]])),
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("begin"), ACTORS),
        st.tuples(st.just("do"), ACTORS),
        st.tuples(st.just("do"), ACTORS),
        st.tuples(st.sampled_from(["go on", "go on", "kill"]), st.integers(0, 3)),
        st.tuples(st.just("pass"), st.sampled_from([1, 999, 1000, 4000])),
        st.tuples(st.just("flush"), st.none()),
    ),
    min_size=8,
    max_size=40,
)


@pytest.mark.usefixtures("on_test_clock")
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=STEPS)
def test_no_order_of_events_serves_an_item_as_it_was(
    client: redis.Redis, steps: list[tuple[str, Any]]
) -> None:
    """Never older than what a search would show at that moment, whoever is killed and whatever is lost."""
    shop = Shop(client, AnswerCache(client, ttl_s=60, most=100))
    actors: list[Iterator[None]] = []
    for step, what in steps:
        if step == "pass":
            shop.pass_time(what)
        elif step == "flush":
            shop.flush()
        elif step == "do":
            list(shop.actor(*what))
        elif step == "begin":
            actors.append(shop.actor(*what))
            next(actors[-1])
        elif actors:
            actor = actors[what % len(actors)]
            if step == "kill" or next(actor, "ended") == "ended":
                actors.remove(actor)
