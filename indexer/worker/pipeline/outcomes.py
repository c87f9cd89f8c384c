"""The outcome of each event of an item, once the item is written. No I/O."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from indexer.summary import INDEXED, OUTDATED, UNCHANGED, EventOutcome, rejected, without_vector
from indexer.worker.pipeline.chunk import Chunk
from indexer.worker.pipeline.dead_letters import StoredLetter
from indexer.worker.pipeline.documents import NO_PHOTO, PhotoProblem
from indexer.worker.pipeline.item_state import ItemState
from indexer.worker.pipeline.planning import Plan
from queues.listings.outcomes import OutcomeKind

ITEM_UNKNOWN: Final = "item_unknown"
ITEM_REMOVED: Final = "item_removed"
KEPT_UNTIL_KNOWN: Final = frozenset({ITEM_UNKNOWN, ITEM_REMOVED})
"""The reasons of changes that are kept until a complete event of their item arrives."""

_DETAILS: Final = {
    ITEM_UNKNOWN: "the item has no complete event yet; the change is applied once it has one",
    ITEM_REMOVED: "the item is removed; the change is applied if a complete event restores it",
}


def record_outcomes(chunk: Chunk, plan: Plan, problem: PhotoProblem | None, *, written: bool) -> None:
    """Record the outcome of each event of an item.

    problem: what is wrong with the item's photo.
    written: whether a document was written for the events.
    """
    entries = chunk.entries[plan.item_id]
    seen: set[int] = set()
    for entry in entries:
        if entry.is_rejected:
            continue
        version = entry.state.latest or plan.state.version
        outcome = outcome_of(entry.state, plan, written=written and version not in seen)
        seen.add(version)
        if outcome == INDEXED and problem and _has_photos(entry.state) and not problem.is_known:
            chunk.index_without_vector(entry.position, problem, version)
        elif outcome == INDEXED and problem:
            example = plan.item_id, problem.detail
            chunk.outcomes[entry.position] = replace(without_vector(problem.reason), example=example)
        elif outcome.reason:
            chunk.keep(entry.position, outcome.reason, _DETAILS[outcome.reason], version)
        else:
            chunk.outcomes[entry.position] = outcome
    if not plan.state.is_removed:
        chunk.known_to[plan.item_id] = plan.state.latest


def outcome_of(event: ItemState, plan: Plan, *, written: bool) -> EventOutcome:
    """Return the outcome of an event, given what is known of its item before and after."""
    if not _counts(event, plan.state):
        return OUTDATED
    if event.changes and not plan.state.is_known:
        return rejected(ITEM_UNKNOWN)
    if event.changes and plan.state.is_removed:
        return rejected(ITEM_REMOVED)
    return INDEXED if written else UNCHANGED


def _counts(event: ItemState, state: ItemState) -> bool:
    """Whether anything in the state of an item is from the event."""
    if not event.latest:  # it asks for the documents to be brought up to date
        return True
    if event.is_known:
        return event.version == state.version and state.removal <= event.version
    if event.removal:
        return event.removal == state.removal
    current = state.changes
    return any(name in current and current[name][0] == at for name, (at, _) in event.changes.items())


def _has_photos(event: ItemState) -> bool:
    return event.is_known or "images" in event.changes or not event.latest


def obsolete(letter: StoredLetter, chunk: Chunk, item: str) -> bool:
    """Return whether the dead letter of an item says nothing any more, once its events are settled.

    A complete event replaces what was rejected before; a change replaces only itself, and photos only what
    was wrong with photos.
    """
    settled = chunk.outcomes.keys() - chunk.dead_letters.keys()
    return any(
        _replaces(entry.state, chunk.outcomes[entry.position], letter)
        for entry in chunk.entries[item]
        if entry.position in settled
    )


def _replaces(event: ItemState, outcome: EventOutcome, letter: StoredLetter) -> bool:
    if outcome == OUTDATED:
        return False
    if letter.version <= event.version or letter.version == event.latest:
        return True
    has_newer_photo = not event.latest or ("images" in event.changes and letter.version < event.latest)
    return has_newer_photo and outcome.kind is not OutcomeKind.WITHOUT_VECTOR and _is_of_photos(letter.reason)


def _is_of_photos(reason: str) -> bool:
    return reason == NO_PHOTO or reason.startswith("photo_")
