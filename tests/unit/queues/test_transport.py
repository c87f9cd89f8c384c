"""What a command says of replayed messages."""

from __future__ import annotations

import pytest

from queues.transport import Replayed

SENT = "Refused messages put back on the queue: 1,200."
KEPT = (
    "Messages that would be refused again: 3. `nitamono events rejected list` shows the reasons, "
    "`nitamono events rejected drop` removes them."
)


@pytest.mark.parametrize(
    ("replayed", "sentences"),
    [
        (Replayed(0, 0), []),
        (Replayed(1200, 0), [SENT]),
        (Replayed(0, 3), [KEPT]),
        (Replayed(1200, 3), [SENT, KEPT]),
    ],
)
def test_each_count_above_0_has_a_sentence(replayed: Replayed, sentences: list[str]) -> None:
    """With the commands for those that stay."""
    assert list(replayed.sentences("nitamono events rejected")) == sentences
