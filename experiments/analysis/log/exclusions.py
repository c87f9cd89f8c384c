"""Why an event, or a user with all events, is excluded."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Self


class Reason(StrEnum):
    """Faults of an event, then of its user. Each excluded event is counted under one reason."""

    meaning: str
    """A phrase for reports."""

    def __new__(cls, value: str, meaning: str = "") -> Self:
        """The value of a member is its name; its meaning is an attribute."""
        reason = str.__new__(cls, value)
        reason._value_ = value
        reason.meaning = meaning
        return reason

    INCOMPLETE = "incomplete", "without an id, a time or a user"
    REPEATED_EVENT = "repeated_event", "an event id that was seen before; the first by time counts"
    FUTURE = "future", "after the end of the period that is read"
    TOO_OLD = "too_old", "before the pre-period"
    REPEATED_SLATE = "repeated_slate", "a slate shown before under another event id; the first by time counts"
    UNKNOWN_ARM = "unknown_arm", "an arm that the experiment does not have"
    ARM_BEFORE_START = "arm_before_start", "an arm of the experiment, before its start"
    ARM_MISSING = "arm_missing", "a slate without an arm, of users who belong to one"
    UNKNOWN_SLATE = "unknown_slate", "of a slate that was never logged; only taps are excluded"
    SLATE_EXCLUDED = "slate_excluded", "of a slate that is itself excluded"
    OTHER_USER = "other_user", "of a slate that another user was shown"
    BEFORE_IMPRESSION = "before_impression", "before the slate it came from, by more than clocks differ"
    NOT_SHOWN = "not_shown", "a tap on an item or position that the slate did not show"
    REPEATED_TAP = "repeated_tap", "a further tap of one slate on one item"
    OVERRIDE = "override", "of users who chose an arm (testers); all of their events"
    TWO_ARMS = "two_arms", "of users who saw two arms; all of their events"
    BOT = "bot", "of users who look like bots; all of their events"


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
