"""`nitamono indexer forget`."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click

from cache.changes import Changes
from console.counts import count_of
from events.user_ids import user_salt
from indexer.commands.connections import Connections
from indexer.jobs.forget import Forgetting, ForgottenAnswers, Place, audit_line
from indexer.jobs.forget_documents import ForgottenDocuments, Traces
from indexer.jobs.forget_files import ForgottenShards, files_with
from indexer.jobs.forget_messages import (
    ForgottenLetters,
    ForgottenParked,
    ForgottenQueued,
    ForgottenRefused,
    HeldByWorkers,
)
from indexer.jobs.forget_subject import Subject
from indexer.photos.cache import PhotoCache
from indexer.settings import FetchSettings
from indexer.worker.bootstrap import work_queue
from mappings.names import dead_letter_index
from settings.environment import read_settings
from settings.errors import InvalidSetting
from settings.services_file import state_folder

LEFT: Final = 3
"""The exit status if something is left, or could not be reached."""
AUDIT_FILE: Final = "forgotten.jsonl"


@click.command(name="forget")
@click.argument("items", metavar="[ITEM]...", nargs=-1)
@click.option("--seller", help="Forget every listing of this seller.")
@click.option("--verify", is_flag=True, help="Delete nothing: only look for what is left.")
@click.option(
    "--shards",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of parquet files with columns item_id and seller_id, besides NITAMONO_EMBEDDINGS_DIR. "
    "Repeatable.",
)
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Data folder of Elasticsearch, to look for titles and vectors in its files before and after.",
)
@click.option("--no-purge", is_flag=True, help="Leave deleted documents in the files until they are merged.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@click.option(
    "--audit",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to which one line of JSON is added, without any id.",
    show_default=f"{AUDIT_FILE} in NITAMONO_STATE_DIR",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def forget_command(
    connections: Connections,
    items: tuple[str, ...],
    seller: str | None,
    verify: bool,
    shards: tuple[Path, ...],
    data: Path | None,
    no_purge: bool,
    yes: bool,
    audit: Path | None,
    as_json: bool,
) -> None:
    """Delete what is stored of ITEMs or of a seller: a takedown.

    Documents of all indices of the prefix, cached answers, dead letters, parked, refused and queued events,
    photos that workers keep, and rows of parquet files. A tombstone with the id and a version remains until
    `nitamono indexer sweep`, so that no late event brings an item back. Then deleted documents are merged out
    of the files of the indices, which takes half a minute and longer for large indices.

    The exit status is 0 if nothing is left, 3 if something is or could not be reached, and 1 after an error.
    """
    if not items and seller is None:
        raise click.UsageError("pass ITEM, or --seller SELLER")
    salt = user_salt(os.environ)
    if salt is None:
        raise InvalidSetting(
            "the audit line has hashed ids: set NITAMONO_USER_SALT to at least 16 random characters"
        )
    forgetting = forgetting_of(connections, shards)
    subject = forgetting.subject(items, seller)
    if not verify and not yes:
        named = f"{count_of(len(subject.item_ids), 'item')}{' and their seller' if seller else ''}"
        click.confirm(f"Permanently delete everything stored of {named}?", abort=True)
    run = Run(forgetting, subject, data)
    outcome = run.verified() if verify else run.done(purging=not no_purge)
    facts = outcome | {"verify": verify, "items_found": len(subject.item_ids)}
    line = audit_line(salt, items, seller, facts)
    add_line(audit or state_folder(os.environ) / AUDIT_FILE, line)
    if as_json:
        click.echo(json.dumps(line))
    else:
        print_outcome(outcome, verify=verify)
    if outcome["left"] or outcome["unreachable"] or outcome["unmerged"] or outcome["files_after"]:
        raise SystemExit(LEFT)


def forgetting_of(connections: Connections, shards: Sequence[Path]) -> Forgetting:
    """Return all places of the deployment."""
    settings, queue = connections.settings, work_queue(connections.settings)
    changes = Changes(connections.redis, settings.prefix, longest_write_s=settings.hard_limit_s)
    fetch = read_settings(FetchSettings, os.environ)
    kept = [settings.embeddings] if settings.embeddings else []
    places: list[Place] = [
        ForgottenAnswers(connections.redis, settings.prefix),
        ForgottenQueued(queue),
        HeldByWorkers(connections.redis, settings.unacked_key),
        ForgottenParked(connections.parking),
        ForgottenRefused(connections.intake.refused),
        ForgottenLetters(connections.dead_letters),
        ForgottenShards([*shards, *kept]),
    ]
    return Forgetting(
        connections.es,
        ForgottenDocuments(connections.es, settings.prefix, changes.of),
        places,
        PhotoCache(fetch.cache_dir, fetch.cache_bytes),
        (dead_letter_index(settings.prefix),),
    )


@dataclass(frozen=True)
class Run:
    """One run of the command."""

    forgetting: Forgetting
    subject: Subject
    data: Path | None

    def done(self, *, purging: bool) -> dict[str, Any]:
        """Delete everything, look for what is left, and return what was found."""
        started = time.monotonic()
        traces = Traces.none()
        found = self.forgetting.forget(self.subject, traces)
        before = self._files(traces)
        unmerged = self.forgetting.purge() if purging else {}
        return {
            "deleted": found,
            "left": self.forgetting.remaining(self.subject),
            "unreachable": self.forgetting.closed(),
            "unmerged": unmerged,
            "deleted_in_segments": self.forgetting.deleted(),
            "files_before": before,
            "files_after": self._files(traces),
            "seconds": round(time.monotonic() - started, 1),
        }

    def verified(self) -> dict[str, Any]:
        """Look for what is left, and return it."""
        started = time.monotonic()
        return {
            "deleted": {},
            "left": self.forgetting.remaining(self.subject),
            "unreachable": self.forgetting.closed(),
            "unmerged": {},
            "deleted_in_segments": self.forgetting.deleted(),
            "files_before": None,
            "files_after": None,
            "seconds": round(time.monotonic() - started, 1),
        }

    def _files(self, traces: Traces) -> int | None:
        if self.data is None:
            return None
        return len(files_with(self.data, [*traces.vectors, *(title.encode() for title in traces.titles)]))


def add_line(file: Path, line: Mapping[str, Any]) -> None:
    """Add a line of JSON to a file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", encoding="utf-8") as lines:
        lines.write(f"{json.dumps(line)}\n")


def print_outcome(outcome: Mapping[str, Any], *, verify: bool) -> None:
    """Print what was deleted, what is left, and what could not be reached."""
    for name, count in outcome["deleted"].items():
        if count:
            click.echo(f"Deleted {name}: {count:,}")
    for name, count in outcome["left"].items():
        hint = "; they end with their tasks, so repeat the command later" if name == "held_by_workers" else ""
        click.echo(f"Left in {name}: {count:,}{hint}")
    for index in outcome["unreachable"]:
        click.echo(f"Not reached: index {index} is closed. Open it with `POST /{index}/_open`, or drop it.")
    for index, count in outcome["unmerged"].items():
        click.echo(
            f"Deleted documents that may still be in the files of {index}: {count:,}. Repeat the command."
        )
    for index, count in outcome["deleted_in_segments"].items():
        click.echo(f"{index} has {count_of(count, 'deleted document')} in its files, of unknown items.")
    if outcome["files_before"] is not None:
        before, after = outcome["files_before"], outcome["files_after"]
        click.echo(f"Files of Elasticsearch with a title or vector: {before:,} before, {after:,} now.")
    if not outcome["left"]:
        click.echo("Nothing is left but tombstones." if not verify else "Nothing was found but tombstones.")
    click.echo(f"{outcome['seconds']:,} s.")
