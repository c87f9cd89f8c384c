"""`nitamono index` and `nitamono indexer` on real services."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from cli import main
from indexer.settings import IndexerSettings
from indexer.summary import IndexingSummary
from indexer.worker.bootstrap import build_parking
from indexer.worker.delivery import given_up
from queues.lanes import count_queued
from tests.conftest import WorkerFactory
from tests.indexing import BLUE, Shop, ShopFactory, at, draw_photo, submission, unit


@pytest.fixture
def shop(shop_of_commands: ShopFactory) -> Shop:
    """A shop whose environment the commands of this process find."""
    return shop_of_commands()


@pytest.fixture
def environ(shop: Shop, elasticsearch_url: str, redis_url: str) -> dict[str, str]:
    """The environment of the shop's worker."""
    return shop.environ(elasticsearch_url, redis_url)


def nitamono(*arguments: str) -> Result:
    """The output and the exit status of the command."""
    return CliRunner().invoke(main, arguments)


def write_jsonl(path: Path, rows: list[Any]) -> Path:
    """A line for each row; text is written as it is."""
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_the_summary_of_a_file_adds_up(
    shop: Shop, environ: dict[str, str], worker: WorkerFactory, tmp_path: Path
) -> None:
    """Invalid lines count as rejected; all others are searchable; replay works."""
    worker(**environ)
    draw_photo(tmp_path / "data" / "images" / "m1.png", BLUE)
    relative = shop.event("m1", images=["images/m1.png"])
    rows = [
        relative,
        shop.event("m2"),
        shop.event("m3", price=-1),
        shop.event("m4", images=["images/missing.png"]),
        shop.event("m5", images=["../../../../etc/passwd"]),
        shop.event("m2", updated_at=at(0)),
        shop.event("m2"),
        "{not json",
        "[1, 2]",
        "",
    ]
    file = write_jsonl(tmp_path / "data" / "listings.jsonl", rows)

    done = nitamono("index", str(file), "--wait", "--json", "--batch-size", "3")
    assert done.exit_code == 0, done.output
    summary = json.loads(done.stdout)
    assert summary["total"] == 9
    assert summary["rejected"] == {"invalid_json": 2, "price_not_positive": 1}
    assert summary["without_vector"] == {"photo_not_found": 1, "photo_outside_roots": 1}
    rows = {reason: [row for row, _ in each] for reason, each in summary["examples"].items()}
    assert rows == {
        "invalid_json": ["listings.jsonl line 8", "listings.jsonl line 9"],
        "photo_not_found": ["listings.jsonl line 4 (m4)"],
        "photo_outside_roots": ["listings.jsonl line 5 (m5)"],
        "price_not_positive": ["listings.jsonl line 3 (m3)"],
    }
    ((_, problem),) = summary["examples"]["price_not_positive"]
    assert problem == "price: found -1, expected a number from 0 up"
    assert summary["indexed"] == 2
    assert summary["unchanged"] + summary["outdated"] == 2
    hits = shop.es.search(index=shop.index_name, source_exclude_vectors=False)["hits"]["hits"]
    assert {hit["_id"] for hit in hits if hit["_source"]["version"]} == {"m1", "m2", "m4", "m5"}
    vector = next(hit["_source"]["vector"] for hit in hits if hit["_id"] == "m1")
    assert vector == pytest.approx(unit(BLUE), abs=0.01)

    again = json.loads(nitamono("index", str(file), "--wait", "--json").stdout)
    assert (again["total"], again["indexed"], again["rejected"]) == (9, 0, summary["rejected"])
    assert again["without_vector"] == summary["without_vector"]
    check_dead_letters(tmp_path / "data" / "images" / "missing.png")


def check_dead_letters(missing: Path) -> None:
    """Five of them, however often the file was sent; replay indexes one whose photo exists now."""
    listed = nitamono("indexer", "dead-letters", "list", "--json").stdout.splitlines()
    assert len(listed) == 5
    only = nitamono("indexer", "dead-letters", "list", "--reason", "invalid_json").stdout
    none = nitamono("indexer", "dead-letters", "list", "--reason", "invalid_jsno").stdout
    assert "No dead letters: nothing was rejected with reason 'invalid_jsno'; existing reasons: " in none
    assert "{not json" in listed[0] + listed[1]
    assert only.endswith("\nIn all: 2 invalid_json\n")

    draw_photo(missing)
    replayed = nitamono("indexer", "dead-letters", "replay", "--all")
    summary = IndexingSummary(
        1, without_vector={"photo_outside_roots": 1}, rejected={"price_not_positive": 1}
    )
    assert set(str(summary).splitlines()) <= set(replayed.stdout.splitlines())
    assert "Not sent: 2 dead letters without a listing" in replayed.stdout
    assert len(nitamono("indexer", "dead-letters", "list", "--json").stdout.splitlines()) == 4
    dropped = nitamono("indexer", "dead-letters", "drop", "--reason", "invalid_json", "--yes")
    assert dropped.stdout == "Deleted 2 dead letters.\n"
    typo = nitamono("indexer", "dead-letters", "replay", "--reason", "not_jsno")
    assert "nothing was rejected with reason 'not_jsno'; existing reasons: photo_outside_roots" in typo.stderr


def test_other_kinds_of_files_give_the_same_documents(
    shop: Shop, environ: dict[str, str], worker: WorkerFactory, tmp_path: Path
) -> None:
    """A CSV, a parquet file and a folder of both hold the same listings as the events that made them."""
    worker(**environ)
    for kind in ("csv", "parquet", "folder"):
        events = [shop.event(f"{kind}-{n}", price=n + 0.5) for n in range(5)]
        path = tmp_path / kind
        path.mkdir()
        write_csv(path / "a.csv", events[:3])
        pq.write_table(pa.Table.from_pylist(events[3:]), path / "b.parquet")
        if kind == "csv":
            path = write_csv(path / "a.csv", events)
        if kind == "parquet":
            path = path / "b.parquet"
            pq.write_table(pa.Table.from_pylist(events), path)

        done = nitamono("index", str(path), "--wait")
        assert done.stdout.startswith(f"{IndexingSummary(indexed=5)}\n"), kind
        assert shop.index(*events).unchanged == 5, kind


def test_a_folder_of_photos_is_indexed_without_prices(
    shop: Shop, environ: dict[str, str], worker: WorkerFactory, tmp_path: Path
) -> None:
    """Each photo is a listing with a vector, offered to items without a price alone."""
    worker(**environ)
    draw_photo(tmp_path / "photos" / "Skirts" / "a b.png", BLUE)
    draw_photo(tmp_path / "photos" / "Shoes" / "青い靴.png", BLUE)

    done = nitamono("index", str(tmp_path / "photos"), "--wait")
    assert done.stdout == "2 listings: 2 indexed.\n", done.output
    hits = shop.es.search(index=shop.index_name, source_exclude_vectors=False)["hits"]["hits"]
    found = {hit["_id"]: hit["_source"] for hit in hits}
    assert set(found) == {"Skirts/a b.png", "Shoes/青い靴.png"}
    assert found["Skirts/a b.png"]["vector"] == pytest.approx(unit(BLUE), abs=0.01)
    assert {source["offer"] for source in found.values()} == {"on_sale|XXX|unpriced"}
    assert nitamono("index", str(tmp_path / "photos"), "--wait").stdout == "2 listings: 2 unchanged.\n"


def write_csv(path: Path, events: list[dict[str, Any]]) -> Path:
    """The events as CSV: paths and lists in one column, attributes in columns of their own."""
    with path.open("w", newline="", encoding="utf-8") as file:
        names = [name for name in events[0] if name != "attributes"]
        writer = csv.DictWriter(file, [*names, "attributes.colour"])
        writer.writeheader()
        for event in events:
            flat = {name: event[name] for name in names}
            flat |= {"category": " > ".join(event["category"]), "images": "|".join(event["images"])}
            writer.writerow(flat | {"attributes.colour": event["attributes"]["colour"]})
    return path


def test_without_wait_the_listings_are_sent(shop: Shop, environ: dict[str, str], tmp_path: Path) -> None:
    """Without a worker; that is reported only if the command has to wait."""
    file = write_jsonl(tmp_path / "listings.jsonl", [shop.event(), "broken"])

    done = nitamono("index", str(file), "--json")
    assert json.loads(done.stdout) == {
        "sent": 1,
        "total": 1,
        "indexed": 0,
        "without_vector": {},
        "unchanged": 0,
        "outdated": 0,
        "rejected": {"invalid_json": 1},
        "examples": {
            "invalid_json": [["listings.jsonl line 2", "found invalid JSON at column 1, expected an object"]]
        },
        "skipped_files": [],
    }
    queue = submission(environ)
    assert count_queued(queue.client, queue.settings.queue) == 1


def test_the_exit_status_is_1_if_all_listings_were_rejected(shop: Shop, tmp_path: Path) -> None:
    """As for a file of another kind."""
    file = write_jsonl(tmp_path / "other.jsonl", ["name,price", "[]"])

    done = nitamono("index", str(file), "--wait")
    assert done.exit_code == 1
    assert "2 listings: " in done.stdout
    assert "No worker answers yet" in done.stderr
    assert nitamono("index", str(file)).exit_code == 1


def test_listings_without_a_vector_do_not_count_as_rejected(
    shop: Shop, environ: dict[str, str], worker: WorkerFactory, tmp_path: Path
) -> None:
    """They are stored. The summary says what to do; the exit status is 1 if no listing has a vector."""
    worker(**environ)
    events = [shop.event("m1", images=["gone.png"]), shop.event("m2", images=[])]
    file = write_jsonl(tmp_path / "listings.jsonl", events)

    done = nitamono("index", str(file), "--wait")
    assert done.exit_code == 1
    first, *rest = done.stdout.splitlines()
    assert first == "2 listings: 2 indexed without a vector."
    assert rest[0].startswith("Indexed without a vector: 2 (no_photo 1, photo_not_found 1).")
    assert "  photo_not_found: Check the path: relative ones start from --root" in done.stdout
    assert "nitamono indexer dead-letters replay" in rest[-1]
    assert set(shop.documents()) == {"m1", "m2"}


def test_every_rejected_row_is_a_dead_letter_that_names_its_line(
    shop: Shop, environ: dict[str, str], worker: WorkerFactory, tmp_path: Path
) -> None:
    """Not JSON, not UTF-8, too long, too deep, half a surrogate pair, NaN."""
    worker(**environ)
    good = json.dumps(shop.event("m1", title="赤い"), ensure_ascii=False).encode()
    lines = [
        good,
        b"{half",
        b'"text"',
        b'{"title": "\xe8"}',
        b'{"x":' * 60 + b"1" + b"}" * 60,
        b"[" * 100_000,
        b'{"x": "' + b"x" * 1_100_000 + b'"}',
        json.dumps(shop.event("s") | {"item_id": "\ud800"}).encode(),
        json.dumps(shop.event("m2", attributes={"\udfff": "x"})).encode(),
        json.dumps(shop.event("m3", price=float("nan"))).encode(),
        json.dumps(shop.event("m4") | {"item_id": 5.5}).encode(),
    ]
    file = tmp_path / "odd.jsonl"
    file.write_bytes(b"\n".join(lines) + b"\n")

    summary = json.loads(nitamono("index", str(file), "--wait", "--json").stdout)
    assert (summary["total"], summary["indexed"]) == (len(lines), 1)
    assert sum(summary["rejected"].values()) == len(lines) - 1
    letters = list(shop.indexer.dead_letters.search())
    assert Counter(letter.reason for letter in letters) == summary["rejected"]
    details = "\n".join(letter.detail for letter in letters)
    for number in (2, 3, 4, 5, 6, 7, 8, 11):
        assert f"odd.jsonl line {number}: " in details
    raw = {letter.reason: str(letter.raw) for letter in letters}
    assert "\\xe8" in raw["invalid_utf8"]
    assert "\\ud800" in raw["item_id_malformed"]
    shown = nitamono("indexer", "dead-letters", "list")
    assert shown.exit_code == 0
    assert len(shown.stdout.splitlines()) > len(letters)


def test_skipped_files_of_a_folder_are_named(shop: Shop, tmp_path: Path) -> None:
    """In the summary and in its JSON."""
    data = tmp_path / "data"
    for n, name in enumerate(("listings.jsonl", "part-2.JSONL", "sub/z.ndjson")):
        (data / name).parent.mkdir(exist_ok=True, parents=True)
        write_jsonl(data / name, [shop.event(f"m{n}")])
    for name in ("more.jsonl.xz", "a.jpg", "b.jpg"):
        (data / name).write_text("")

    lines = nitamono("index", str(data)).stdout.splitlines()
    assert lines == [
        "Sent 3 listings to the queue; workers index them.",
        "Skipped *.jpg (2 files): photos",
        "Skipped more.jsonl.xz: unpack it first",
    ]
    assert json.loads(nitamono("index", str(data), "--json").stdout)["skipped_files"] == [
        {"file": "*.jpg", "files": 2, "reason": "photos"},
        {"file": "more.jsonl.xz", "files": 1, "reason": "unpack it first"},
    ]


def test_a_file_in_another_encoding_is_refused_or_declared(
    shop: Shop, environ: dict[str, str], tmp_path: Path
) -> None:
    """Nothing is sent before every file of the folder can be read."""
    folder = tmp_path / "data"
    folder.mkdir()
    write_jsonl(folder / "a.jsonl", [shop.event("m1")])
    write_csv(folder / "b.csv", [shop.event("m2", title="東京限定新品")])
    text = (folder / "b.csv").read_text(encoding="utf-8")
    (folder / "b.csv").write_text(text, encoding="cp932")

    refused = nitamono("index", str(folder))
    assert refused.exit_code == 1
    assert "b.csv: line 2 is not utf-8; it looks like cp932: pass --encoding cp932" in refused.stderr
    queue = submission(environ)
    assert count_queued(queue.client, queue.settings.queue) == 0
    assert nitamono("index", str(folder), "--encoding", "cp932").exit_code == 0
    wrong = nitamono("index", str(folder), "--encoding", "rot13")
    assert (wrong.exit_code, "found 'rot13', expected an encoding" in wrong.stderr) == (2, True)


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    ("options", "sent", "words"),
    [(["--wait"], 64, "64 listings sent, 0 of them are processed"), ([], 1020, "1,020")],
)
def test_an_interrupted_command_says_how_to_continue(
    shop: Shop,
    environ: dict[str, str],
    tmp_path: Path,
    ending: signal.Signals,
    options: list[str],
    sent: int,
    words: str,
) -> None:
    """It reports what was sent and that it can be run again, with status 130 and no traceback."""
    write_jsonl(tmp_path / "data.jsonl", [shop.event(f"m{n}") for n in range(1100)])
    (tmp_path / "notes.txt").touch()
    queue = submission(environ)
    arguments = ["index", str(tmp_path), "--batch-size", "1", "--json", *options]
    with subprocess.Popen(
        [sys.executable, "-c", "import cli; cli.main()", *arguments],
        env=os.environ | environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        while count_queued(queue.client, queue.settings.queue) < sent:
            time.sleep(0.1)
        time.sleep(0.2)
        process.send_signal(ending)
        out, err = process.communicate(timeout=60)

    assert process.returncode == 130
    assert f"Interrupted: {words}" in err
    assert "Run the same command again" in err
    assert "Traceback" not in err
    summary = json.loads(out)
    assert (summary["interrupted"], summary["sent"], summary["total"]) == (True, sent, 0)
    assert "notes.txt" in [entry["file"] for entry in summary["skipped_files"]]


def test_a_folder_that_is_newly_allowed_is_named(shop: Shop, environ: dict[str, str], tmp_path: Path) -> None:
    """Once, with the file that lists it."""
    file = write_jsonl(tmp_path / "listings.jsonl", [shop.event()])
    notice = f"may now read photos below {tmp_path.resolve()}"

    first = nitamono("index", str(file)).stderr
    assert notice in first
    assert f"delete its line in {environ['NITAMONO_IMAGE_ROOTS_FILE']}" in first
    assert notice not in nitamono("index", str(file)).stderr


def test_events_that_ended_their_worker_are_replayed_one_by_one(
    shop: Shop, environ: dict[str, str], worker: WorkerFactory
) -> None:
    """So that the harmful one does not affect others again."""
    parking = build_parking(IndexerSettings.from_environ(environ))
    parking.park(given_up([shop.event("m1"), shop.event("m2")], "worker_lost", "five times"))
    parking.park(given_up([shop.event("m3")], "task_failed", "a bug"))
    parking.park(given_up([shop.event("m4"), shop.event("m5")], "elasticsearch_unavailable", "away"))
    running = worker(**environ)

    assert nitamono("indexer", "dead-letters", "replay", "--all").stdout.startswith("5 listings: 5 indexed.")
    assert (running.log.count("events=1 "), running.log.count("events=2 ")) == (3, 1)
    assert list(parking.search()) == []


def test_replay_says_when_no_worker_runs(shop: Shop) -> None:
    """Otherwise it would wait silently."""
    assert "No worker answers yet" in nitamono("indexer", "dead-letters", "replay", "--all").stderr


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("ELASTICSEARCH_URL", "http://127.0.0.1:9", "Elasticsearch does not answer"),
        ("NITAMONO_REDIS_URL", "redis://127.0.0.1:9/0", "Redis does not answer"),
        ("NITAMONO_ENCODER_DIR", "/nowhere", "no encoder artifact in /nowhere"),
        ("NITAMONO_REDIS_URL", "foo", "NITAMONO_REDIS_URL has an invalid value"),
        ("NITAMONO_BATCH_SIZE", "many", "NITAMONO_BATCH_SIZE is 'many'"),
    ],
)
@pytest.mark.parametrize("command", ["index", "dead-letters list"])
def test_an_unavailable_service_is_reported_in_a_sentence(
    shop: Shop,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    name: str,
    value: str,
    words: str,
) -> None:
    """With the next step, and no traceback."""
    monkeypatch.setenv(name, value)
    file = write_jsonl(tmp_path / "listings.jsonl", [shop.event()])
    commands = {"index": ["index", str(file)], "dead-letters list": ["indexer", "dead-letters", "list"]}

    done = nitamono(*commands[command])
    assert done.exit_code == 1
    assert words in done.stderr
    assert isinstance(done.exception, SystemExit)


def test_removal_by_id_keeps_the_fields_that_the_item_page_needs(
    shop: Shop, environ: dict[str, str], worker: WorkerFactory
) -> None:
    """The tombstone has category and price."""
    worker(**environ)
    shop.index(shop.event("m1", updated_at=at(1)), shop.event("later", updated_at=at(9)))
    queue = submission(environ)
    items = ["m1", "unknown", "later", "no\nid"]
    queue.producer.send_task("indexer.remove_listings", [items, at(5)], task_id="r1")
    queue.pending["r1"] = items

    summary = queue.finish()
    assert (summary.indexed, summary.outdated, summary.rejected) == (2, 1, {"item_id_malformed": 1})
    documents = shop.documents()
    assert documents["m1"]["status"] == "removed"
    assert documents["m1"]["category"] == ["Apparel", "Bottomwear", "Skirts"]
    assert "vector" not in documents["m1"]
    assert documents["later"]["status"] == "on_sale"


def test_sweep_deletes_old_tombstones(shop: Shop) -> None:
    """With an age such as 7d."""
    shop.index(shop.event(status="removed"))

    assert nitamono("indexer", "sweep").stdout == "Deleted 0 tombstones older than 7d.\n"
    assert nitamono("indexer", "sweep", "--older-than", "0s").stdout == "Deleted 1 tombstone older than 0s.\n"
    assert nitamono("indexer", "sweep", "--older-than", "soon").exit_code == 2
    assert nitamono("indexer", "sweep", "--older-than", "999999d").exit_code == 2
