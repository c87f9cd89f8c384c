"""The names of the queue of listings and of its tasks."""

from __future__ import annotations

from typing import Final

INDEX_TASK: Final = "indexer.index_listings"
REMOVE_TASK: Final = "indexer.remove_listings"


def listing_queue(prefix: str) -> str:
    """Return the Celery queue of the listings of a deployment."""
    return f"nitamono-{prefix}"


def gathered_key(queue: str, task_id: str) -> str:
    """Return the Redis list of the messages that a task processes besides its own."""
    return f"{queue}:gathered:{task_id}"
