"""`make up`, `make status` and `make down` as a person types them, in a folder with a space in its name."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from pathlib import Path

import psutil
import pytest

from demo.local_services.elasticsearch.node import erase_node
from demo.local_services.ports import is_free
from demo.local_services.state import StateFolder
from demo.marketplace.folder import LISTINGS, write_marketplace
from indexer.summary import IndexingSummary
from tests.conftest import bare_environ, skip_or_fail
from tests.free_port import free_port
from tests.waiting import wait_until

PORTS = ("NITAMONO_ES_PORT", "NITAMONO_REDIS_PORT", "NITAMONO_API_PORT")


class Commands:
    """`nitamono demo` with one state folder and ports of its own."""

    def __init__(self, folder: Path) -> None:
        self.state = folder / "a state"
        self.environ = {**bare_environ(), "NITAMONO_STATE_DIR": str(self.state), "NITAMONO_ES_HEAP": "512m"}
        self.environ |= {name: str(free_port()) for name in PORTS}

    def run(self, *words: str, timeout_s: int = 280, **exported: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", "import cli; cli.main()", "demo", *words]
        environ = self.environ | exported
        return subprocess.run(
            command, env=environ, capture_output=True, text=True, timeout=timeout_s, check=False
        )

    def statuses(self, **exported: str) -> dict[str, dict]:
        found = json.loads(self.run("status", "--json", **exported).stdout)
        return {service["service"]: service for service in found}

    def pids(self, **exported: str) -> dict[str, int]:
        return {name: service["pid"] for name, service in self.statuses(**exported).items()}


@pytest.fixture
def commands(tmp_path):
    """Commands whose services are stopped and erased with the test."""
    made = Commands(tmp_path)
    yield made
    made.run("down")
    erase_node(StateFolder(made.state))


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_up_and_down_twice(commands, tmp_path):
    """Up brings all five, a second up changes nothing, down ends all, the index outlives it and is filled."""
    first = commands.run("up")
    if first.returncode != 0:
        skip_or_fail(first.stderr)
    assert first.stdout.splitlines() == [
        f"Ready: http://127.0.0.1:{commands.environ['NITAMONO_API_PORT']}",
        "No listing is for sale yet. `nitamono index FILE --wait` indexes some.",
    ]
    statuses = commands.statuses()
    assert {name: service["state"] for name, service in statuses.items()} == dict.fromkeys(
        ["elasticsearch", "redis", "worker", "events", "api"], "ready"
    )
    assert psutil.Process(statuses["elasticsearch"]["pid"]).uids().real != 0
    pids, index = commands.pids(), live_index(commands)

    again = commands.run("up")
    assert (again.returncode, again.stdout.split(":")[0], again.stderr) == (0, "Already up", "")
    assert commands.pids() == pids

    exported = {
        "ELASTICSEARCH_URL": f"http://127.0.0.1:{commands.environ['NITAMONO_ES_PORT']}",
        "NITAMONO_REDIS_URL": f"redis://127.0.0.1:{commands.environ['NITAMONO_REDIS_PORT']}/0",
    }
    unset = dict.fromkeys(PORTS, "")
    assert commands.pids(**unset) == pids
    psutil.Process(pids["elasticsearch"]).children()[0].kill()
    psutil.Process(pids["redis"]).kill()
    wait_until(lambda: commands.pids()["elasticsearch"] is commands.pids()["redis"] is None)
    crashed = commands.run("up", **exported)
    assert crashed.returncode == 0, crashed.stderr
    pids = commands.pids(**unset)
    processes = [psutil.Process(pid) for pid in pids.values()]
    assert live_index(commands) == index
    assert commands.run("down", **exported).returncode == 0
    assert all(has_ended(process) for process in processes)
    assert all(is_free(int(commands.environ[name])) for name in PORTS)

    assert commands.run("up", **exported, **unset).returncode == 0
    assert live_index(commands) == index
    psutil.Process(commands.pids()["api"]).kill()
    wait_until(lambda: commands.pids()["api"] is None)
    assert commands.run("up").returncode == 0
    assert commands.statuses()["api"]["state"] == "ready"

    answer = commands.run("run", "--data", str(write_shop(tmp_path / "my shop")))
    assert answer.returncode == 0, answer.stderr
    assert f"{IndexingSummary(indexed=60)}\n" in answer.stdout
    assert answer.stdout.count("For sale from ") == 3
    assert f"Look at them: {commands.statuses()['api']['url']}" in answer.stdout
    assert commands.run("down").stdout == ""


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_the_whole_demo(commands):
    """Both encoders' indices are filled, buyers see both arms, and a page says what came of it."""
    first = commands.run("up")
    if first.returncode != 0:
        skip_or_fail(first.stderr)
    done = commands.run("run", timeout_s=1100)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(str(IndexingSummary(indexed=1200))) == 2
    assert "Rejected: 0." in done.stdout
    assert commands.statuses()["worker-pretrained"]["state"] == "ready"
    url = f"http://127.0.0.1:{commands.environ['NITAMONO_API_PORT']}/reports/encoder"
    assert f"The report: {url}" in done.stdout
    with urllib.request.urlopen(url, timeout=10) as answer:
        page = answer.read().decode()
    assert "Simulated" in page
    found = json.loads((commands.state / "reports" / "encoder" / "report.json").read_bytes())
    assert all(found["sample_ratio"]["users"][arm] > 50 for arm in ("pretrained", "finetuned"))


def write_shop(folder: Path) -> Path:
    """The listings of a small marketplace with its photos, in a folder with a space in its name."""
    write_marketplace(folder, 60, seed=3, photo_size=96, processes=1)
    return folder / LISTINGS


def live_index(commands: Commands) -> str:
    """The name of the index behind the alias for reading."""
    url = f"http://127.0.0.1:{commands.environ['NITAMONO_ES_PORT']}/_alias/listings-read"
    with urllib.request.urlopen(url, timeout=10) as answer:
        (name,) = json.load(answer)
    return str(name)


def has_ended(process: psutil.Process) -> bool:
    """Whether the process is gone, or waits to be forgotten by the system's first process."""
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_a_used_port_is_reported_by_name(commands):
    """A port that somebody else uses ends `up` in a sentence, with nothing left running."""
    command = [
        sys.executable,
        "-m",
        "http.server",
        commands.environ["NITAMONO_ES_PORT"],
        "--bind",
        "127.0.0.1",
    ]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: not is_free(int(commands.environ["NITAMONO_ES_PORT"])))
        answer = commands.run("up")
    finally:
        server.kill()
        server.wait()
    assert answer.returncode == 1
    assert f"(pid {server.pid})" in answer.stderr or "another process" in answer.stderr
    assert "set NITAMONO_ES_PORT to a free port" in answer.stderr
    assert set(commands.pids().values()) == {None}
