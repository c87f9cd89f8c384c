"""Cursors: what they remember, and which are refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from query.search.cursor import (
    LIFETIME_S,
    MAX_LENGTH,
    MAX_SHOWN,
    decode,
    digest,
    encode,
    first_page,
    question,
)
from query.search.errors import InvalidParameters
from query.search.request import SimilarRequest

ASKED = question("m1", SimilarRequest())
UUID = "HhqrqWNbSZeuX-3BWKHcZA"


def reason(text: str, *, asked: str = ASKED, uuid: str = UUID, now: float = 0.0) -> str:
    """The reason why a cursor is refused."""
    with pytest.raises(InvalidParameters, match="leave it out to begin with the first page") as refused:
        decode(text, asked, uuid, now)
    (problem,) = refused.value.problems
    assert problem.field == "cursor"
    return problem.reason


@given(st.sets(st.text(min_size=1, max_size=60), max_size=MAX_SHOWN))
def test_a_cursor_remembers_what_was_shown(item_ids: set[str]) -> None:
    """And the state of the index before the first page."""
    text = encode(first_page("state").after(item_ids), ASKED, UUID, now=0.0)
    cursor = decode(text, ASKED, UUID, now=1.0)
    assert all(map(cursor.has_shown, item_ids))
    assert not cursor.has_shown("never shown by any page, as its length tells: " + "x" * 30)
    assert cursor.state == digest("state")
    assert len(text) <= MAX_LENGTH


def test_a_cursor_of_another_question_is_refused() -> None:
    """Another item, other filters, another size."""
    text = encode(first_page("").after(["m2"]), ASKED, UUID, now=0.0)
    for asked in (question("m2", SimilarRequest()), question("m1", SimilarRequest(size=5))):
        assert reason(text, asked=asked) == "cursor_of_another_request"


def test_the_page_and_its_explanation_are_no_other_question() -> None:
    """Each page may be explained or not."""
    first = SimilarRequest(size=5)
    assert question("m1", first) == question("m1", replace(first, cursor="x", explain=True))
    assert question("m1", first) == question("m1", replace(first, explain_missing=("m2",)))


def test_a_cursor_expires() -> None:
    """An hour after its page."""
    text = encode(first_page("").after(["m2"]), ASKED, UUID, now=1000.0)
    decode(text, ASKED, UUID, now=1000.0 + LIFETIME_S)
    assert reason(text, now=1001.0 + LIFETIME_S) == "cursor_expired"


def test_a_cursor_of_a_replaced_index_is_refused() -> None:
    """Also one with the same name: the UUID is another."""
    text = encode(first_page("").after(["m2"]), ASKED, UUID, now=0.0)
    assert reason(text, uuid="another") == "cursor_outdated"


@given(st.data())
def test_a_cursor_that_was_changed_is_refused(data: st.DataObject) -> None:
    """Wherever, and however it is cut."""
    text = encode(first_page("").after(["m2", "m3"]), ASKED, UUID, now=0.0)
    place = data.draw(st.integers(0, len(text) - 1))
    letter = data.draw(st.sampled_from("ABCDEFGHabcdefgh0123-_"))
    changed = data.draw(st.sampled_from([text[:place] + letter + text[place + 1 :], text[:place]]))
    if changed != text:
        assert reason(changed) in {"cursor_malformed", "cursor_outdated"}


@pytest.mark.parametrize("text", ["", "x", "日本語", "=", "AAAA" * 30, "%", "a" * 2000])
def test_what_is_no_cursor_is_refused(text: str) -> None:
    """Without a word of Python."""
    assert reason(text) in {"cursor_malformed", "cursor_outdated"}
