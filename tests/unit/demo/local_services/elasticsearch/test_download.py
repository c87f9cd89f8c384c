"""Fetching a file and refusing a wrong one."""

from __future__ import annotations

import hashlib
import shutil
from typing import NamedTuple

import pytest

from demo.local_services.elasticsearch.download import fetch_verified, published_sha512, require_disk_space
from demo.local_services.errors import ChecksumMismatch, DownloadFailed, NoDiskSpace
from tests.free_port import free_port


class DiskUsage(NamedTuple):
    """What shutil.disk_usage returns."""

    total: int
    used: int
    free: int


def publish(folder, content, sha512=None):
    """Put a file and its SHA-512 into the served folder."""
    (folder / "file").write_bytes(content)
    (folder / "file.sha512").write_text(f"{sha512 or hashlib.sha512(content).hexdigest()}  file\n")


def test_a_file_with_the_published_sum_is_kept(site, tmp_path, step):
    """The file arrives whole, with nothing beside it."""
    folder, url = site
    publish(folder, b"x" * 3_000_000)
    fetch_verified(f"{url}/file", tmp_path / "got", step)
    assert (tmp_path / "got").read_bytes() == b"x" * 3_000_000
    assert not (tmp_path / "got.part").exists()


def test_a_wrong_sum_is_refused_and_the_file_deleted(site, tmp_path, step):
    """A file that is not the publisher's is deleted, and both sums are named."""
    folder, url = site
    publish(folder, b"changed on the way", sha512="ab" * 64)
    with pytest.raises(ChecksumMismatch, match=r"publisher says abababababababab.*deleted"):
        fetch_verified(f"{url}/file", tmp_path / "got", step)
    assert list(tmp_path.glob("got*")) == []


def test_a_web_page_instead_of_the_checksum_is_refused(site, tmp_path, step):
    """A captive portal answers every request with its login page."""
    folder, url = site
    publish(folder, b"file")
    (folder / "file.sha512").write_text("<html>Please log in</html>")
    with pytest.raises(DownloadFailed, match=r"Please log in.*expected a SHA-512"):
        fetch_verified(f"{url}/file", tmp_path / "got", step)


def test_a_missing_file_is_named_with_the_answer(site):
    """The server's own words are in the message."""
    with pytest.raises(DownloadFailed, match="404"):
        published_sha512(f"{site[1]}/absent")


def test_without_a_network_the_message_says_what_to_check():
    """A server that cannot be reached leads to the network and the proxy."""
    with pytest.raises(DownloadFailed, match="check the network, or the proxy"):
        published_sha512(f"http://127.0.0.1:{free_port()}/file")


def test_a_full_disk_is_seen_before_the_download(site, tmp_path, step, monkeypatch):
    """The message names the folder, what is needed and what is free; nothing is written."""
    folder, url = site
    publish(folder, b"x" * 1_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: DiskUsage(10**9, 10**9, 2_000_000))
    with pytest.raises(NoDiskSpace, match=r"needs 3 MB in .*, where 2 MB are free: free some space"):
        fetch_verified(f"{url}/file", tmp_path / "got", step)
    assert list(tmp_path.glob("got*")) == []


def test_enough_disk_space_passes(tmp_path):
    """A disk with a byte to spare is enough for a byte."""
    require_disk_space(tmp_path, 1, "A byte")
