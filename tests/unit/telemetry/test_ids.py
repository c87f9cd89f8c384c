"""Trace ids."""

from __future__ import annotations

import pytest

from telemetry.ids import new_trace_id, trace_id_in, traceparent_of

TRACE = "0af7651916cd43dd8448eb211c80319c"


def test_the_trace_of_a_header_is_kept() -> None:
    """The example of the specification, and what is made of it here."""
    assert trace_id_in(f"00-{TRACE}-b7ad6b7169203331-01") == TRACE
    assert trace_id_in(traceparent_of(TRACE)) == TRACE
    assert trace_id_in(traceparent_of(new_trace_id())) is not None


@pytest.mark.parametrize(
    "header",
    [
        "",
        TRACE,
        f"ff-{TRACE}-b7ad6b7169203331-01",
        f"00-{'0' * 32}-b7ad6b7169203331-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-b7ad6b7169203331-01",
        f"00-{TRACE}-b7ad6b7169203331-01\nInjected: 1",
    ],
)
def test_any_other_header_has_no_trace(header: str) -> None:
    """The specification says to start a new one."""
    assert trace_id_in(header) is None
