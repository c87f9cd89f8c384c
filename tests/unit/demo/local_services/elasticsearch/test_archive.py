"""Elastic's archive, from a server on this machine."""

from __future__ import annotations

import hashlib

import pytest

from demo.local_services.elasticsearch.archive import archive_url, fetch_archive
from demo.local_services.elasticsearch.distribution import VERSION
from demo.local_services.errors import ChecksumMismatch, DownloadFailed
from tests.unit.demo.local_services.fakes import publish_archive


@pytest.mark.parametrize(
    ("system", "machine", "name"),
    [
        ("Linux", "x86_64", "linux-x86_64"),
        ("Linux", "aarch64", "linux-aarch64"),
        ("Darwin", "arm64", "darwin-aarch64"),
        ("Darwin", "x86_64", "darwin-x86_64"),
    ],
)
def test_each_machine_has_its_archive(system, machine, name):
    """The names are Elastic's, whatever the system calls its processor."""
    assert archive_url("https://e", "9.5.4", system=system, machine=machine) == (
        f"https://e/elasticsearch-9.5.4-{name}.tar.gz"
    )


@pytest.mark.parametrize(("system", "machine"), [("Linux", "riscv64"), ("FreeBSD", "amd64")])
def test_a_machine_without_an_archive_is_an_error(system, machine):
    """Where Elastic publishes nothing the message names the machine."""
    with pytest.raises(DownloadFailed, match=f"{system} on {machine}"):
        archive_url("https://e", "9.5.4", system=system, machine=machine)


def test_an_archive_is_verified_and_unpacked(site, tmp_path, step):
    """The unpacked folder keeps its programs executable; the archive is gone."""
    folder, url = site
    publish_archive(folder, url)
    unpacked = fetch_archive(archive_url(url, VERSION), _folder(tmp_path), step) / f"elasticsearch-{VERSION}"
    assert (unpacked / "bin" / "elasticsearch").stat().st_mode & 0o111
    assert not list((tmp_path / "target").glob("*.tar.gz"))


def test_an_archive_with_a_wrong_sum_is_not_unpacked(site, tmp_path, step):
    """Nothing of a changed archive is run or kept."""
    folder, url = site
    publish_archive(folder, url, sha512="0" * 128)
    with pytest.raises(ChecksumMismatch):
        fetch_archive(archive_url(url, VERSION), _folder(tmp_path), step)
    assert list((tmp_path / "target").iterdir()) == []


def test_a_broken_archive_is_an_error(site, tmp_path, step):
    """The message has the output of tar."""
    folder, url = site
    archive = publish_archive(folder, url)
    archive.write_bytes(b"no archive")
    archive.with_name(f"{archive.name}.sha512").write_text(hashlib.sha512(b"no archive").hexdigest())
    with pytest.raises(DownloadFailed, match="tar could not unpack it"):
        fetch_archive(archive_url(url, VERSION), _folder(tmp_path), step)


def _folder(tmp_path):
    folder = tmp_path / "target"
    folder.mkdir()
    return folder
