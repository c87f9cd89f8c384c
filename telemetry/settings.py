"""The settings of logs and of the metrics endpoint of a worker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from settings.environment import Port, Variable


@dataclass(frozen=True)
class LogSettings:
    """The form of log lines."""

    form: Annotated[
        Literal["text", "json"],
        Variable(
            "NITAMONO_LOG_FORMAT",
            "`json` writes one JSON object a line, with the ids of item, task, request and "
            "[trace](metrics.md#logs).",
        ),
    ] = "text"


@dataclass(frozen=True)
class MetricsSettings:
    """The endpoint at which a worker shows its metrics."""

    port: Annotated[
        Port | None,
        Variable(
            "NITAMONO_METRICS_PORT",
            "The port at which a worker serves its [metrics](metrics.md). Without it, none is opened. Each "
            "worker on one machine needs a port of its own.",
        ),
    ] = None
    host: Annotated[
        str,
        Variable(
            "NITAMONO_METRICS_HOST",
            "The address for that port; `0.0.0.0` is all of them. The endpoint asks for no key.",
        ),
    ] = "127.0.0.1"
