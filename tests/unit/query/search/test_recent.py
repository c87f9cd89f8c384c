"""Values that are read at most once a second."""

from __future__ import annotations

import pytest

from query.search.recent import MOST, RECENT_S, Recent


class Source:
    """Counts how often it is read, on a clock of its own."""

    def __init__(self) -> None:
        self.now = 0.0
        self.reads = 0

    def read(self) -> int:
        self.reads += 1
        return self.reads


def test_a_value_is_read_once_a_second_for_each_key() -> None:
    """One that is as old as that is read again."""
    source = Source()
    recent: Recent[str, int] = Recent(lambda: source.now)
    assert [recent.of("a", source.read), recent.of("a", source.read), recent.of("b", source.read)] == [
        1,
        1,
        2,
    ]
    source.now = RECENT_S * 0.99
    assert recent.of("a", source.read) == 1
    source.now = RECENT_S
    assert recent.of("a", source.read) == 3


def test_an_empty_value_is_kept_too() -> None:
    """The state of an index is empty where the credentials lack a privilege: no reason to ask each time."""
    source = Source()
    recent: Recent[str, str] = Recent(lambda: source.now)
    assert [recent.of("a", lambda: f"{source.read()}"[1:]) for _ in range(3)] == [""] * 3
    assert source.reads == 1


def test_an_error_is_raised_and_not_kept() -> None:
    """The next request tries again."""
    source = Source()
    recent: Recent[str, int] = Recent(lambda: source.now)
    with pytest.raises(ZeroDivisionError):
        recent.of("a", lambda: 1 // 0)
    assert recent.of("a", source.read) == 1


def test_a_slow_read_does_not_replace_a_later_one() -> None:
    """It may have begun before a swap of the index that the later one saw."""
    source = Source()
    recent: Recent[str, str] = Recent(lambda: source.now)

    def slow() -> str:
        source.now = 0.5
        assert recent.of("a", lambda: "new") == "new"
        return "old"

    assert recent.of("a", slow) == "old"
    assert recent.of("a", lambda: "not read") == "new"


def test_a_value_is_as_old_as_the_beginning_of_its_read() -> None:
    """What took longer than a second to read is not kept at all."""
    source = Source()
    recent: Recent[str, int] = Recent(lambda: source.now)

    def slow() -> int:
        source.now += RECENT_S
        return source.read()

    assert [recent.of("a", slow), recent.of("a", source.read)] == [1, 2]


def test_the_number_of_values_is_bounded() -> None:
    """The oldest goes first."""
    source = Source()
    recent: Recent[int, int] = Recent(lambda: source.now)
    for key in range(MOST + 1):
        recent.of(key, source.read)
    assert recent.of(MOST, source.read) == MOST + 1
    assert recent.of(0, source.read) == MOST + 2
