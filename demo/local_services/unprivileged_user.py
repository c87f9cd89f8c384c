"""The user that runs Elasticsearch, which refuses to run as root."""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from demo.local_services.errors import NoUnprivilegedUser


@dataclass(frozen=True)
class ServiceUser:
    """The user that runs a service: the caller, or a user without privileges instead of root."""

    uid: int
    gid: int
    is_caller: bool

    @classmethod
    def caller(cls) -> ServiceUser:
        """Return the user that runs this command."""
        return cls(uid=os.geteuid(), gid=os.getegid(), is_caller=True)

    @property
    def popen_arguments(self) -> dict[str, Any]:
        """Arguments of `subprocess.Popen` that run a process as this user."""
        return {} if self.is_caller else {"user": self.uid, "group": self.gid, "extra_groups": []}

    def can_read(self, path: Path) -> bool:
        """Return whether this user can read `path`, and enter each folder above it."""
        return self._test("-r", path)

    def can_enter(self, folder: Path) -> bool:
        """Return whether this user can work below `folder`."""
        return self._test("-x", folder)

    def own(self, folder: Path) -> None:
        """Give `folder` and all below it to this user."""
        if self.is_caller:
            return
        for parent, _, names in os.walk(folder):
            for path in (parent, *(os.path.join(parent, name) for name in names)):  # noqa: PTH118
                os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def _test(self, question: str, path: Path) -> bool:
        return run_as(self, ["test", question, path]).returncode == 0


def run_as(user: ServiceUser, command: Sequence[str | Path]) -> subprocess.CompletedProcess[str]:
    """Run `command` as `user` from the root folder, and return its output."""
    return subprocess.run(
        command, check=False, cwd="/", capture_output=True, text=True, timeout=60, **user.popen_arguments
    )


def service_user(name: str, *, uid: int | None = None) -> ServiceUser:
    """Return the caller, or the user `name` if the caller (`uid`) is root. Raises NoUnprivilegedUser."""
    caller = os.geteuid() if uid is None else uid
    if caller != 0:
        return replace(ServiceUser.caller(), uid=caller)
    try:
        entry = pwd.getpwnam(name)
    except KeyError as error:
        raise NoUnprivilegedUser(name) from error
    if entry.pw_uid == 0:
        raise NoUnprivilegedUser(name)
    return ServiceUser(uid=entry.pw_uid, gid=entry.pw_gid, is_caller=False)
