"""`nitamono indexer reembed` and `nitamono indexer rollback`."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from console.counts import count_of
from console.duration import DURATION, Duration
from console.group import INTERRUPTED
from console.number_types import WholeNumber
from console.table import table
from indexer.commands.conditions import Conditions, condition_options, met
from indexer.commands.connections import Connections
from indexer.commands.indexing_run import interruptible
from indexer.jobs import rebuild, reembedding
from indexer.jobs.embeddings import StoredEmbeddings, indexer_of
from indexer.jobs.rebuild import Rebuild
from indexer.jobs.reembedding import Pause
from indexer.settings import IndexerSettings
from indexer.worker.bootstrap import build_changes
from mappings.creation import VECTOR_INDEX_TYPES
from mappings.identity import EncoderIdentity
from mappings.inspection import only_index
from mappings.listing import MAX_PHOTOS
from mappings.names import read_alias
from ml.artifact import load_artifact


@click.command(name="reembed")
@click.option(
    "--encoder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of the new encoder's artifact.",
)
@click.option(
    "--embeddings",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of the full-width vectors that workers wrote to NITAMONO_EMBEDDINGS_DIR; photos are read "
    "only where it has none.",
)
@click.option("--pause", is_flag=True, help="Let a running backfill stop after what it has sent.")
@click.option("--resume", is_flag=True, help="Go on after --pause.")
@click.option(
    "--vector-index",
    type=click.Choice(VECTOR_INDEX_TYPES),
    show_default="that of the live index",
    help="Elasticsearch's type of vector index.",
)
@click.option(
    "--photos",
    type=WholeNumber(1, MAX_PHOTOS),
    show_default="as many as in the live index",
    help="First photos of a listing that are searched, each by a vector of its own.",
)
@click.option(
    "--keep",
    type=DURATION,
    default="7d",
    show_default=True,
    help="How long the old index stays up to date, such as 7d.",
)
@click.option(
    "--arm", metavar="PREFIX", help="Put it live for the arm of an experiment with this prefix, not for all."
)
@condition_options
@click.option("--no-swap", is_flag=True, help="Fill and measure the new index, but do not put it live.")
@click.pass_obj
def reembed_command(
    connections: Connections,
    encoder: Path | None,
    embeddings: Path | None,
    pause: bool,
    resume: bool,
    vector_index: str | None,
    photos: int | None,
    keep: Duration,
    arm: str | None,
    conditions: Conditions,
    no_swap: bool,
) -> None:
    """Change the encoder of the live index, or its number of photos, while it is searched and written.

    Start the workers with the folder of a new encoder in NITAMONO_FURTHER_ENCODER_DIRS first. A new index
    is then written beside the old one, and all listings are encoded for it, behind live events; with
    --embeddings, stored vectors of the same network are projected instead. Ctrl-C, a
    crash or --pause interrupt that; the same command goes on where it was. At the end the new index is
    compared with the old one, and goes live if every condition is met. `nitamono indexer rollback` goes back.
    """
    pausing = Pause(connections.redis, connections.settings.prefix)
    if pause:
        if not rebuild.is_under_way(connections.es, connections.settings.prefix):
            raise click.UsageError("no index is being filled by `reembed`")
        pausing.set()
        click.echo("A running backfill stops after what it has sent. The same command with --resume goes on.")
        return
    if encoder is None:
        raise click.UsageError("pass --encoder with the folder of the new encoder, or --pause")
    stored = StoredEmbeddings.of(embeddings, load_artifact(encoder)) if embeddings else None
    if resume:
        pausing.clear()
    elif pausing:
        raise click.UsageError("re-embedding is paused; pass --resume to go on")
    job = begun(connections, EncoderIdentity.from_artifact(encoder), vector_index, photos)
    job = filled(connections, job, pausing, stored)
    if pausing:
        click.echo(f"Paused after {job.copied:,} listings.")
        return
    found = conditions.measured(connections, job)
    click.echo(table(("CONDITION", "FIGURE", "MET"), [(g.name, g.figure, met(g)) for g in found]))
    if any(gate.passes is False for gate in found):
        click.echo(f"{job.target} is not put live. It stays up to date; run the command again to try again.")
        raise SystemExit(1)
    if no_swap:
        click.echo(f"{job.target} is ready. The same command without --no-swap puts it live.")
        return
    go_live(connections, job, keep, arm)


@click.command(name="rollback")
@click.option(
    "--keep",
    type=DURATION,
    default="7d",
    show_default=True,
    help="How long the other index stays up to date.",
)
@click.pass_obj
def rollback_command(connections: Connections, keep: Duration) -> None:
    """Put the index live that was live before `reembed`. It has been kept up to date."""
    began = time.monotonic()
    left, live = reembedding.roll_back(connections.es, connections.settings.prefix, keep.time)
    took = (time.monotonic() - began) * 1000
    click.echo(f"{read_alias(connections.settings.prefix)}: {left} → {live}, in {took:,.0f} ms")


def begun(
    connections: Connections, identity: EncoderIdentity, vector_index: str | None, photos: int | None
) -> Rebuild:
    """Return the rebuild of the live index for the encoder: the one that was interrupted, or a new one."""
    es, prefix = connections.es, connections.settings.prefix
    source, _ = only_index(es, read_alias(prefix))
    old = rebuild.options_of(es, source)
    options = replace(old, vector_index=vector_index or old.vector_index, photos=photos or old.photos)
    same_encoder = rebuild.encoder_of_index(es, source).encoder_id == identity.encoder_id
    if same_encoder and options.photos == old.photos:
        raise click.UsageError(
            f"{source}, which is live, has the encoder {identity.encoder_id} already, and "
            f"{count_of(old.photos, 'photo')} a listing; pass another --encoder, or other --photos"
        )
    check_workers(connections, identity.encoder_id, options.photos)
    job = rebuild.begin(es, prefix, source, identity, options)
    made_with = rebuild.options_of(es, job.target).vector_index
    if vector_index and made_with != vector_index:
        raise click.UsageError(
            f"{job.target}, which an earlier run began, is {made_with}; leave --vector-index out to resume, "
            f"or delete it with `nitamono mappings drop {job.target} --force`"
        )
    if job.copied:
        click.echo(f"Resuming {job.target}: {job.copied:,} listings are done.")
    return job


def check_workers(connections: Connections, encoder_id: str, photos: int) -> None:
    """Check that workers run, and that each can fill the index.

    Without the encoder, events would wait for it. An older worker would write those of first photos alone.
    """
    # A worker whose processes have just died answers late.
    if not (answers := next(filter(None, (answers_of_workers(connections) for _ in range(5))), None)):
        raise click.ClickException(
            "no worker answers; start workers with the folder of the new encoder in "
            "NITAMONO_FURTHER_ENCODER_DIRS"
        )
    older = sorted(name for name, answer in answers.items() if answer.get("photos", 1) < photos)
    if older:
        raise click.ClickException(
            "workers of an earlier version, which write the vector of one photo a listing: "
            f"{', '.join(older)}; restart every worker with this version, for {photos} photos"
        )
    lacking = sorted(name for name, answer in answers.items() if encoder_id not in answer["encoders"])
    if lacking:
        raise click.ClickException(
            f"workers without the encoder {encoder_id}: {', '.join(lacking)}; restart every worker with its "
            "folder in NITAMONO_FURTHER_ENCODER_DIRS"
        )


def answers_of_workers(connections: Connections) -> dict[str, dict[str, Any]]:
    """Return what each worker that answers within two seconds says that it can do."""
    replies = connections.producer.control.broadcast("encoder_ids", reply=True, timeout=2.0) or []
    return {
        name: answer
        for reply in replies
        for name, answer in reply.items()
        # Not of another prefix, nor of events, whose workers do not know the question.
        if isinstance(answer, dict) and answer.get("queue") == connections.settings.queue
    }


def filled(
    connections: Connections, job: Rebuild, pausing: Pause, stored: StoredEmbeddings | None
) -> Rebuild:
    """Encode what is left, with the progress on stderr, unless it is paused.

    stored: full-width vectors, from which documents are made before workers read the photos of the others.
    """
    es, size = connections.es, connections.settings.batch_size
    stop = once_a_second(lambda: bool(pausing))
    total = rebuild.count(es, job.source)
    with tqdm(total=total, initial=job.copied, unit=" listings", disable=None, smoothing=0.05) as bar:
        submission = connections.submission(wait=True, progress=bar.update)
        try:
            with interruptible():
                if stored is None:
                    return reembedding.backfill(es, job, submission, size, stop)
                index_stored(connections, job, stored, bar.update, stop)
                pending = partial(reembedding.lacking, es, job.target)
                return reembedding.backfill(es, job, submission, size, stop, pending)
        except KeyboardInterrupt:
            click.echo("Interrupted. The same command goes on where it was.", err=True)
            raise SystemExit(INTERRUPTED) from None


def index_stored(
    connections: Connections,
    job: Rebuild,
    stored: StoredEmbeddings,
    progress: Callable[[int], object],
    stop: Callable[[], bool],
) -> None:
    """Make the documents of the listings whose full-width vectors are stored."""
    began = time.monotonic()
    settings = IndexerSettings.from_environ(os.environ)
    make = indexer_of(
        connections.es, settings.prefix, build_changes(settings).of, settings.photos_per_listing
    )
    photos = rebuild.options_of(connections.es, job.target).photos
    written = stored.index(make, progress, stop, photos_each=photos)
    took = time.monotonic() - began
    click.echo(f"Without photos: {written:,} listings in {took:,.1f} s, from {len(stored.shards):,} shards.")


def once_a_second(ask: Callable[[], bool]) -> Callable[[], bool]:
    """Return a function that asks at most once a second, and repeats the last answer until then."""
    asked, answer = float("-inf"), False

    def cached() -> bool:
        nonlocal asked, answer
        if time.monotonic() - asked > 1:
            asked, answer = time.monotonic(), ask()
        return answer

    return cached


def go_live(connections: Connections, job: Rebuild, keep: Duration, arm: str | None) -> None:
    """Put the new index live, for all requests or for an arm."""
    es, prefix = connections.es, connections.settings.prefix
    if arm:
        reembedding.put_arm(es, arm, job.target)  # its progress stays, so that it can go live for all
        click.echo(f"{read_alias(arm)}: {job.target}. Both indices are written from the same events.")
        return
    began = time.monotonic()
    reembedding.put_live(es, prefix, job, keep.time)
    took = (time.monotonic() - began) * 1000
    rebuild.forget_progress(es, job)
    click.echo(f"{read_alias(prefix)}: {job.source} → {job.target}, in {took:,.0f} ms")
    if rebuild.encoder_of_index(es, job.source) != rebuild.encoder_of_index(es, job.target):
        click.echo("Set NITAMONO_ENCODER_DIR to the new encoder for the API and for commands.")
    click.echo(
        f"{job.source} is kept up to date for {keep}; until then `nitamono indexer rollback` puts it live "
        "again. `nitamono indexer sweep` deletes it afterwards."
    )
