"""Which Elasticsearch is used, and the error if there is none."""

from __future__ import annotations

import io
import multiprocessing
from pathlib import Path

import pytest

from demo.local_services.elasticsearch import distribution
from demo.local_services.elasticsearch.distribution import (
    VERSION,
    Distribution,
    obtain,
    require_elasticsearch_9,
)
from demo.local_services.errors import JdkMissing, NoElasticsearch, UnusableDistribution
from demo.local_services.progress import Progress
from demo.local_services.settings import ServiceSettings
from demo.local_services.unprivileged_user import ServiceUser
from tests.unit.demo.local_services.fakes import make_distribution, make_java, make_maven, publish_archive

CALLER = ServiceUser.caller()
NOWHERE = "http://127.0.0.1:9"  # the discard port, on which nothing listens


def obtain_with(tmp_path: Path, stream: io.StringIO | None = None, **environment: str) -> Distribution:
    """Obtain Elasticsearch with a cache in `tmp_path` and this environment."""
    environ = {"PATH": "/usr/bin:/bin", "NITAMONO_CACHE_DIR": str(tmp_path / "cache"), **environment}
    environ.setdefault("NITAMONO_ES_ARCHIVES_URL", NOWHERE)
    settings = ServiceSettings.from_environ(environ)
    return obtain(settings, environ, CALLER, Progress(stream or io.StringIO()))


def test_an_es_home_with_its_own_jdk_is_taken_as_it_is(tmp_path):
    """ES_HOME comes before all else, and the JDK inside it is used."""
    home = make_distribution(tmp_path / "home", with_jdk=True)
    assert obtain_with(tmp_path, ES_HOME=str(home)) == Distribution(home, jdk=None)


def test_an_es_home_without_a_jdk_gets_the_one_of_the_machine(tmp_path):
    """A distribution without Java runs on the JDK that is found."""
    home, java = make_distribution(tmp_path / "home", with_jdk=False), make_java(tmp_path / "jdk")
    found = obtain_with(tmp_path, ES_HOME=str(home), ES_JAVA_HOME=str(java))
    assert found == Distribution(home, jdk=java)


def test_a_wrong_es_home_is_an_error(tmp_path):
    """It is an error, even if the archive could be downloaded."""
    with pytest.raises(UnusableDistribution, match=r"no such folder.*ES_HOME"):
        obtain_with(tmp_path, ES_HOME=str(tmp_path / "absent"))


@pytest.mark.parametrize(
    ("version", "fit"), [("9.5.4", True), ("9.4.3", True), ("8.19.0", False), ("", False)]
)
def test_only_version_9_is_accepted(tmp_path, version, fit):
    """The version is read from the name of the jar, not from that of the folder."""
    home = make_distribution(tmp_path / "home", with_jdk=True, version=version)
    if fit:
        require_elasticsearch_9(home)
    else:
        with pytest.raises(UnusableDistribution, match=f"version {version or 'unknown'}"):
            require_elasticsearch_9(home)


def test_the_archive_is_fetched_once_and_then_cached(site, tmp_path):
    """The second time nothing is fetched: the server may be gone."""
    folder, url = site
    archive = publish_archive(folder, url)
    first = obtain_with(tmp_path, NITAMONO_ES_ARCHIVES_URL=url)
    archive.unlink()
    assert (
        obtain_with(tmp_path) == first == Distribution(tmp_path / "cache" / f"elasticsearch-{VERSION}", None)
    )


def test_the_cache_can_be_read_by_another_user(site, tmp_path):
    """Files that only their owner may read in the archive are readable for the user that runs the node."""
    folder, url = site
    publish_archive(folder, url)
    home = obtain_with(tmp_path, NITAMONO_ES_ARCHIVES_URL=url).home
    modes = {path.name: path.stat().st_mode & 0o777 for path in home.rglob("*")}
    assert (modes["jvm.options"], modes["elasticsearch"], modes["config"]) == (0o644, 0o755, 0o755)


def test_a_changed_archive_leaves_the_cache_empty(site, tmp_path):
    """Without Maven there is no Elasticsearch then; the message has the reason of each source."""
    folder, url = site
    publish_archive(folder, url, sha512="0" * 128)
    with pytest.raises(NoElasticsearch) as caught:
        obtain_with(
            tmp_path,
            NITAMONO_ES_ARCHIVES_URL=url,
            PATH=_only_tar(tmp_path),
            ES_JAVA_HOME=str(make_java(tmp_path / "j")),
        )
    assert "publisher says 0000000000000000" in str(caught.value)
    assert "mvn is not on the PATH" in str(caught.value)
    assert [entry.name for entry in (tmp_path / "cache").iterdir()] == ["lock"]


def test_maven_is_used_where_elastic_cannot_be_reached(tmp_path, monkeypatch):
    """One line says that Elastic's archive could not be fetched, then Maven provides its build."""
    maven, sha512 = make_maven(tmp_path / "maven")
    monkeypatch.setattr(distribution, "MAVEN_SHA512", sha512)
    java, stream = make_java(tmp_path / "jdk"), io.StringIO()
    found = obtain_with(tmp_path, stream, PATH=f"{maven}:/usr/bin:/bin", ES_JAVA_HOME=str(java))
    assert found == Distribution(tmp_path / "cache" / f"elasticsearch-{VERSION}-small", java)
    said = stream.getvalue().splitlines()
    assert said[0].startswith(f"Elastic's archive: {NOWHERE}/elasticsearch-")
    assert said[1].startswith("Fetching Elasticsearch 9.5.4 by Maven")


def test_a_missing_jdk_is_reported_before_maven_downloads(tmp_path):
    """Without a JDK Maven's build is of no use: it is not fetched, and the message asks for the JDK."""
    maven, _ = make_maven(tmp_path / "maven")
    with pytest.raises(NoElasticsearch, match=r"Maven: Elasticsearch needs a JDK of 21 or later"):
        obtain_with(tmp_path, PATH=f"{maven}:/usr/bin:/bin", ES_JAVA_HOME=str(tmp_path / "absent"))


def test_an_es_home_without_any_jdk_is_an_error(tmp_path):
    """For an ES_HOME without Java on a machine without Java, the message asks for a JDK."""
    home = make_distribution(tmp_path / "home", with_jdk=False)
    with pytest.raises(JdkMissing):
        obtain_with(tmp_path, ES_HOME=str(home), ES_JAVA_HOME=str(tmp_path / "absent"))


def _obtain_from(tmp_path: Path, url: str, answers: multiprocessing.Queue) -> None:
    answers.put(str(obtain_with(tmp_path, NITAMONO_ES_ARCHIVES_URL=url).home))


def test_two_processes_fill_the_cache_once(site, tmp_path):
    """Two clones at the same time end with the same whole folder and no draft beside it."""
    folder, url = site
    publish_archive(folder, url)
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    processes = [context.Process(target=_obtain_from, args=(tmp_path, url, answers)) for _ in range(2)]
    for process in processes:
        process.start()
    homes = {answers.get(timeout=60) for _ in processes}
    for process in processes:
        process.join(10)
    assert homes == {str(tmp_path / "cache" / f"elasticsearch-{VERSION}")}
    assert sorted(entry.name for entry in (tmp_path / "cache").iterdir()) == [
        f"elasticsearch-{VERSION}",
        "lock",
    ]


def _only_tar(tmp_path: Path) -> str:
    """Return a PATH on which there is no mvn."""
    folder = tmp_path / "path"
    folder.mkdir()
    (folder / "tar").symlink_to("/bin/tar")
    return str(folder)
