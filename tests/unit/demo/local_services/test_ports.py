"""Which ports are free, and who holds the others."""

from __future__ import annotations

import os
import socket

import pytest

from demo.local_services.errors import PortInUse
from demo.local_services.ports import is_free, occupant, require_free
from tests.free_port import free_port


@pytest.fixture
def taken_port():
    """A port that this process listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_port_is_free_until_a_server_listens(taken_port):
    """A port with a listener is taken; a fresh one is free."""
    assert not is_free(taken_port)
    assert is_free(free_port())


def test_a_listener_on_all_addresses_takes_the_port_too():
    """A server on 0.0.0.0 answers on the loopback address, so its port is not free."""
    with socket.create_server(("0.0.0.0", 0)) as server:
        assert not is_free(server.getsockname()[1])


def test_the_message_names_port_process_and_settings(taken_port):
    """The sentence says which port, who holds it, and which settings help."""
    with pytest.raises(PortInUse) as caught:
        require_free(
            taken_port, title="Redis", setting="NITAMONO_REDIS_PORT", alternative="NITAMONO_REDIS_URL=r"
        )
    message = str(caught.value)
    assert f"Redis cannot listen on 127.0.0.1:{taken_port}" in message
    assert "set NITAMONO_REDIS_PORT to a free port, or set NITAMONO_REDIS_URL=r" in message


def test_the_occupant_is_this_process(taken_port):
    """The process that listens is named with its pid, where the system allows it."""
    found = occupant(taken_port)
    assert found is None or f"(pid {os.getpid()})" in found


def test_a_free_port_has_no_occupant():
    """A port without a listener has no occupant."""
    assert occupant(free_port()) is None
