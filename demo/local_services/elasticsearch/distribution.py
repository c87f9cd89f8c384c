"""Obtains an Elasticsearch from the first source that works on this machine."""

from __future__ import annotations

import fcntl
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from demo.local_services.elasticsearch.archive import archive_url, fetch_archive
from demo.local_services.elasticsearch.jdk import find_jdk
from demo.local_services.elasticsearch.maven import fetch_by_maven
from demo.local_services.errors import (
    FolderNotWritable,
    NoElasticsearch,
    ServiceError,
    UnusableDistribution,
)
from demo.local_services.progress import Progress
from demo.local_services.settings import ServiceSettings
from demo.local_services.unprivileged_user import ServiceUser

VERSION = "9.5.4"
# Of Maven's zip of this version. The Maven repository has a SHA-1, and some of its mirrors have none.
MAVEN_SHA512 = (
    "a75df614854ace52dd0bce977662b3792873ac077ec0af9026cd0b2a0eb119e4"
    "49910f8eb8ed577d1a83c51c6ee6af71bf5004c3cf5b418c979186de8b5dd9e6"
)


@dataclass(frozen=True)
class Distribution:
    """An unpacked Elasticsearch and the JDK that runs it; `jdk` is None where one is inside."""

    home: Path
    jdk: Path | None


def obtain(
    settings: ServiceSettings, environ: Mapping[str, str], user: ServiceUser, progress: Progress
) -> Distribution:
    """Return the first Elasticsearch found: ES_HOME, the cache, Elastic's archive, then Maven.

    Raises NoElasticsearch with the reason of each source; a wrong ES_HOME raises at once.
    """
    if settings.elasticsearch_home:
        return with_jdk(settings.elasticsearch_home, environ, user)
    full, small = (
        settings.cache / f"elasticsearch-{VERSION}",
        settings.cache / f"elasticsearch-{VERSION}-small",
    )
    cached = [Source("cache", full), Source("cache, Maven's build", small)]
    fetched = [
        Source("Elastic's archive", full, lambda: _from_archive(settings, full, progress)),
        Source("Maven", small, lambda: _from_maven(environ, user, small, progress)),
    ]
    found, outcomes = _first(cached, environ, user, progress)
    if found:
        return found
    with _cache_lock(settings.cache, progress):  # another process may have filled the cache meanwhile
        found, outcomes = _first([*cached, *fetched], environ, user, progress)
    if found:
        return found
    raise NoElasticsearch(VERSION, [("ELASTICSEARCH_URL and ES_HOME", "not set"), *outcomes])


@dataclass(frozen=True)
class Source:
    """A source of Elasticsearch: the folder that holds it, and what fetches it."""

    name: str
    home: Path
    fetch: Callable[[], None] | None = None


def _first(
    sources: Iterable[Source], environ: Mapping[str, str], user: ServiceUser, progress: Progress
) -> tuple[Distribution | None, list[tuple[str, str]]]:
    """Return the Elasticsearch of the first source that works, and why those before it failed."""
    outcomes: list[tuple[str, str]] = []
    for source in sources:
        try:
            if source.fetch:
                source.fetch()
            return with_jdk(source.home, environ, user), outcomes
        except ServiceError as error:
            outcomes.append((source.name, str(error)))
            if source.fetch:
                progress.say(f"{source.name}: {error}")
    return None, outcomes


def with_jdk(home: Path, environ: Mapping[str, str], user: ServiceUser) -> Distribution:
    """Return the Elasticsearch at `home` with what runs it. Raises UnusableDistribution or JdkMissing."""
    require_elasticsearch_9(home)
    if (home / "jdk").exists() or (home / "jdk.app").exists():
        return Distribution(home, jdk=None)
    return Distribution(home, jdk=find_jdk(environ, user))


def require_elasticsearch_9(home: Path) -> None:
    """Raise UnusableDistribution unless an Elasticsearch 9.x is unpacked at `home`."""
    if not (home / "bin" / "elasticsearch").is_file():
        raise UnusableDistribution(home, "no bin/elasticsearch" if home.is_dir() else "no such folder")
    versions = [
        jar.stem.removeprefix("elasticsearch-") for jar in (home / "lib").glob("elasticsearch-[0-9]*.jar")
    ]
    if not any(version.startswith("9.") for version in versions):
        raise UnusableDistribution(home, f"version {', '.join(versions) or 'unknown'}")


def _from_archive(settings: ServiceSettings, home: Path, progress: Progress) -> None:
    url = archive_url(settings.archives, VERSION)
    with _draft_beside(home) as draft, progress.step(f"Fetching {url}") as step:
        _publish(fetch_archive(url, draft, step) / f"elasticsearch-{VERSION}", home)


def _from_maven(environ: Mapping[str, str], user: ServiceUser, home: Path, progress: Progress) -> None:
    find_jdk(environ, user)  # without one the download would be useless
    title = f"Fetching Elasticsearch {VERSION} by Maven, 132 MB"
    with _draft_beside(home) as draft, progress.step(title) as step:
        _publish(
            fetch_by_maven(VERSION, MAVEN_SHA512, environ, draft, step) / f"elasticsearch-{VERSION}", home
        )


def _publish(unpacked: Path, home: Path) -> None:
    """Move the unpacked folder to `home` in one step, readable by every user."""
    require_elasticsearch_9(unpacked)
    (unpacked / "plugins").mkdir(exist_ok=True)
    for path in (unpacked, *unpacked.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
    shutil.rmtree(home, ignore_errors=True)  # unusable: otherwise it would have been used
    unpacked.rename(home)


@contextmanager
def _draft_beside(home: Path) -> Iterator[Path]:
    """Yield a folder on the same disk as `home`, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix=".draft-", dir=home.parent, ignore_cleanup_errors=True) as draft:
        yield Path(draft)


@contextmanager
def _cache_lock(cache: Path, progress: Progress) -> Iterator[None]:
    """Let one process at a time fill the cache."""
    try:
        cache.mkdir(parents=True, exist_ok=True)
        handle = (cache / "lock").open("w")
    except OSError as error:
        raise FolderNotWritable(cache, error.strerror or str(error), "NITAMONO_CACHE_DIR") from error
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress.say("Waiting for another process that is downloading Elasticsearch …")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
