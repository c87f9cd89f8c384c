"""Elasticsearch from a Maven repository: Elastic's build for integration tests, without a JDK."""

from __future__ import annotations

import re
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path

from demo.local_services.elasticsearch.download import require_disk_space, verify_sha512
from demo.local_services.errors import DownloadFailed
from demo.local_services.progress import Step, run_showing

PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"
ARTIFACT = "org.elasticsearch.distribution.integ-test-zip:elasticsearch"
BYTES_ON_DISK = 550_000_000  # the zip in Maven's own store and here, and the unpacked folder
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def fetch_by_maven(version: str, sha512: str, environ: Mapping[str, str], folder: Path, step: Step) -> Path:
    """Return `folder` with that version unpacked in it, its SHA-512 verified.

    Raises DownloadFailed, ChecksumMismatch or NoDiskSpace.
    """
    coordinate = f"{ARTIFACT}:{version}:zip"
    require_disk_space(folder, BYTES_ON_DISK, "Elasticsearch")
    archive = folder / f"elasticsearch-{version}.zip"
    status, output = run_showing(
        [
            _maven(environ, coordinate),
            "-B",
            "-q",
            PLUGIN,
            f"-Dartifact={coordinate}",
            f"-DoutputDirectory={folder}",
        ],
        step,
        folder=folder,
        environment=environ,
    )
    if status != 0 or not archive.exists():
        raise DownloadFailed(coordinate, f"Maven says: {first_error(output)}")
    verify_sha512(archive, coordinate, sha512)
    _unzip(archive, folder)
    return folder


def first_error(output: str) -> str:
    """Return the first error that Maven printed, or its last line where it printed none."""
    lines = [COLOURS.sub("", line).strip() for line in output.splitlines()]
    errors = [line.removeprefix("[ERROR]").strip() for line in lines if line.startswith("[ERROR]")]
    return next((line for line in [*errors, *reversed(lines)] if line), "nothing")[:400]


def _maven(environ: Mapping[str, str], coordinate: str) -> str:
    maven = shutil.which("mvn", path=environ.get("PATH"))
    if maven is None:
        advice = "install Maven (Debian: apt-get install maven; macOS: brew install maven)"
        raise DownloadFailed(coordinate, "mvn is not on the PATH", advice)
    return maven


def _unzip(archive: Path, folder: Path) -> None:
    """Unpack and make the programs executable, which the zip does not record."""
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(folder)
    for program in folder.glob("*/bin/*"):
        program.chmod(0o755)
