"""A chunk of events, and what is known of them while they are indexed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from indexer.summary import EventOutcome, problem_in, rejected, without_vector
from indexer.worker.pipeline.dead_letters import DeadLetter
from indexer.worker.pipeline.documents import PhotoProblem
from indexer.worker.pipeline.item_state import ItemState
from indexer.worker.pipeline.stage_times import StageTimes
from mappings.changes import Change, parse_event, status_change
from mappings.errors import InvalidListing
from mappings.failures import Failure, PermanentFailure, TransientFailure
from mappings.identity import IndexVectors
from mappings.problems import shortened

UNEXPECTED_JSON = (TypeError, ValueError, OverflowError, RecursionError)
"""The errors of reading JSON that no validation foresaw. Only the event with such JSON is rejected."""

STATUS_AND_PRICE: Final = "its status and price are applied to the stored listing if they are newer"
STATUS_ALONE: Final = "its status is applied to the stored listing if it is newer"


@dataclass(frozen=True)
class Entry:
    """What an event of a chunk says of its item."""

    position: int
    state: ItemState
    is_rejected: bool = False
    """Whether the event is invalid, but its status counts."""

    @property
    def is_refresh(self) -> bool:
        """Whether the event only asks for the documents of its item to be brought up to date."""
        return not self.state.latest


@dataclass
class Chunk:
    """The events of a chunk and, by position, what is known of them so far."""

    events: Sequence[object]
    attempt: int = 1
    stage_times: StageTimes = field(default_factory=StageTimes)
    entries: dict[str, list[Entry]] = field(default_factory=dict)
    """By item, what its events say."""
    outcomes: dict[int, EventOutcome] = field(default_factory=dict)
    waiting: dict[int, TransientFailure] = field(default_factory=dict)
    dead_letters: dict[int, DeadLetter] = field(default_factory=dict)
    known_to: dict[str, int] = field(default_factory=dict)
    """Item that is for sale or sold to the newest version of what is stored of it."""
    indices: Mapping[str, IndexVectors] = field(default_factory=dict)
    """Those that the chunk is written to, each with what its vectors are of."""
    encoded: int = 0
    """The number of photos that were encoded."""
    photo_results: Counter[str] = field(default_factory=Counter)
    """The number of photos that were loaded, by reason code; under `ok` of those that can be encoded."""
    bulk_failures: list[Failure] = field(default_factory=list)
    """Why documents were not written, also where the item has a newer one."""

    def outcomes_in_order(self) -> list[EventOutcome]:
        """Return the outcomes of the events that have one, in order."""
        return [self.outcomes[position] for position in sorted(self.outcomes)]

    def reject(self, position: int, reason: str, detail: str) -> None:
        """Reject an event, with a dead letter. A valid status and price in it still count."""
        change = _status_in(self.events[position])
        if change is None:
            self._fail(position, rejected(reason), detail, None)
            return
        rule = STATUS_AND_PRICE if "price" in change.values else STATUS_ALONE
        self._fail(position, rejected(reason), f"{rule}; {detail}", change.version)
        entry = Entry(position, ItemState.of_change(change), is_rejected=True)
        self.entries.setdefault(change.item_id, []).append(entry)

    def keep(self, position: int, reason: str, detail: str, version: int) -> None:
        """Record that a change is kept until its item has a complete event, with a dead letter."""
        self._fail(position, rejected(reason), detail, version)

    def index_without_vector(self, position: int, problem: PhotoProblem, version: int) -> None:
        """Record that an event is indexed without a vector, with a dead letter."""
        self._fail(position, without_vector(problem.reason), problem.detail, version)

    def reject_written(self, item: str, failure: PermanentFailure) -> bool:
        """Reject the events of an item whose document Elasticsearch rejects.

        Returns:
            Whether the status of one still counts, and is to be written without the rest of it.
        """
        entries = self.entries[item]
        self.entries[item] = []
        for entry in entries:
            if entry.is_rejected:
                letter = self.dead_letters[entry.position]
                detail = shortened(f"not applied: {failure.detail}; {letter.detail}")
                self.dead_letters[entry.position] = replace(letter, detail=detail)
            else:
                self.reject(entry.position, failure.reason, failure.detail)
        return bool(self.entries[item])

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

    def wait(self, positions: Iterable[int], failure: TransientFailure) -> None:
        """Let these events wait for another attempt."""
        for position in positions:
            self.outcomes.pop(position, None)
            self.dead_letters.pop(position, None)
            self.waiting[position] = failure

    def defer(self, failure: TransientFailure) -> None:
        """Let all events wait that have no outcome, or whose dead letter is not written yet."""
        undone = (each for each in range(len(self.events)) if each not in self.outcomes)
        self.wait([*undone, *self.dead_letters], failure)


def parse(events: Sequence[object], attempt: int) -> Chunk:
    """Return the chunk of these events, of which the invalid ones are rejected."""
    chunk = Chunk(events, attempt)
    for position, event in enumerate(events):
        try:
            parsed = parse_event(event)
        except InvalidListing as failure:
            chunk.reject(position, failure.reason, str(failure))
        except UNEXPECTED_JSON as error:
            chunk.reject(position, "event_unreadable", f"{type(error).__name__}: {error}")
        else:
            of = ItemState.of_change(parsed) if isinstance(parsed, Change) else ItemState.of_listing(parsed)
            chunk.entries.setdefault(parsed.item_id, []).append(Entry(position, of))
    return chunk


def _status_in(event: object) -> Change | None:
    """Return the status in an event that is rejected, and its price if that is valid too."""
    try:
        return status_change(event)
    except UNEXPECTED_JSON:
        return None
