"""Finds a JDK for an Elasticsearch without one of its own."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from demo.local_services.errors import JdkMissing
from demo.local_services.unprivileged_user import ServiceUser, run_as

OLDEST = 21
# Elasticsearch adds the second to its module path and finds its launcher's modules with the first: a JRE made
# by jlink without them does not start it.
NEEDED_MODULES = frozenset({"jdk.jlink", "jdk.incubator.vector"})
LINUX_FOLDERS = (Path("/usr/lib/jvm"),)
MACOS_JAVA_HOME = Path("/usr/libexec/java_home")


@dataclass(frozen=True)
class Java:
    """A Java installation."""

    home: Path
    version: str  # "25.0.1", or "" where it did not run
    modules: frozenset[str]

    @property
    def shortcoming(self) -> str | None:
        """Return why Elasticsearch cannot run on it, or None if it can."""
        if not self.version:
            return "does not run"
        if int(re.split(r"[.+-]", self.version)[0]) < OLDEST:
            return f"version {self.version}, too old"
        missing = NEEDED_MODULES - self.modules
        return f"version {self.version} without {' and '.join(sorted(missing))}" if missing else None


def find_jdk(
    environ: Mapping[str, str], user: ServiceUser, *, folders: Iterable[Path] = LINUX_FOLDERS
) -> Path:
    """Return the home of the first JDK that `user` can run Elasticsearch on.

    If ES_JAVA_HOME is set, nothing else is tried. Raises JdkMissing, naming all found.
    """
    chosen = environ.get("ES_JAVA_HOME")
    distinct: dict[Path, Path] = {}
    for home in [Path(chosen)] if chosen else java_homes(environ, folders):
        distinct.setdefault(home.resolve(), home)
    unusable = []
    for home in distinct.values():
        java = inspect(home, user)
        shortcoming = java.shortcoming
        if shortcoming is None:
            return home
        by = "" if user.is_caller or java.version else f" as user {user.uid}"
        unusable.append(f"{home} ({shortcoming}{by})")
    raise JdkMissing("; ".join(unusable) or "no Java at all")


def java_homes(environ: Mapping[str, str], folders: Iterable[Path] = LINUX_FOLDERS) -> Iterator[Path]:
    """Yield the folders that may hold a JDK: JAVA_HOME, the PATH's java, then those of the system."""
    if environ.get("JAVA_HOME"):
        yield Path(environ["JAVA_HOME"])
    on_path = shutil.which("java", path=environ.get("PATH"))
    if on_path:
        yield Path(on_path).resolve().parents[1]
    for folder in folders:
        yield from sorted(
            (java.parents[1] for java in folder.glob("*/bin/java")), key=_version_in_name, reverse=True
        )
    if MACOS_JAVA_HOME.exists():
        yield from _macos_home()


def inspect(home: Path, user: ServiceUser) -> Java:
    """Return the version and modules of the Java at `home`, as `user` sees them."""
    try:
        answer = run_as(user, [home / "bin" / "java", "--list-modules"])
    except (OSError, subprocess.TimeoutExpired):
        return Java(home, "", frozenset())
    modules = dict(line.split("@", 1) for line in answer.stdout.splitlines() if "@" in line)
    return Java(home, modules.get("java.base", "").split()[0] if modules else "", frozenset(modules))


def _macos_home() -> Iterator[Path]:
    answer = subprocess.run(
        [MACOS_JAVA_HOME, "-v", f"{OLDEST}+"], check=False, capture_output=True, text=True
    )
    if answer.returncode == 0:
        yield Path(answer.stdout.strip())


def _version_in_name(home: Path) -> int:
    """Return the first number in the folder's name, so that newer JDKs are tried first."""
    match = re.search(r"\d+", home.name.replace("1.", "", 1))
    return int(match[0]) if match else 0
