"""What the API knows of stopped experiments when Elasticsearch is fast, slow or gone."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from elastic_transport import ConnectionTimeout
from elasticsearch import Elasticsearch

import experiments.assignment.kill_switch
from experiments.assignment.kill_switch import MAX_AGE_S, STALE_AFTER_S, TIMEOUT_S, Switches


class Cluster:
    """A fake `read_stopped` that gives set answers and counts its calls."""

    def __init__(self) -> None:
        self.stopped: frozenset[str] | None = frozenset()
        self.asked = 0
        self.called = threading.Event()
        self.held = threading.Event()
        self.held.set()

    def __call__(self, *_: object) -> frozenset[str]:
        self.asked += 1
        self.called.set()
        self.held.wait(10)
        if self.stopped is None:
            raise ConnectionTimeout("no answer in time")
        return self.stopped


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """A cluster that answers."""
    stand_in = Cluster()
    monkeypatch.setattr(experiments.assignment.kill_switch, "read_stopped", stand_in)
    return stand_in


def make_switches(now: list[float]) -> Switches:
    return Switches(Elasticsearch("http://127.0.0.1:1"), "shop", clock=lambda: now[0])


def test_a_stop_applies_within_five_seconds(cluster: Cluster) -> None:
    """And until it is due, nothing is asked."""
    now = [100.0]
    switches = make_switches(now)
    assert switches.stopped() == frozenset()
    cluster.stopped = frozenset({"new-encoder"})
    now[0] += MAX_AGE_S - 0.1
    assert switches.stopped() == frozenset()
    assert cluster.asked == 1
    now[0] += 0.1
    assert switches.stopped() == {"new-encoder"}
    assert MAX_AGE_S + TIMEOUT_S < 5


def test_the_last_known_state_holds_for_a_while_without_elasticsearch(cluster: Cluster) -> None:
    """It is asked again when the next answer is due, and not by every request."""
    now = [100.0]
    switches = make_switches(now)
    cluster.stopped = frozenset({"new-encoder"})
    assert switches.stopped() == {"new-encoder"}
    cluster.stopped = None
    now[0] += MAX_AGE_S
    assert [switches.stopped() for _ in range(5)] == [{"new-encoder"}] * 5
    assert cluster.asked == 2
    cluster.stopped = frozenset()
    now[0] += MAX_AGE_S
    assert switches.stopped() == frozenset()


@pytest.mark.parametrize("stopped", [frozenset(), frozenset({"new-encoder"})])
def test_after_half_a_minute_without_an_answer_the_state_is_unknown(
    cluster: Cluster, stopped: frozenset[str]
) -> None:
    """Somebody may have stopped an experiment meanwhile. The next answer ends it."""
    now = [100.0]
    switches = make_switches(now)
    cluster.stopped = stopped
    assert switches.stopped() == stopped
    cluster.stopped = None
    while now[0] + MAX_AGE_S < 100 + STALE_AFTER_S:
        now[0] += MAX_AGE_S
        assert switches.stopped() == stopped
    now[0] = 100 + STALE_AFTER_S
    assert switches.stopped() is None
    assert switches.age_s() == STALE_AFTER_S == 30
    cluster.stopped = stopped
    now[0] += MAX_AGE_S
    assert (switches.stopped(), switches.age_s()) == (stopped, 0)


def test_the_first_requests_after_a_quiet_time_wait_for_the_answer(cluster: Cluster) -> None:
    """None of them loses its arm only because another asks."""
    now = [100.0]
    switches = make_switches(now)
    switches.stopped()
    now[0] += STALE_AFTER_S
    cluster.held.clear()
    cluster.called.clear()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(switches.stopped)
        assert cluster.called.wait(10)
        second = pool.submit(switches.stopped)
        with pytest.raises(TimeoutError):
            second.result(0.2)
        cluster.held.set()
        assert first.result(10) == second.result(10) == frozenset()
    assert cluster.asked == 2


def test_the_state_is_unknown_before_the_first_answer(cluster: Cluster) -> None:
    """Which is not the same as nothing being stopped."""
    cluster.stopped = None
    switches = make_switches([100.0])
    assert switches.stopped() is None
    assert switches.age_s() is None


def test_one_request_asks_and_concurrent_ones_do_not_wait(cluster: Cluster) -> None:
    """A slow answer slows one request, once."""
    now = [100.0]
    switches = make_switches(now)
    switches.stopped()
    now[0] += MAX_AGE_S
    cluster.stopped = frozenset({"new-encoder"})
    cluster.held.clear()
    cluster.called.clear()
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(switches.stopped)
        assert cluster.called.wait(10)
        assert switches.stopped() == frozenset()
        cluster.held.set()
        assert slow.result(10) == {"new-encoder"}
    assert cluster.asked == 2
