"""Structured log lines."""

from __future__ import annotations

from indexer.worker.logs import line


def test_a_line_is_one_line() -> None:
    """Whatever a title holds: text with spaces, quotes or line breaks is written as JSON."""
    text = line("chunk", events=64, took_ms=1.26, detail='found "x"\nexpected y', item=None, empty="")

    assert text == 'chunk events=64 took_ms=1.3 detail="found \\"x\\"\\nexpected y" item=None empty=""'
