"""Obtains an Elasticsearch to start, by the first way that works on this machine."""

from __future__ import annotations

import fcntl
import platform
import shutil
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from demo.services.account import Account
from demo.services.download import fetch_verified, require_disk_space
from demo.services.errors import (
    DownloadFailed,
    FolderNotWritable,
    NoElasticsearch,
    ServiceError,
    UnfitDistribution,
)
from demo.services.jdk import find_jdk
from demo.services.progress import Progress, Step, run_showing
from demo.services.settings import ServiceSettings

VERSION = "9.5.4"
# Elastic's own build for the tests of other projects: no JDK inside, few modules, 132 MB packed.
MAVEN_PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"
MAVEN_ARTIFACT = f"org.elasticsearch.distribution.integ-test-zip:elasticsearch:{VERSION}:zip"
MAVEN_BYTES = 550_000_000  # Maven's own copy, ours, and the unpacked one


@dataclass(frozen=True)
class Distribution:
    """An unpacked Elasticsearch and the JDK that runs it; `jdk` is None where one is inside."""

    home: Path
    jdk: Path | None


def obtain(
    settings: ServiceSettings, environ: Mapping[str, str], account: Account, progress: Progress
) -> Distribution:
    """Return the first Elasticsearch to be had: ES_HOME, the cache, Elastic's archive, then Maven.

    Raises NoElasticsearch, saying of each way why it failed; a wrong ES_HOME raises at once.
    """
    if settings.elasticsearch_home:
        return with_jdk(settings.elasticsearch_home, environ, account)
    full, small = (
        settings.cache / f"elasticsearch-{VERSION}",
        settings.cache / f"elasticsearch-{VERSION}-small",
    )
    cached = [Way("cache", full), Way("cache, Maven's build", small)]
    fetched = [
        Way("Elastic's archive", full, lambda: _from_archive(settings, full, progress)),
        Way("Maven", small, lambda: _from_maven(environ, account, small, progress)),
    ]
    found, outcomes = _first(cached, environ, account, progress)
    if found:
        return found
    with _cache_lock(settings.cache, progress):  # whoever waited here looks into the cache again
        found, outcomes = _first([*cached, *fetched], environ, account, progress)
    if found:
        return found
    raise NoElasticsearch(VERSION, [("ELASTICSEARCH_URL and ES_HOME", "not set"), *outcomes])


@dataclass(frozen=True)
class Way:
    """One way to an Elasticsearch: where it ends up, and what brings it there."""

    name: str
    home: Path
    bring: Callable[[], None] | None = None


def _first(
    ways: Iterable[Way], environ: Mapping[str, str], account: Account, progress: Progress
) -> tuple[Distribution | None, list[tuple[str, str]]]:
    """Return what the first way that works leads to, and why those before it failed."""
    outcomes: list[tuple[str, str]] = []
    for way in ways:
        try:
            if way.bring:
                way.bring()
            return with_jdk(way.home, environ, account), outcomes
        except ServiceError as error:
            outcomes.append((way.name, str(error)))
            if way.bring:
                progress.say(f"{way.name}: {error}")
    return None, outcomes


def with_jdk(home: Path, environ: Mapping[str, str], account: Account) -> Distribution:
    """Return the Elasticsearch at `home` with what runs it. Raises UnfitDistribution or JdkMissing."""
    require_elasticsearch_9(home)
    if (home / "jdk").exists() or (home / "jdk.app").exists():
        return Distribution(home, jdk=None)
    return Distribution(home, jdk=find_jdk(environ, account))


def require_elasticsearch_9(home: Path) -> None:
    """Raise UnfitDistribution unless an Elasticsearch 9.x is unpacked at `home`."""
    if not (home / "bin" / "elasticsearch").is_file():
        raise UnfitDistribution(home, "no bin/elasticsearch" if home.is_dir() else "no such folder")
    versions = [
        jar.stem.removeprefix("elasticsearch-") for jar in (home / "lib").glob("elasticsearch-[0-9]*.jar")
    ]
    if not any(version.startswith("9.") for version in versions):
        raise UnfitDistribution(home, f"version {', '.join(versions) or 'unknown'}")


def archive_name(system: str, machine: str) -> str:
    """Return the name of Elastic's archive for this kind of machine; DownloadFailed if there is none."""
    cpu = {"amd64": "x86_64", "arm64": "aarch64"}.get(machine.lower(), machine.lower())
    name = f"elasticsearch-{VERSION}-{system.lower()}-{cpu}.tar.gz"
    if system not in ("Linux", "Darwin") or cpu not in ("x86_64", "aarch64"):
        raise DownloadFailed(name, "there is none for this kind of machine")
    return name


def _from_archive(settings: ServiceSettings, home: Path, progress: Progress) -> None:
    url = f"{settings.archives}/{archive_name(platform.system(), platform.machine())}"
    with _draft_beside(home) as draft, progress.step(f"Fetching {url}") as step:
        archive = draft / "elasticsearch.tar.gz"
        fetch_verified(url, archive, step)
        status, output = run_showing(["tar", "-xzf", archive, "--no-same-owner"], step, folder=draft)
        if status != 0:
            raise DownloadFailed(url, f"tar could not unpack it: {_last_line(output)}")
        _publish(draft / f"elasticsearch-{VERSION}", home)


def _from_maven(environ: Mapping[str, str], account: Account, home: Path, progress: Progress) -> None:
    maven = shutil.which("mvn", path=environ.get("PATH"))
    if maven is None:
        raise DownloadFailed(MAVEN_ARTIFACT, "mvn is not on the PATH; Debian: apt-get install maven")
    find_jdk(environ, account)  # without one the download would be for nothing
    with (
        _draft_beside(home) as draft,
        progress.step(f"Fetching Elasticsearch {VERSION} by Maven, 132 MB") as step,
    ):
        require_disk_space(draft, MAVEN_BYTES, "Elasticsearch")
        archive = _maven_copy(maven, environ, draft, step)
        unzip(archive, draft)
        _publish(draft / f"elasticsearch-{VERSION}", home)


def _maven_copy(maven: str, environ: Mapping[str, str], folder: Path, step: Step) -> Path:
    """Return the zip that Maven left in `folder`; Maven checks its sum against the repository's."""
    command = [maven, "-B", "-q", "--strict-checksums", MAVEN_PLUGIN]
    command += [f"-Dartifact={MAVEN_ARTIFACT}", f"-DoutputDirectory={folder}"]
    status, output = run_showing(command, step, folder=folder, environment=environ)
    archive = folder / f"elasticsearch-{VERSION}.zip"
    if status != 0 or not archive.exists():
        raise DownloadFailed(MAVEN_ARTIFACT, _first_error(output))
    return archive


def unzip(archive: Path, folder: Path) -> None:
    """Unpack the zip into `folder` with the programs in bin/ executable, which the zip format forgets."""
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(folder)
    for program in folder.glob("*/bin/*"):
        program.chmod(0o755)


def _publish(unpacked: Path, home: Path) -> None:
    """Move the unpacked folder to `home` in one step, readable by whoever will run it."""
    require_elasticsearch_9(unpacked)
    (unpacked / "plugins").mkdir(exist_ok=True)
    for path in (unpacked, *unpacked.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
    shutil.rmtree(home, ignore_errors=True)  # only an unfit one is here: a fit one would have been taken
    unpacked.rename(home)


@contextmanager
def _draft_beside(home: Path) -> Iterator[Path]:
    """Yield a folder on the same disk as `home`, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix=".draft-", dir=home.parent, ignore_cleanup_errors=True) as draft:
        yield Path(draft)


@contextmanager
def _cache_lock(cache: Path, progress: Progress) -> Iterator[None]:
    """Let one process at a time fill the cache; another waits and then finds it filled."""
    try:
        cache.mkdir(parents=True, exist_ok=True)
        handle = (cache / "lock").open("w")
    except OSError as error:
        raise FolderNotWritable(cache, error.strerror or str(error), "NITAMONO_CACHE") from error
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _wait_for(handle.fileno(), progress)
        yield


def _wait_for(lock: int, progress: Progress) -> None:
    with progress.step("Waiting for another process that fetches Elasticsearch") as step:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(0.2)
                step.tick()
            else:
                return


def _first_error(output: str) -> str:
    lines = [line.removeprefix("[ERROR] ") for line in output.splitlines() if line.startswith("[ERROR] ")]
    return (lines[0] if lines else _last_line(output))[:300]


def _last_line(output: str) -> str:
    return (output.strip().splitlines() or ["no output"])[-1]
