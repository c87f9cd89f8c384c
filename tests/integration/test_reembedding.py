"""The encoder of the live index changes under reads, writes and kills, and changes back."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from click.testing import CliRunner, Result
from elasticsearch import Elasticsearch

from cli import main
from indexer.intake.submission import Submission
from indexer.jobs import rebuild, reembedding
from indexer.jobs.reembedding import Pause, refresh
from mappings.creation import IndexOptions
from mappings.identity import EncoderIdentity
from mappings.inspection import indices_behind, only_index
from mappings.names import read_alias, write_alias
from query.search.reader import IndexReader
from query.search.request import SimilarRequest
from query.search.similar import SimilarService
from tests.conftest import WorkerFactory
from tests.indexing import BLUE, GREEN, RED, Shop, at, stored_documents, submission, write_colour_encoder
from tests.waiting import wait_until

COUNT = 120
SHORT = {"NITAMONO_VISIBILITY_TIMEOUT_S": "8", "NITAMONO_INDEXING_MAX_RETRIES": "90"}


@pytest.fixture
def shop(es: Elasticsearch, index_prefix: str, tmp_path: Path) -> Shop:
    """An index with listings in three colours, one of which is removed."""
    shop = Shop.open(es, index_prefix, tmp_path)
    photos = [shop.photo(colour) for colour in (RED, GREEN, BLUE)]
    shop.index(
        *(
            shop.event(f"m{n:04}", updated_at=at(1), images=[photos[n % 3]], seller_id=f"s{n}")
            for n in range(COUNT)
        ),
        shop.event("gone", updated_at=at(1), status="removed"),
    )
    es.indices.refresh(index=shop.index_name)
    return shop


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """Another encoder, of the same vectors under another id."""
    return write_colour_encoder(tmp_path / "other", "other")


@pytest.fixture
def environ(
    shop: Shop, other: Path, elasticsearch_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> Mapping[str, str]:
    """The environment of commands, and of workers with both encoders."""
    further = {"NITAMONO_FURTHER_ENCODER_DIRS": str(other), "NITAMONO_BATCH_SIZE": "16", **SHORT}
    return shop.set_environ(monkeypatch, elasticsearch_url, redis_url, **further)


def nitamono(*arguments: str) -> Result:
    """Run a command."""
    return CliRunner().invoke(main, ["indexer", *arguments])


def live(shop: Shop) -> str:
    """Return the index that requests read."""
    return only_index(shop.es, read_alias(shop.settings.prefix))[0]


@dataclass
class Traffic:
    """Constant reads of the live index, and writes, until it is stopped."""

    shop: Shop
    queue: Submission
    stopped: threading.Event = field(default_factory=threading.Event)
    reads: int = 0
    failures: list[BaseException] = field(default_factory=list)
    prices: dict[str, int] = field(default_factory=dict)
    """The newest price of each item that was written."""

    def read(self) -> None:
        """Ask for similar items, over and over."""
        similar = SimilarService(IndexReader(self.shop.es, self.shop.settings.prefix, 20))
        for number in itertools.count():
            if self.stopped.is_set():
                return
            try:
                deadline = similar.reader.deadline()
                found = similar.reader.find(f"m{number % COUNT:04}", deadline)
                similar.similar_to(found, SimilarRequest(), deadline)
            except BaseException as error:  # noqa: BLE001  every failure counts
                self.failures.append(error)
            self.reads += 1

    def write(self) -> None:
        """Change prices, and list new items."""
        photo = self.shop.photo(GREEN)
        for number in itertools.count(1):
            if self.stopped.wait(0.05):
                return
            new = shop_event(self.shop, f"n{number:04}", number, photo)
            changed = {
                "op": "update",
                "item_id": f"m{number * 7 % COUNT:04}",
                "updated_at": datetime.now(UTC).isoformat(),
                "price": number,
            }
            self.queue.send([new])
            self.queue.send([changed])
            self.prices |= {new["item_id"]: number, str(changed["item_id"]): number}

    @contextmanager
    def running(self) -> Iterator[None]:
        """Read and write in the background."""
        threads = [threading.Thread(target=act) for act in (self.read, self.write)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self.stopped.set()
            for thread in threads:
                thread.join()


def shop_event(shop: Shop, item_id: str, price: int, photo: str) -> dict[str, Any]:
    """Return the event of a new item."""
    return shop.event(item_id, updated_at=datetime.now(UTC).isoformat(), price=price, images=[photo])


def test_no_read_fails_and_no_write_is_lost_whatever_is_killed(
    shop: Shop, other: Path, environ: Mapping[str, str], worker: WorkerFactory
) -> None:
    """Worker processes and the command are killed in the middle; then the swap, and the way back."""
    running = worker(processes=2, **environ)
    traffic = Traffic(shop, submission(environ))
    script = "from cli import main; main()"
    command = [sys.executable, "-c", script, "indexer", "reembed", "--encoder", str(other)]
    old = live(shop)
    with traffic.running():
        process = subprocess.Popen(command, env={**os.environ, **environ})
        wait_until(lambda: written(shop) > COUNT // 6, "some listings are in the new index")
        for child in psutil.Process(running.pid).children():
            child.send_signal(signal.SIGKILL)
        process.send_signal(signal.SIGKILL)
        process.wait()
        resumed = nitamono("reembed", "--encoder", str(other))
        assert resumed.exit_code == 0, resumed.output
        new = live(shop)
        wait_until(lambda before=traffic.reads: traffic.reads > before + 5, "reads of the new index")
    assert new != old
    assert traffic.queue.finish().rejected == {}
    assert traffic.failures == []
    assert traffic.reads > 20
    check_ledger(shop, (old, new), traffic.prices)

    back = nitamono("rollback")
    assert back.exit_code == 0, back.output
    assert live(shop) == old
    assert f"{new} → {old}, in " in back.output
    assert json.dumps(meta(shop, new)).count("kept_until") == 1


def written(shop: Shop) -> int:
    """Return how many documents the newest index behind the write alias has."""
    names = indices_behind(shop.es, write_alias(shop.settings.prefix))
    return int(shop.es.count(index=max(names))["count"]) if len(names) > 1 else 0


def meta(shop: Shop, index: str) -> Mapping[str, Any]:
    """Return the `_meta` of an index."""
    found: Mapping[str, Any] = shop.es.indices.get_mapping(index=index)[index]["mappings"]["_meta"]
    return found


def check_ledger(shop: Shop, indices: tuple[str, ...], prices: Mapping[str, int]) -> None:
    """Every index has every item in its newest state, with a vector; they differ in the encoder alone."""
    documents = [stored_documents(shop.es, index) for index in indices]
    for found in documents:
        known = {item: source for item, source in found.items() if item != "gone"}
        assert len(known) == COUNT + sum(item.startswith("n") for item in prices)
        assert {item: known[item]["price"] for item in prices} == prices
        assert all("vector" in source for source in known.values())
        assert found["gone"]["status"] == "removed"
    first, second = (
        {item: {k: v for k, v in source.items() if k != "encoder_id"} for item, source in found.items()}
        for found in documents
    )
    assert first == second


def test_an_index_that_lacks_photos_is_not_put_live(
    shop: Shop, other: Path, environ: Mapping[str, str], worker: WorkerFactory
) -> None:
    """The conditions say why; with a larger share it goes live, and the old one is deleted in the end."""
    worker(**environ)
    documents = shop.documents()
    Path(documents["m0000"]["images"][0]).unlink()
    old = live(shop)

    refused = nitamono("reembed", "--encoder", str(other))
    assert refused.exit_code == 1, refused.output
    assert "without a vector: photo_not_found 40" in refused.output
    assert "is not put live" in refused.output
    assert live(shop) == old

    accepted = nitamono("reembed", "--encoder", str(other), "--most-rejected", "0.5", "--keep", "1h")
    assert accepted.exit_code == 0, accepted.output
    assert f"{old} → " in accepted.output
    assert reembedding.retire(shop.es, shop.settings.prefix) == []
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    assert reembedding.retire(shop.es, shop.settings.prefix, now=tomorrow) == [old]
    assert "is not written any more" in nitamono("rollback").output
    again = nitamono("reembed", "--encoder", str(other))
    assert f"has the encoder {EncoderIdentity.from_artifact(other).encoder_id} already" in again.output


def test_judgments_decide_whether_it_goes_live(
    shop: Shop, other: Path, environ: Mapping[str, str], worker: WorkerFactory, tmp_path: Path
) -> None:
    """Those of unknown items say nothing. An arm of an experiment can read it from the same events."""
    worker(**environ)
    judgments = tmp_path / "judgments.csv"
    judgments.write_text("query,item,gain\nm0000,m0003,1\nm0000,m0006,1\nnobody,m0001,1\n")

    result = nitamono("reembed", "--encoder", str(other), "--judgments", str(judgments), "--no-swap")
    assert result.exit_code == 0, result.output
    assert "over 1 items" in result.output
    assert "is ready" in result.output
    judgments.write_text("query,item,gain\nnobody,m0001,1\n")
    unknown = nitamono("reembed", "--encoder", str(other), "--judgments", str(judgments))
    assert (unknown.exit_code, "none of the judged items is in both" in unknown.output) == (1, True)
    arm = f"{shop.settings.prefix}-arm"
    for_arm = nitamono("reembed", "--encoder", str(other), "--arm", arm)
    assert for_arm.exit_code == 0, for_arm.output
    pause = nitamono("reembed", "--pause")
    assert "no index is being filled by `reembed`" in pause.output, "the index of the arm is full"
    reader = IndexReader(shop.es, arm, 20)
    index = reader.find("m0001", reader.deadline()).index
    assert live(shop) == shop.index_name != index
    for_all = nitamono("reembed", "--encoder", str(other))
    assert for_all.exit_code == 0, for_all.output
    assert live(shop) == index
    assert index.startswith(f"{shop.settings.prefix}-other-")


def test_it_pauses_and_goes_on(
    shop: Shop, other: Path, environ: Mapping[str, str], worker: WorkerFactory
) -> None:
    """Another process pauses it; before one is begun there is nothing to pause."""
    worker(**environ)
    assert "no index is being filled by `reembed`" in nitamono("reembed", "--pause").output
    identity = EncoderIdentity.from_artifact(other)
    rebuild.begin(shop.es, shop.settings.prefix, shop.index_name, identity, IndexOptions())
    assert nitamono("reembed", "--pause").exit_code == 0

    paused = nitamono("reembed", "--encoder", str(other))
    assert (paused.exit_code, "pass --resume" in paused.output) == (2, True)
    resumed = nitamono("reembed", "--encoder", str(other), "--resume", "--no-swap")
    assert resumed.exit_code == 0, resumed.output
    assert not Pause(submission(environ).client, shop.settings.prefix)


def test_a_paused_backfill_goes_on_where_it_was(
    shop: Shop, other: Path, environ: Mapping[str, str], worker: WorkerFactory
) -> None:
    """It stops after what it has sent; what is done is not done again."""
    worker(**environ)
    identity, options = EncoderIdentity.from_artifact(other), IndexOptions()
    job = rebuild.begin(shop.es, shop.settings.prefix, shop.index_name, identity, options)
    stop = iter([False, False, True])
    paused = reembedding.backfill(shop.es, job, submission(environ), 16, lambda: next(stop))
    assert (paused.copied, rebuild.count(shop.es, job.target)) == (32, 32)
    kept = rebuild.begin(shop.es, shop.settings.prefix, shop.index_name, identity, options)
    assert kept == paused

    rest = submission(environ)
    done = reembedding.backfill(shop.es, kept, rest, 16, lambda: False)
    assert (done.copied, rest.summary.total) == (COUNT + 1, COUNT + 1 - 32)


def test_every_worker_must_have_the_encoder(
    shop: Shop, other: Path, environ: Mapping[str, str], worker: WorkerFactory, events_worker: WorkerFactory
) -> None:
    """None is there but one of events, or one lacks it; nothing is created."""
    events_worker(**environ)
    nobody = nitamono("reembed", "--encoder", str(other))
    assert (nobody.exit_code, "no worker answers" in nobody.output) == (1, True)

    worker(**{**environ, "NITAMONO_FURTHER_ENCODER_DIRS": ""})
    lacking = nitamono("reembed", "--encoder", str(other))
    assert lacking.exit_code == 1
    assert f"without the encoder {EncoderIdentity.from_artifact(other).encoder_id}" in lacking.output
    assert list(indices_behind(shop.es, write_alias(shop.settings.prefix))) == [shop.index_name]
    assert "has not replaced another index" in nitamono("rollback").output


def test_a_refresh_fills_in_what_an_index_lacks(shop: Shop) -> None:
    """Such as a vector whose photo could not be read before; an unknown item has none."""
    missing = shop.photos / "later.png"
    shop.index(shop.event("late", images=[str(missing)]))
    missing.write_bytes(Path(shop.photo()).read_bytes())

    assert shop.index(refresh("late"), refresh("m0000"), refresh("nobody")).indexed == 1
    assert "vector" in shop.documents()["late"]
    assert shop.dead_letters() == {}
