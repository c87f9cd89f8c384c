"""What the operator is told."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from mappings.lifecycle import IndexState
from monitoring.drift import Drift
from monitoring.findings import findings
from monitoring.indices import IndexFigures
from monitoring.queues import QueueState
from monitoring.samples import Sample, Samples
from monitoring.state import State
from monitoring.workers import WorkerReport
from tests.factories import make_identity

PREFIX = "listings"
ENCODER = "colour-00000001"


def worker(written_at: float = 0.0, seen_s_ago: float = -3600.0, encoder: str = ENCODER) -> WorkerReport:
    """A worker of listings. Its next hour is reported already, however slow the tests are."""
    labels = {"encoder": encoder, "backend": "openvino", "precision": "bf16"}
    samples = [
        Sample("nitamono_encoder_info", labels, 1.0),
        Sample("nitamono_last_write_timestamp_seconds", {}, written_at),
    ]
    now = time.time()
    return WorkerReport("worker@a", "listings", "q", now - 60, now - seen_s_ago, Samples(samples))


def index(**changes: Any) -> IndexFigures:
    """A live index with all its vectors."""
    state = IndexState(
        "listings-a", ENCODER, datetime.now(UTC), 100, 1000, ("listings-read", "listings-write"), False
    )
    return replace(IndexFigures(state, 100, 100, {}, datetime.now(UTC)), **changes)


WELL = State(queues=[QueueState("q", 3, 2, 0, 1.5)], parked=0, workers=[worker()], indices=[index()])


def test_nothing_is_said_while_all_is_well() -> None:
    """Messages that wait for a second are normal."""
    assert findings(WELL, PREFIX) == []


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"problems": {"redis": "refused"}}, "redis does not answer: refused"),
        ({"workers": []}, "No worker of listings"),
        ({"workers": [worker(), worker(seen_s_ago=300)]}, "worker@a has not reported"),
        ({"workers": [worker(), worker(encoder="other")]}, "different encoders: colour-00000001; other"),
        ({"workers": [worker(written_at=time.time() + 60)]}, "not found by searches"),
        ({"queues": [QueueState("q", 3, 2, 0, 61.0)]}, "oldest message in q has waited 61 s"),
        ({"queues": [QueueState("q", 0, 0, 2, None)]}, "2 messages of q can be processed by no worker"),
        ({"parked": 1}, "1 event could be stored nowhere"),
        ({"indices": []}, "No index is live"),
        ({"indices": [index(encoded=94)]}, "94.0% of the listings in listings-a"),
        ({"drift": Drift(make_identity(), 0.4, 0.0, 0.5, 0.5)}, "cosine of 0.400"),
        ({"drift": Drift(make_identity(), 0.6, 0.2, 0.5, 0.5)}, "0.20 variances away"),
    ],
)
def test_each_trouble_is_named_with_the_next_step(changes: dict[str, Any], text: str) -> None:
    """One finding, and no other."""
    (found,) = findings(replace(WELL, **changes), PREFIX)
    assert text in found.text
    assert found.next_step.endswith(".")


def test_a_backfill_may_wait() -> None:
    """It comes after all live messages."""
    waiting = QueueState("q-backfill", 3000, 0, 0, 7200.0, is_backfill=True)
    assert findings(replace(WELL, queues=[*WELL.queues, waiting]), PREFIX) == []


def test_an_index_that_is_not_read_may_lack_vectors() -> None:
    """It is being filled."""
    state = replace(index().state, name="listings-b", aliases=("listings-write",))
    filling = index(state=state, encoded=5)
    assert findings(replace(WELL, indices=[index(), filling]), PREFIX) == []
