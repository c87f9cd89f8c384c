"""Elasticsearch by Maven, with an mvn that copies a small zip."""

from __future__ import annotations

import pytest

from demo.local_services.elasticsearch.distribution import VERSION
from demo.local_services.elasticsearch.maven import fetch_by_maven, first_error
from demo.local_services.errors import ChecksumMismatch, DownloadFailed
from tests.unit.demo.local_services.fakes import make_maven


@pytest.fixture
def folder(tmp_path):
    """A folder with a space in its name, to fetch into."""
    target = tmp_path / "a target"
    target.mkdir()
    return target


def test_the_zip_is_verified_and_unpacked(tmp_path, folder, step):
    """The programs are executable, which the zip itself does not say."""
    maven, sha512 = make_maven(tmp_path / "maven")
    environ = {"PATH": f"{maven}:/usr/bin:/bin"}
    unpacked = fetch_by_maven(VERSION, sha512, environ, folder, step) / f"elasticsearch-{VERSION}"
    assert (unpacked / "bin" / "elasticsearch").stat().st_mode & 0o111


def test_a_changed_zip_is_refused(tmp_path, folder, step):
    """A zip with another SHA-512 is not unpacked."""
    maven, _ = make_maven(tmp_path / "maven")
    with pytest.raises(ChecksumMismatch, match=r"elasticsearch:9.5.4:zip"):
        fetch_by_maven(VERSION, "0" * 128, {"PATH": f"{maven}:/usr/bin:/bin"}, folder, step)


def test_the_error_of_maven_is_reported(tmp_path, folder, step):
    """The first error of Maven's output is in the message."""
    maven, sha512 = make_maven(tmp_path / "maven", delivers=False, says=r"[ERROR] no route\n[ERROR] help")
    with pytest.raises(DownloadFailed, match=r"Maven says: no route\)"):
        fetch_by_maven(VERSION, sha512, {"PATH": f"{maven}:/usr/bin:/bin"}, folder, step)


def test_a_missing_maven_is_reported_with_how_to_install_it(tmp_path, folder, step):
    """Without mvn the message says how to get it."""
    with pytest.raises(DownloadFailed, match="apt-get install maven"):
        fetch_by_maven(VERSION, "", {"PATH": str(tmp_path)}, folder, step)


@pytest.mark.parametrize(
    ("output", "error"),
    [
        ("\x1b[0m\x1b[0m[ERROR] Could not transfer\n[ERROR] \n", "Could not transfer"),
        ("[ERROR]\n[ERROR] second", "second"),
        ("JAVA_HOME is not set\n\n", "JAVA_HOME is not set"),
        ("", "nothing"),
    ],
)
def test_the_first_error_is_found(output, error):
    """Colours and empty error lines are skipped; without an error it is the last line."""
    assert first_error(output) == error
