"""What `reembed` asks workers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import click
import pytest

from indexer.commands.connections import Connections
from indexer.commands.reembed import check_workers
from mappings.listing import MAX_PHOTOS

QUEUE = "nitamono-listings"


def answering(**answers: dict[str, Any] | str) -> Connections:
    """Connections whose workers answer so."""
    replies = [{name: each} for name, each in answers.items()]
    control = SimpleNamespace(broadcast=lambda *_, **__: replies)
    settings, producer = SimpleNamespace(queue=QUEUE), SimpleNamespace(control=control)
    return cast("Connections", SimpleNamespace(settings=settings, producer=producer))


def test_each_worker_must_know_several_photos() -> None:
    """One of an earlier version does not say that it does; it would write the vector of the first alone."""
    new = {"queue": QUEUE, "encoders": ["a"], "photos": MAX_PHOTOS}
    old = {"queue": QUEUE, "encoders": ["a"]}
    elsewhere = {"queue": "nitamono-other", "encoders": []}
    unknown = "no such command"

    check_workers(answering(new=new, elsewhere=elsewhere, of_events=unknown), "a", photos=3)
    check_workers(answering(old=old, new=new), "a", photos=1)
    with pytest.raises(click.ClickException, match=r"^workers of an earlier version, .*: old; restart"):
        check_workers(answering(old=old, new=new), "a", photos=2)
    with pytest.raises(click.ClickException, match=r"^workers without the encoder b: new; restart"):
        check_workers(answering(new=new), "b", photos=1)
