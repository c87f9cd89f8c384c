"""Metrics over HTTP."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from telemetry.shared_files import collect

if TYPE_CHECKING:
    from prometheus_client import Metric


class _Collected:
    """Collects when it is asked, as prometheus-client expects of a collector."""

    def collect(self) -> Iterable[Metric]:
        """Return the metrics of all processes."""
        return collect()


def serve(host: str, port: int) -> int:
    """Serve the metrics at `/metrics` in a thread, and return the port.

    Raises:
        OSError: the address is taken, or none of this machine.
    """
    from prometheus_client import CollectorRegistry, start_http_server  # noqa: PLC0415  see telemetry.metrics

    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collected())
    server, _ = start_http_server(port, host, registry)
    return int(server.server_port)


def exposition(families: Iterable[Metric], accept: str) -> tuple[bytes, str]:
    """Return the metrics as text, in the form that the client prefers, and its content type."""
    from prometheus_client import CollectorRegistry  # noqa: PLC0415  see telemetry.metrics
    from prometheus_client.exposition import choose_encoder  # noqa: PLC0415

    found = list(families)

    class Found:
        def collect(self) -> Iterable[Metric]:
            return found

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Found())
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type
