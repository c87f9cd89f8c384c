"""A chunk of events, and what is known of them while they are indexed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from indexer.summary import OUTDATED, UNCHANGED, EventOutcome, problem_in, rejected, without_vector
from indexer.worker.pipeline.dead_letters import DeadLetter
from indexer.worker.pipeline.documents import PhotoProblem
from indexer.worker.pipeline.stage_times import StageTimes
from indexer.worker.pipeline.status_update import parse_status_update
from mappings.errors import InvalidListing
from mappings.failures import TransientFailure
from mappings.listing import Listing, event_version, parse_listing

UNEXPECTED_JSON = (TypeError, ValueError, OverflowError, RecursionError)
"""The errors of reading JSON that no validation foresaw. Only the event with such JSON is rejected."""


@dataclass(frozen=True)
class Candidate:
    """A valid event and its position in the chunk."""

    position: int
    listing: Listing
    version: int

    @property
    def item_id(self) -> str:
        """The item of the event."""
        return self.listing.item_id


@dataclass
class Chunk:
    """The events of a chunk and, by position, what is known of them so far."""

    events: Sequence[object]
    attempt: int = 1
    stage_times: StageTimes = field(default_factory=StageTimes)
    outcomes: dict[int, EventOutcome] = field(default_factory=dict)
    waiting: dict[int, TransientFailure] = field(default_factory=dict)
    dead_letters: dict[int, DeadLetter] = field(default_factory=dict)
    known_versions: dict[str, int] = field(default_factory=dict)
    """By item, a version that its documents have at least in every index; 0 if one may be missing."""
    indices: tuple[str, ...] = ()
    """Those that the chunk is written to."""
    encoded: int = 0
    """The number of photos that were encoded."""

    def outcomes_in_order(self) -> list[EventOutcome]:
        """Return the outcomes of the events that have one, in order."""
        return [self.outcomes[position] for position in sorted(self.outcomes)]

    def reject(self, position: int, reason: str, detail: str) -> None:
        """Reject an event, with a dead letter. A valid status and price in it are applied afterwards."""
        update = parse_status_update(self.events[position])
        if update:
            detail = f"{update}; {detail}"
        self._fail(position, rejected(reason), detail, update.version if update else None)

    def index_without_vector(self, position: int, problem: PhotoProblem, version: int) -> None:
        """Record that an event is indexed without a vector, with a dead letter."""
        self._fail(position, without_vector(problem.reason), problem.detail, version)

    def _fail(self, position: int, outcome: EventOutcome, detail: str, version: int | None) -> None:
        letter = DeadLetter.of(
            self.events[position],
            outcome.reason or "unknown",
            detail,
            version=version,
            attempts=self.attempt,
        )
        example = (letter.item_id or "(no id)", problem_in(letter.detail))
        self.outcomes[position] = replace(outcome, example=example)
        self.dead_letters[position] = letter

    def defer(self, failure: TransientFailure) -> None:
        """Let all events wait that have no outcome, or whose dead letter is not written yet."""
        for position in range(len(self.events)):
            if position not in self.outcomes or position in self.dead_letters:
                self.outcomes.pop(position, None)
                self.waiting[position] = failure
        self.dead_letters.clear()


def parse(chunk: Chunk) -> list[Candidate]:
    """Return the valid events, and reject the others."""
    candidates = []
    for position, event in enumerate(chunk.events):
        try:
            listing = parse_listing(event)
            candidates.append(Candidate(position, listing, event_version(listing)))
        except InvalidListing as failure:
            chunk.reject(position, failure.reason, str(failure))
        except UNEXPECTED_JSON as error:
            chunk.reject(position, "event_unreadable", f"{type(error).__name__}: {error}")
    return candidates


def newest_per_item(chunk: Chunk, candidates: Iterable[Candidate]) -> list[Candidate]:
    """Return the newest event of each item. The others are outdated, or unchanged if they are equal to it."""
    newest: dict[str, Candidate] = {}
    for candidate in sorted(candidates, key=lambda candidate: candidate.version, reverse=True):
        winner = newest.setdefault(candidate.item_id, candidate)
        if winner is not candidate:
            repeated = winner.version == candidate.version
            chunk.outcomes[candidate.position] = UNCHANGED if repeated else OUTDATED
    return list(newest.values())
