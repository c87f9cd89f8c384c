"""Why an event, or a user with all events, is excluded."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum


class Reason(StrEnum):
    """Faults of an event, then of its user. Each excluded event is counted under one reason."""

    INCOMPLETE = "incomplete"
    REPEATED_EVENT = "repeated_event"
    FUTURE = "future"
    TOO_OLD = "too_old"
    REPEATED_SLATE = "repeated_slate"
    UNKNOWN_ARM = "unknown_arm"
    ARM_BEFORE_START = "arm_before_start"
    ARM_MISSING = "arm_missing"
    UNKNOWN_SLATE = "unknown_slate"
    SLATE_EXCLUDED = "slate_excluded"
    OTHER_USER = "other_user"
    BEFORE_IMPRESSION = "before_impression"
    NOT_SHOWN = "not_shown"
    REPEATED_TAP = "repeated_tap"
    OVERRIDE = "override"
    TWO_ARMS = "two_arms"
    BOT = "bot"

    @property
    def meaning(self) -> str:
        """A phrase for reports."""
        return MEANINGS[self]


MEANINGS = {
    Reason.INCOMPLETE: "without an id, a time or a user",
    Reason.REPEATED_EVENT: "an event id that was seen before; the first by time counts",
    Reason.FUTURE: "after the end of the period that is read",
    Reason.TOO_OLD: "before the pre-period",
    Reason.REPEATED_SLATE: "a slate shown before under another event id; the first by time counts",
    Reason.UNKNOWN_ARM: "an arm that the experiment does not have",
    Reason.ARM_BEFORE_START: "an arm of the experiment, before its start",
    Reason.ARM_MISSING: "a slate without an arm, of users who belong to one",
    Reason.UNKNOWN_SLATE: "of a slate that was never logged; only taps are excluded",
    Reason.SLATE_EXCLUDED: "of a slate that is itself excluded",
    Reason.OTHER_USER: "of a slate that another user was shown",
    Reason.BEFORE_IMPRESSION: "before the slate it came from, by more than clocks differ",
    Reason.NOT_SHOWN: "a tap on an item or position that the slate did not show",
    Reason.REPEATED_TAP: "a further tap of one slate on one item",
    Reason.OVERRIDE: "of users who chose an arm (testers); all of their events",
    Reason.TWO_ARMS: "of users who saw two arms; all of their events",
    Reason.BOT: "of users who look like bots; all of their events",
}


@dataclass(frozen=True)
class Exclusion:
    """The events excluded for one reason."""

    reason: Reason
    count: int
    """Events."""
    users: int
    example: str
    """An event id; of reasons that take a user with all events, the (hashed) user; "" where it is missing."""


@dataclass(frozen=True)
class Rules:
    """Limits that the events do not define themselves."""

    clock_skew: timedelta = timedelta(minutes=5)
    """How much earlier than its impression a tap may be dated, because clocks of two machines differ."""
    bot_slates_a_day: int = 1000
    """On any one day (UTC): more than one slate a minute for over sixteen hours."""
    bot_taps_a_minute: int = 60
    """In any minute of the clock: more than one tap a second, too fast to look at the items."""
