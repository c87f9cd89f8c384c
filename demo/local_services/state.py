"""The one ignored folder that holds what the services of a clone leave behind."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from demo.local_services.errors import FolderNotWritable, StateBusy
from settings.services_file import SERVICES


@dataclass(frozen=True)
class StateFolder:
    """Where each thing of one running system lies; `open` makes the folders."""

    path: Path

    @classmethod
    def open(cls, path: Path) -> StateFolder:
        """Return the state folder at `path`, made if it is missing. Raises FolderNotWritable."""
        state = cls(path)
        try:
            for folder in (state.logs, state.records, state.redis, state.marketplace, state.experiments):
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FolderNotWritable(path, error.strerror or str(error), "NITAMONO_STATE") from error
        if not os.access(path, os.W_OK | os.X_OK):
            raise FolderNotWritable(path, "no permission to write", "NITAMONO_STATE")
        return state

    @property
    def logs(self) -> Path:
        """One log file a service."""
        return self.path / "logs"

    @property
    def records(self) -> Path:
        """One record a running service: its pid and what it was started with."""
        return self.path / "pids"

    @property
    def services(self) -> Path:
        """The settings that the services were last started with; our other commands look here too."""
        return self.path / SERVICES

    @property
    def redis(self) -> Path:
        """The append-only file of Redis."""
        return self.path / "redis"

    @property
    def elasticsearch(self) -> Path:
        """The node's folder, or a link to it where the account that runs the node cannot reach this one."""
        return self.path / "elasticsearch"

    @property
    def marketplace(self) -> Path:
        """The generated listings and photos."""
        return self.path / "marketplace"

    @property
    def image_roots(self) -> Path:
        """The file that lists the folders photos may be read from, one a line."""
        return self.path / "image-roots"

    @property
    def experiments(self) -> Path:
        """The files of the experiments that run."""
        return self.path / "experiments"

    @property
    def event_log(self) -> Path:
        """The events exported for a report."""
        return self.path / "event-log"

    @property
    def reports(self) -> Path:
        """The reports of experiments."""
        return self.path / "reports"

    @property
    def user_salt(self) -> Path:
        """What ids of users are hashed with; `events.user_ids` looks for it here too."""
        return self.path / "user-salt"

    def log(self, service: str) -> Path:
        """Return the log file of `service`."""
        return self.logs / f"{service}.log"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder against a second `up` or `down`. Raises StateBusy."""
        with (self.path / "lock").open("w") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise StateBusy(self.path) from error
            yield


def replace_text(path: Path, text: str) -> None:
    """Write `text` to `path` so that a reader sees the old content or the new, never a part."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(text)
    draft.replace(path)
