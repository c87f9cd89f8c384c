"""Elasticsearch as Elastic publishes it for each kind of machine, with a JDK inside."""

from __future__ import annotations

import platform
from pathlib import Path

from demo.local_services.elasticsearch.download import fetch_verified
from demo.local_services.errors import DownloadFailed
from demo.local_services.progress import Step, run_showing

SYSTEMS = ("Linux", "Darwin")
PROCESSORS = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}


def archive_url(folder: str, version: str, *, system: str = "", machine: str = "") -> str:
    """Return the URL below `folder` of the archive for this kind of machine.

    Raises DownloadFailed where Elastic publishes none.
    """
    system, machine = system or platform.system(), machine or platform.machine()
    processor = PROCESSORS.get(machine.lower())
    if system not in SYSTEMS or processor is None:
        raise DownloadFailed(folder, f"it has no archive for {system} on {machine}", "set ELASTICSEARCH_URL")
    return f"{folder}/elasticsearch-{version}-{system.lower()}-{processor}.tar.gz"


def fetch_archive(url: str, folder: Path, step: Step) -> Path:
    """Return `folder` with the archive of `url` unpacked in it, its SHA-512 verified.

    Raises DownloadFailed, ChecksumMismatch or NoDiskSpace.
    """
    archive = folder / "elasticsearch.tar.gz"
    fetch_verified(url, archive, step)
    status, output = run_showing(["tar", "-xzf", archive, "--no-same-owner"], step, folder=folder)
    if status != 0:
        raise DownloadFailed(url, f"tar could not unpack it: {output.strip()[-200:]}", "fetch it again")
    archive.unlink()
    return folder
