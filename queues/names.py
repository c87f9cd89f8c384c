"""Names of the keys beside the queues in Redis."""

from __future__ import annotations


def refused_key(queue: str) -> str:
    """Return the hash of the messages of a queue that no worker can process."""
    return f"{queue}:refused"


def parked_key(prefix: str) -> str:
    """Return the hash of events that could be stored neither as a document nor as a dead letter."""
    return f"nitamono:{prefix}:parked"


def workers_key(prefix: str) -> str:
    """Return the hash of the workers' reports."""
    return f"nitamono:{prefix}:workers"
