"""Erasure of a user's events from the indices, the refused messages and the parquet log."""

from __future__ import annotations

import json
import re
from pathlib import Path

from elasticsearch import Elasticsearch

from events.errors import DamagedLogFile
from events.log_tables import TABLES, leftovers
from events.names import event_indices, rejected_events_index
from events.parquet_rows import delete_rows
from mappings.scan import delete_as_read, pages
from queues.refused_messages import RefusedMessages


def erase_stored(es: Elasticsearch, prefix: str, user_id: str) -> int:
    """Delete a user's events, rejected ones included, and return how many there were.

    They are deleted one by one: the server's own delete-by-query is a module that not every distribution has.
    """
    indices = f"{event_indices(prefix)},{rejected_events_index(prefix)}"
    return sum(
        delete_as_read(es, hits)
        for hits in pages(es, indices, {"term": {"user_id": user_id}}, missing_ok=True)
    )


def erase_refused(refused: RefusedMessages, user_hash: str, raw_id: str) -> int:
    """Delete the refused messages that name a user, by hash or raw id, and return how many there were."""
    raw_ids = {re.escape(json.dumps(raw_id, ensure_ascii=ascii_only)) for ascii_only in (True, False)}
    named = re.compile(rf'{re.escape(user_hash)}|"user(?:_id)?"\s*:\s*({"|".join(sorted(raw_ids))})')
    return refused.release([message.id for message in refused.search() if named.search(message.text)])


def erase_logged(log: Path, user_id: str) -> int:
    """Delete a user's events from the files of a log and return how many there were.

    Files that an export left unfinished are deleted: nothing reads them, and the user may be in them.

    Raises:
        DamagedLogFile: a file cannot be read. Those before it are done.
    """
    folders = [log / table for table in TABLES]
    for leftover in leftovers(log):
        leftover.unlink(missing_ok=True)
    return sum(_erase_from(path, user_id) for folder in folders for path in sorted(folder.rglob("*.parquet")))


def _erase_from(path: Path, user_id: str) -> int:
    try:
        return delete_rows(path, {"user_id": [user_id]})
    except (OSError, KeyError, ValueError) as error:  # ArrowInvalid is a ValueError
        raise DamagedLogFile(
            f"{path} cannot be read ({error}); repair or delete it, then erase the user again"
        ) from error
