"""Starting processes, finding them again, and ending them."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import signal
import sys
import time

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from demo.local_services.errors import PortInUse, ServiceDied, ServiceNotReady
from demo.local_services.ports import is_free
from demo.local_services.processes import (
    Launch,
    ProcessRecord,
    Service,
    Supervisor,
    last_lines,
    memory_bytes,
)
from demo.local_services.progress import Progress
from demo.local_services.state import StateFolder
from demo.local_services.unprivileged_user import ServiceUser
from tests.free_port import free_port

LISTEN = """
import os, socket, sys, time
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("listening", os.environ["COLOUR"], os.getcwd(), flush=True)
time.sleep(60)
"""
IGNORES_SIGTERM = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ignoring", flush=True)
time.sleep(60)
"""
PARENT = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(60)'])"


@pytest.fixture
def supervisor(tmp_path):
    """A supervisor with an empty state folder; what it started is ended with the test."""
    made = Supervisor(StateFolder.open(tmp_path / "a state"), Progress(io.StringIO()))
    yield made
    for record in made.state.records.glob("*.json"):
        made.kill(make_service(made, name=record.stem))


def make_service(supervisor, code=LISTEN, *, port=None, is_ready=None, name="server", **changes):
    """A service that runs `code` in Python and is ready once its port is taken."""
    port = port or free_port()
    caller = ServiceUser.caller()
    launch = Launch(
        command=[sys.executable, "-c", code, str(port)],
        environment={**os.environ, "COLOUR": "indigo"},
        folder=supervisor.state.path,
        user=caller,
    )
    service = Service(
        name=name,
        title="Test server",
        url=f"http://127.0.0.1:{port}",
        identity="first",
        prepare=lambda _: launch,
        is_ready=is_ready or (lambda: not is_free(port)),
        port=port,
        port_setting="NITAMONO_TEST_PORT",
        patience=20.0,
        grace=10.0,
    )
    return dataclasses.replace(service, **changes)


def test_a_service_is_started_once(supervisor):
    """The second call finds it running and ready, and does nothing."""
    service = make_service(supervisor)
    assert supervisor.ensure(service) is True
    pid = supervisor.running("server").pid
    assert supervisor.ensure(service) is False
    assert supervisor.running("server").pid == pid


def test_it_runs_with_its_environment_folder_and_log(supervisor):
    """The process has the environment and folder of its launch, and its output is in its log."""
    supervisor.ensure(make_service(supervisor))
    log = supervisor.state.log("server").read_text()
    assert log == f"listening indigo {supervisor.state.path}\n"


def test_another_command_finds_what_the_first_started(supervisor):
    """The record on disk is enough: a new supervisor sees the process and stops it."""
    service = make_service(supervisor)
    supervisor.ensure(service)
    process = supervisor.running("server").process
    other = Supervisor(supervisor.state, Progress(io.StringIO()))
    assert other.ensure(service) is False
    assert other.stop(service) is True
    assert not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    assert other.stop(service) is False


def test_changed_settings_restart_it(supervisor):
    """A running service with other settings is replaced, not left as it is."""
    service = make_service(supervisor)
    supervisor.ensure(service)
    first = supervisor.running("server").pid
    assert supervisor.ensure(dataclasses.replace(service, identity="second")) is True
    assert supervisor.running("server").pid != first


def test_a_dead_service_shows_the_end_of_its_log(supervisor):
    """What the process said before it ended is in the message, with the log's path."""
    code = "import sys; sys.exit('cannot read the configuration')"
    with pytest.raises(
        ServiceDied, match=r"(?s)Test server ended .*server\.log.*cannot read the configuration"
    ):
        supervisor.ensure(make_service(supervisor, code))
    assert supervisor.running("server") is None


def test_a_service_that_never_gets_ready_is_stopped(supervisor):
    """After its patience the process is ended and its log is shown."""
    service = make_service(supervisor, is_ready=lambda: False, patience=0.5)
    with pytest.raises(ServiceNotReady, match=r"not ready within 0 s|not ready within 1 s"):
        supervisor.ensure(service)
    assert supervisor.running("server") is None


def test_a_used_port_is_reported_before_the_start(supervisor):
    """The port is looked at first, so that the message is ours and not the server's."""
    service = make_service(supervisor)
    supervisor.ensure(service)
    with pytest.raises(PortInUse, match=f"{service.port}.*NITAMONO_TEST_PORT"):
        supervisor.ensure(make_service(supervisor, name="other", port=service.port))


def test_a_service_that_ignores_sigterm_is_killed(supervisor):
    """A process that ignores the request is killed."""
    log = supervisor.state.log("server")
    service = make_service(
        supervisor,
        IGNORES_SIGTERM,
        is_ready=lambda: log.exists() and "ignoring" in log.read_text(),
        grace=0.3,
    )
    supervisor.ensure(service)
    process = supervisor.running("server").process
    supervisor.stop(service)
    assert not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_a_kill_ends_the_children_too(supervisor):
    """No child outlives its killed parent; its memory counted while it ran."""
    service = make_service(supervisor, PARENT, is_ready=lambda: True)
    supervisor.ensure(service)
    process = supervisor.running("server").process
    (child,) = _children(process)
    assert memory_bytes(process) > process.memory_info().rss
    supervisor.kill(service)
    assert not child.is_running()
    assert supervisor.running("server") is None


@given(seconds=st.floats(2.1, 1e6), later=st.booleans())
def test_a_reused_pid_is_not_ours(seconds, later):
    """A process with the recorded pid that started at another time is not ours."""
    record = ProcessRecord.of(psutil.Process(), url="", identity="")
    began = record.started + (seconds if later else -seconds)
    assert record.process is not None
    assert dataclasses.replace(record, started=began).process is None


def test_a_process_of_an_earlier_boot_is_not_ours():
    """After a reboot another process may have the pid, started as many seconds after the boot."""
    record = ProcessRecord.of(psutil.Process(), url="", identity="")
    assert dataclasses.replace(record, boot="another").process is None


@pytest.mark.skipif(not psutil.LINUX, reason="other systems record the time of the clock at the start")
@pytest.mark.parametrize("step", [-7200.0, -3.0, 3.0, 1e7])
def test_processes_are_found_after_a_clock_step(supervisor, monkeypatch, step):
    """A restored snapshot of a machine sets the clock, which moves every start time that psutil gives."""
    service = make_service(supervisor)
    supervisor.ensure(service)
    pid = supervisor.running("server").pid
    before = psutil.Process(pid).create_time()
    boot_time = psutil.boot_time()
    monkeypatch.setattr("psutil._pslinux.boot_time", lambda: boot_time + step)
    assert psutil.Process(pid).create_time() == pytest.approx(before + step)
    assert supervisor.ensure(service) is False
    assert supervisor.running("server").pid == pid


def test_another_process_with_a_recorded_pid_gets_no_signal(supervisor):
    """`stop` with a stale record of this process sends no signal."""
    ours = ProcessRecord.of(psutil.Process(), url="", identity="first")
    stale = dataclasses.replace(ours, started=ours.started - 100)
    (supervisor.state.records / "server.json").write_text(json.dumps(dataclasses.asdict(stale)))
    received = []
    before = signal.signal(signal.SIGTERM, lambda *_: received.append("SIGTERM"))
    try:
        assert supervisor.stop(make_service(supervisor)) is False
    finally:
        signal.signal(signal.SIGTERM, before)
    assert received == []


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}', '{"pid": 1, "started": 0, "unknown": 1}'])
def test_a_broken_record_counts_as_stopped(supervisor, text):
    """A record that cannot be read is no process."""
    (supervisor.state.records / "server.json").write_text(text)
    assert supervisor.running("server") is None


def test_the_end_of_a_log_leaves_out_stack_frames(tmp_path):
    """Stack frames of Java are left out."""
    log = tmp_path / "log"
    log.write_text("start\njava.lang.Error: no room\n\tat org.elasticsearch.A\n\t... 3 more\n\nend\n")
    assert last_lines(log, 2) == "  java.lang.Error: no room\n  end"
    assert last_lines(tmp_path / "absent") == "  (nothing was written)"


def test_a_long_log_is_renamed_at_the_next_start(supervisor, monkeypatch):
    """A log over the limit is kept once under another name."""
    monkeypatch.setattr("demo.local_services.processes.LONGEST_LOG", 10)
    log = supervisor.state.log("server")
    log.write_text("what was said before\n")
    supervisor.ensure(make_service(supervisor))
    assert log.with_name("server.old.log").read_text() == "what was said before\n"
    assert log.read_text().startswith("listening")


def _children(process):
    deadline = time.monotonic() + 10
    while not process.children() and time.monotonic() < deadline:
        time.sleep(0.05)
    return process.children()
