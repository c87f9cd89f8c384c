"""The account that runs Elasticsearch, which refuses to run as root."""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from demo.local_services.errors import NoServiceAccount


class Demotion(TypedDict, total=False):
    """The arguments of `subprocess.Popen` that give up root."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True)
class Account:
    """Who runs a service: the calling user, or an account without privileges in place of root."""

    uid: int
    gid: int
    is_caller: bool

    @property
    def demotion(self) -> Demotion:
        """What `subprocess.Popen` needs to run as this account."""
        return {} if self.is_caller else {"user": self.uid, "group": self.gid, "extra_groups": []}

    def can_read(self, path: Path) -> bool:
        """Return whether this account can read `path`: each folder above it must let the account through."""
        return self._test("-r", path)

    def can_enter(self, folder: Path) -> bool:
        """Return whether this account can work below `folder`."""
        return self._test("-x", folder)

    def own(self, folder: Path) -> None:
        """Give `folder` and all below it to this account."""
        if self.is_caller:
            return
        for parent, _, names in os.walk(folder):
            for path in (parent, *(os.path.join(parent, name) for name in names)):  # noqa: PTH118
                os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def _test(self, question: str, path: Path) -> bool:
        return run_as(self, ["test", question, path]).returncode == 0


def run_as(account: Account, command: Sequence[str | Path]) -> subprocess.CompletedProcess[str]:
    """Run `command` as `account` from the root folder, and return what it said."""
    return subprocess.run(
        command, check=False, cwd="/", capture_output=True, text=True, timeout=60, **account.demotion
    )


def service_account(name: str, *, uid: int | None = None) -> Account:
    """Return the caller, or the account `name` if the caller (`uid`) is root. Raises NoServiceAccount."""
    caller = os.geteuid() if uid is None else uid
    if caller != 0:
        return Account(uid=caller, gid=os.getegid(), is_caller=True)
    try:
        entry = pwd.getpwnam(name)
    except KeyError as error:
        raise NoServiceAccount(name) from error
    if entry.pw_uid == 0:
        raise NoServiceAccount(name)
    return Account(uid=entry.pw_uid, gid=entry.pw_gid, is_caller=False)
