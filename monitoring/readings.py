"""The state of a deployment as metrics."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from monitoring.drift import Drift
from monitoring.indices import IndexFigures
from monitoring.reasons import reason_label
from monitoring.state import State
from telemetry.metrics import Metric, Reading

if TYPE_CHECKING:
    from prometheus_client import Metric as Family

UP: Final = Reading(
    "nitamono_service_up",
    "1 if the service answered when the state was read.",
    ("service",),
    "0: Elasticsearch or Redis does not answer the API. The readings of that service are missing meanwhile.",
)
MESSAGES: Final = Reading(
    "nitamono_queue_messages",
    "Messages in a queue.",
    ("queue", "state"),
    "`waiting` grows: workers are missing or too slow. `held` are those that workers have, also while they "
    "wait for a retry. `refused` can be processed by no worker: `nitamono indexer dead-letters list` "
    "shows them.",
)
OLDEST: Final = Reading(
    "nitamono_queue_oldest_message_seconds",
    "Age of the message that waits longest in a queue.",
    ("queue",),
    "Above the lag that you accept: start workers, or find the slow stage. Messages without the header "
    "`enqueued_at` have no age.",
)
PARKED: Final = Reading(
    "nitamono_parked_events",
    "Events in Redis that could be stored neither as a document nor as a dead letter.",
    (),
    "Above 0: once Elasticsearch is well, `nitamono indexer dead-letters replay`.",
)
WORKERS: Final = Reading(
    "nitamono_workers",
    "Workers that have reported within the last 45 seconds.",
    ("kind",),
    "0: nothing is processed. `nitamono demo status`, or your orchestrator, says why they ended.",
)
DEAD_LETTERS: Final = Reading(
    "nitamono_dead_letters",
    "Dead letters of listings by reason.",
    ("reason",),
    "`/operator` has a remedy for each reason. Correct the cause, then send the listings again or "
    "`nitamono indexer dead-letters replay --reason REASON`.",
)
LISTINGS: Final = Reading(
    "nitamono_index_listings",
    "Listings in an index that are not removed.",
    ("index", "encoder"),
    "A sudden fall: removals were sent. Two indices of one alias that differ: the newer is being filled.",
)
COVERAGE: Final = Reading(
    "nitamono_index_coverage_ratio",
    "Share of the listings in an index that have a vector.",
    ("index", "encoder"),
    "The others are in no answer by photo. `nitamono_index_without_vector` has the reasons.",
)
WITHOUT_VECTOR: Final = Reading(
    "nitamono_index_without_vector",
    "Listings in an index without a vector, by reason.",
    ("index", "reason"),
    "As for dead letters of that reason.",
)
NEWEST: Final = Reading(
    "nitamono_index_newest_timestamp_seconds",
    "Unix time at which the newest document that searches find was written.",
    ("index",),
    "Seconds behind `nitamono_last_write_timestamp_seconds`: the index is not refreshed, so that nothing "
    "new is found. Check its `refresh_interval`.",
)
SIMILARITY: Final = Reading(
    "nitamono_drift_similarity",
    "Mean cosine of some of the newest listings to their nearest hundred.",
    ("encoder",),
    "Compare with `nitamono_drift_similarity_expected`. Lower: photos of a kind that the encoder was not "
    "made for. Higher: near-identical photos, such as placeholders. Run `nitamono ml check` on the new "
    "listings.",
)
SIMILARITY_EXPECTED: Final = Reading(
    "nitamono_drift_similarity_expected",
    "The same on the photos with which the artifact was validated.",
    ("encoder",),
    "It belongs to the artifact.",
)
DEVIATION: Final = Reading(
    "nitamono_drift_similarity_deviation",
    "Difference of the two, in the spreads of the artifact.",
    ("encoder",),
    "Beyond -1 or 1, ranking weights and the floor of similarity no longer fit: `nitamono query "
    "calibrate`. A catalogue of another size than the validation photos differs too: watch the change "
    "rather than the level.",
)
SHIFT: Final = Reading(
    "nitamono_drift_centre_shift_ratio",
    "Squared distance between the mean vectors of the newest and of all listings, in variances.",
    ("encoder",),
    "Above 0.1 the newest listings are of other kinds than the rest: a campaign, an import, or photos that "
    "are processed in another way. `nitamono ml check` tells whether the encoder copes.",
)
LEADING: Final = Reading(
    "nitamono_drift_leading_variance_ratio",
    "Share of the variance in the first quarter of the PCA components.",
    ("encoder", "listings"),
    "`newest` below `all` by more than 0.1: the directions that PCA kept matter less for the new photos. "
    "Fit it again, or fine-tune (docs/training.md).",
)
METRICS: Final[tuple[Metric, ...]] = (
    UP,
    MESSAGES,
    OLDEST,
    PARKED,
    WORKERS,
    DEAD_LETTERS,
    LISTINGS,
    COVERAGE,
    WITHOUT_VECTOR,
    NEWEST,
    SIMILARITY,
    SIMILARITY_EXPECTED,
    DEVIATION,
    SHIFT,
    LEADING,
)


def readings(state: State) -> Iterator[Family]:
    """Yield the metrics of a state; what could not be read has no value."""
    services = ("elasticsearch", "redis")
    yield UP.family(((service,), float(service not in state.problems)) for service in services)
    if "redis" not in state.problems:
        yield from _of_redis(state)
    if "elasticsearch" not in state.problems:
        yield DEAD_LETTERS.family(_summed(((reason,), count) for reason, count in state.dead_letters.items()))
        yield from _of_indices(state.indices)
        yield from _of_drift(state.drift)


def _of_redis(state: State) -> Iterator[Family]:
    yield MESSAGES.family(
        ((queue.name, kind), float(getattr(queue, kind)))
        for queue in state.queues
        for kind in ("waiting", "held", "refused")
    )
    # An empty queue has the age 0, so that an alert ends; a message without an age has none.
    yield OLDEST.family(
        ((queue.name,), queue.oldest_s or 0.0)
        for queue in state.queues
        if queue.oldest_s is not None or not queue.waiting
    )
    yield PARKED.family([((), float(state.parked or 0))])
    alive = [worker.kind for worker in state.workers if not worker.is_silent]
    yield WORKERS.family(((kind,), float(alive.count(kind))) for kind in ("listings", "events"))


def _of_indices(indices: Sequence[IndexFigures]) -> Iterator[Family]:
    found = [(each.state.name, each.state.encoder_id, each) for each in indices]
    yield LISTINGS.family(((name, encoder), float(each.listings)) for name, encoder, each in found)
    yield COVERAGE.family(
        ((name, encoder), each.coverage) for name, encoder, each in found if each.coverage is not None
    )
    reasons = (
        ((name, reason), count) for name, _, each in found for reason, count in each.without_vector.items()
    )
    yield WITHOUT_VECTOR.family(_summed(reasons))
    yield NEWEST.family(((name,), each.newest.timestamp()) for name, _, each in found if each.newest)


def _of_drift(drift: Drift | None) -> Iterator[Family]:
    if drift is None:
        return
    encoder = drift.encoder.encoder_id
    for reading, value in (
        (SIMILARITY, drift.similarity),
        (SIMILARITY_EXPECTED, drift.encoder.similarity_mean),
        (DEVIATION, drift.deviation),
        (SHIFT, drift.centre_shift),
    ):
        yield reading.family([((encoder,), value)])
    shares = {"newest": drift.leading, "all": drift.leading_reference}
    yield LEADING.family(((encoder, listings), share) for listings, share in shares.items())


def _summed(counts: Iterable[tuple[tuple[str, ...], int]]) -> Iterable[tuple[tuple[str, ...], float]]:
    """Return the counts with the reason, the last label, as one of a limited number."""
    sums: defaultdict[tuple[str, ...], float] = defaultdict(float)
    for (*others, reason), count in counts:
        sums[*others, reason_label(reason)] += count
    return sums.items()
