"""Starts processes that outlive this command, and finds them again by pid and start time."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil

from demo.local_services.errors import ServiceDied, ServiceNotReady
from demo.local_services.ports import require_free
from demo.local_services.progress import Progress
from demo.local_services.state import StateFolder, replace_text
from demo.local_services.unprivileged_user import ServiceUser

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
BOOT_SLACK = 2.0  # seconds; Linux gives the time of its start in whole ones, and adjusts it with the clock
LOG_LINES = 12  # of a dead service's log that an error shows
LONGEST_LOG = 50_000_000  # bytes; a longer log is renamed at the next start
POLL_S = 0.1  # seconds


@dataclass(frozen=True, kw_only=True)
class Launch:
    """How to start one service."""

    command: Sequence[str]
    environment: Mapping[str, str]
    folder: Path
    user: ServiceUser


@dataclass(frozen=True, kw_only=True)
class Service:
    """One service of the system: how to start, recognise and stop it."""

    name: str
    title: str
    url: str
    identity: str  # of settings and code; a running service with another one is restarted
    prepare: Callable[[Progress], Launch]
    is_ready: Callable[[], bool]
    port: int | None = None
    port_setting: str = ""  # the variable that moves it to another port
    url_setting: str = ""  # the variable that names a server to use instead
    patience: float = 60.0  # seconds from start to ready
    grace: float = 30.0  # seconds from the signal to the kill


@dataclass(frozen=True, kw_only=True)
class ProcessRecord:
    """A process of ours, by pid, boot and start time: pids are reused."""

    pid: int
    boot: str  # the id of the system's boot on Linux, where start times count from it
    started: float  # seconds, by `started_at`
    url: str
    identity: str

    @classmethod
    def of(cls, process: psutil.Process, *, url: str, identity: str) -> ProcessRecord:
        """Return the record of a running process."""
        return cls(pid=process.pid, boot=boot_id(), started=started_at(process), url=url, identity=identity)

    @property
    def process(self) -> psutil.Process | None:
        """The process itself, or None if it has ended."""
        try:
            process = psutil.Process(self.pid)
            is_ours = self.boot == boot_id() and abs(started_at(process) - self.started) < BOOT_SLACK
            return process if is_ours and process.status() != psutil.STATUS_ZOMBIE else None
        except psutil.NoSuchProcess:
            return None


@dataclass
class Supervisor:
    """Starts and stops the services of one state folder."""

    state: StateFolder
    progress: Progress
    # Referenced while they run: Python warns of a Popen that is collected earlier.
    _children: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def record(self, name: str) -> ProcessRecord | None:
        """Return the record of the service `name`, whose process may have ended since, or None."""
        try:
            return ProcessRecord(**json.loads(self._record_file(name).read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def running(self, name: str) -> ProcessRecord | None:
        """Return the record of the service `name`, or None if it does not run."""
        record = self.record(name)
        return record if record and record.process else None

    def is_up(self, service: Service) -> bool:
        """Return whether `service` runs with its current settings and is ready."""
        record = self.running(service.name)
        return record is not None and record.identity == service.identity and service.is_ready()

    def ensure(self, service: Service) -> bool:
        """Start `service` unless it is up, restarting it if its settings have changed; return whether it was.

        Raises PortInUse, ServiceDied, ServiceNotReady, or what its `prepare` raises.
        """
        if self.is_up(service):
            return False
        record = self.running(service.name)
        if record and record.identity != service.identity:
            self.progress.say(f"{service.title}: its settings or code have changed; restarting it")
            self.stop(service)
            record = None
        if record is None:
            self.start(service)
        self.wait_until_ready(service)
        return True

    def require_port(self, service: Service) -> None:
        """Raise PortInUse if `service` does not run and its port is taken."""
        if service.port is not None and self.running(service.name) is None:
            require_free(
                service.port,
                title=service.title,
                setting=service.port_setting,
                alternative=f"{service.url_setting}={service.url}" if service.url_setting else "",
            )

    def start(self, service: Service) -> ProcessRecord:
        """Start `service` and record it; it need not be ready yet."""
        self.require_port(service)
        launch = service.prepare(self.progress)
        child = _spawn(launch, self.state.log(service.name))
        self._children.append(child)
        record = ProcessRecord.of(psutil.Process(child.pid), url=service.url, identity=service.identity)
        replace_text(self._record_file(service.name), json.dumps(asdict(record)))
        return record

    def wait_until_ready(self, service: Service) -> None:
        """Return once `service` answers. Raises ServiceDied or ServiceNotReady, with the end of its log."""
        log = self.state.log(service.name)
        deadline = time.monotonic() + service.patience
        with self.progress.step(f"Starting {service.title}") as step:
            while not service.is_ready():
                if self.running(service.name) is None:
                    raise ServiceDied(service.title, log, last_lines(log))
                if time.monotonic() > deadline:
                    self.stop(service)
                    raise ServiceNotReady(service.title, service.patience, log, last_lines(log))
                time.sleep(POLL_S)
                step.tick()
            step.result(f"{service.title} is ready{f' at {service.url}' if service.url else ''}")

    def stop(self, service: Service) -> bool:
        """End `service` by SIGTERM, and by SIGKILL after its grace; return whether it ran."""
        record = self.running(service.name)
        if record and record.process:
            with self.progress.step(f"Stopping {service.title}") as step:
                ended = _end(record.process, service.grace, step.tick)
                step.result(
                    f"{service.title} {'stopped' if ended else 'was killed: it did not stop in time'}"
                )
        self._forget(service.name)
        return record is not None

    def kill(self, service: Service) -> None:
        """End `service` by SIGKILL, as a machine that loses power would."""
        record = self.running(service.name)
        if record and record.process:
            _kill_tree(record.process)
        self._forget(service.name)

    def _forget(self, name: str) -> None:
        self._record_file(name).unlink(missing_ok=True)
        self._children = [child for child in self._children if child.poll() is None]

    def _record_file(self, name: str) -> Path:
        return self.state.records / f"{name}.json"


def started_at(process: psutil.Process) -> float:
    """Return the start time of `process`, in seconds, which stays the same when the system's clock is set.

    Linux records seconds since the boot, to which psutil adds the boot's time by the present clock; other
    systems record the time of the clock at the start.
    """
    return process.create_time() - (psutil.boot_time() if psutil.LINUX else 0.0)


def boot_id() -> str:
    """Return the id of the system's boot, or an empty text where the system has none."""
    return BOOT_ID.read_text().strip() if BOOT_ID.exists() else ""


def memory_bytes(process: psutil.Process) -> int:
    """Return the resident memory of `process` and all it started."""
    total = 0
    for member in _tree(process):
        with contextlib.suppress(psutil.Error):
            total += member.memory_info().rss
    return total


def last_lines(log: Path, count: int = LOG_LINES) -> str:
    """Return the last lines of `log`, without stack frames."""
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    kept = [line for line in lines if line.strip() and not line.lstrip().startswith(("at ", "... "))]
    return "\n".join(f"  {line[:300]}" for line in kept[-count:]) or "  (nothing was written)"


def _spawn(launch: Launch, log: Path) -> subprocess.Popen[bytes]:
    if log.exists() and log.stat().st_size > LONGEST_LOG:
        log.replace(log.with_suffix(".old.log"))
    with log.open("ab") as output:
        return subprocess.Popen(
            launch.command,
            cwd=launch.folder,
            env=dict(launch.environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a Ctrl-C in the terminal is not meant for it
            **launch.user.popen_arguments,
        )


def _end(process: psutil.Process, grace: float, tick: Callable[[], None]) -> bool:
    """End `process` by SIGTERM, or by SIGKILL after `grace` seconds; return whether SIGTERM was enough."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + grace
    while _is_alive(process):
        if time.monotonic() > deadline:
            _kill_tree(process)
            return False
        time.sleep(POLL_S)
        tick()
    return True


def _kill_tree(process: psutil.Process) -> None:
    tree = _tree(process)
    for member in tree:
        with contextlib.suppress(psutil.NoSuchProcess):
            member.kill()
    psutil.wait_procs(tree, timeout=10)


def _tree(process: psutil.Process) -> list[psutil.Process]:
    try:
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
