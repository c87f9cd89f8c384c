"""The state folder of a clone: data, logs and records of its services. Git ignores it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from demo.local_services.errors import FolderNotWritable, StateBusy
from settings.services_file import SERVICES


class _Below:
    """A path below the state folder."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, state: StateFolder, owner: type) -> Path:
        return state.path / self._name


@dataclass(frozen=True)
class StateFolder:
    """Where everything of one running system is stored; `open` makes the folders."""

    path: Path
    logs = _Below("logs")  # a log file for each service
    records = _Below("pids")  # a record for each running service: its pid and what it was started with
    services = _Below(SERVICES)  # settings of the last start, read by our other commands
    redis = _Below("redis")  # the append-only file
    elasticsearch = _Below("elasticsearch")  # or a link, where the node's user cannot enter the state folder
    marketplace = _Below("marketplace")  # generated listings and photos
    image_roots = _Below("image-roots")  # folders that photos may be read from, one a line
    experiments = _Below("experiments")  # definitions of experiments
    event_log = _Below("event-log")  # events exported for a report
    reports = _Below("reports")  # reports of experiments
    user_salt = _Below("user-salt")  # of hashed user ids; `events.user_ids` reads it too

    @classmethod
    def open(cls, path: Path) -> StateFolder:
        """Return the state folder at `path`, made if it is missing. Raises FolderNotWritable."""
        state = cls(path)
        try:
            for folder in (state.logs, state.records, state.redis, state.marketplace, state.experiments):
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FolderNotWritable(path, error.strerror or str(error), "NITAMONO_STATE_DIR") from error
        if not os.access(path, os.W_OK | os.X_OK):
            raise FolderNotWritable(path, "no permission to write", "NITAMONO_STATE_DIR")
        return state

    def log(self, service: str) -> Path:
        """Return the log file of `service`."""
        return self.logs / f"{service}.log"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the folder against a second `up` or `down`. Raises StateBusy."""
        with (self.path / "lock").open("w") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise StateBusy(self.path) from error
            yield


def replace_text(path: Path, text: str) -> None:
    """Write `text` to `path` atomically."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(text)
    draft.replace(path)
