"""The part of a message in a job."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from queues.listings.jobs import JobPart

JOB = "0" * 32


def test_a_part_loses_what_is_settled() -> None:
    """By index in the message; nothing is left of a part whose events are all settled."""
    part = JobPart(id=JOB, positions=(4, 7, 9))
    rest = part.without([1])
    assert rest is not None
    assert rest.to_json() == {"id": JOB, "positions": [4, 9]}
    assert part.without([0, 1, 2]) is None


@pytest.mark.parametrize(
    "found",
    [{}, {"id": "x", "positions": [0]}, {"id": JOB, "positions": []}, {"id": JOB, "positions": [-1]}, 7],
)
def test_a_part_of_a_message_is_validated(found: object) -> None:
    """It comes from the queue."""
    with pytest.raises(ValidationError):
        JobPart.model_validate(found)
