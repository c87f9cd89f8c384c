"""The configuration of the node and where it lies."""

from __future__ import annotations

import io
import os
import shutil
from types import SimpleNamespace

import psutil
import pytest
import yaml

from demo.local_services.elasticsearch import node
from demo.local_services.elasticsearch.distribution import VERSION, Distribution
from demo.local_services.elasticsearch.node import (
    answers_searches,
    elasticsearch_service,
    erase_node,
    launch,
    node_folder,
)
from demo.local_services.errors import TooLittleMemory
from demo.local_services.progress import Progress
from demo.local_services.settings import ServiceSettings
from demo.local_services.state import StateFolder
from demo.local_services.unprivileged_user import ServiceUser, service_user
from tests.free_port import free_port
from tests.unit.demo.local_services.fakes import make_distribution, make_java

CALLER = ServiceUser.caller()
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@pytest.fixture
def state(tmp_path):
    """An empty state folder with a space and a quote in its name; a folder elsewhere is deleted with it."""
    opened = StateFolder.open(tmp_path / "mika's state")
    yield opened
    erase_node(opened)


def make_settings(state, **environment):
    """Settings for this state folder."""
    return ServiceSettings.from_environ({"NITAMONO_STATE_DIR": str(state.path), **environment})


def launch_with(state, tmp_path, environ, *, with_jdk=True, user=CALLER):
    """The launch of a fake distribution."""
    home = make_distribution(tmp_path / "home", with_jdk=with_jdk)
    distribution = Distribution(home, None if with_jdk else tmp_path / "jdk")
    settings = make_settings(state, **environ)
    return launch(distribution, node_folder(state, user), user, settings, environ)


def test_the_configuration_is_a_loopback_node_with_our_folders(state, tmp_path):
    """The file that Elasticsearch reads names the port, the loopback address and folders below the state."""
    launch_with(state, tmp_path, {"NITAMONO_ES_PORT": "9333"})
    read = yaml.safe_load((state.elasticsearch / "config" / "elasticsearch.yml").read_text())
    assert (read["http.port"], read["network.host"], read["discovery.type"]) == (
        9333,
        "127.0.0.1",
        "single-node",
    )
    assert read["path.data"] == str(state.elasticsearch.resolve() / "data")
    assert read["action.auto_create_index"] is False


def test_only_settings_of_the_small_distribution_are_used(state, tmp_path):
    """Maven's build knows few modules, and an unknown setting stops the start."""
    launch_with(state, tmp_path, {})
    read = yaml.safe_load((state.elasticsearch / "config" / "elasticsearch.yml").read_text())
    assert {name.split(".")[0] for name in read} == {
        "cluster", "node", "discovery", "network", "http", "xpack", "action", "path",
    }  # fmt: skip
    assert [name for name in read if name.startswith("xpack")] == ["xpack.security.enabled"]


def test_the_environment_is_the_nodes_own(state, tmp_path):
    """The heap and the temporary folder are ours; the caller's JVM options and secrets do not get in."""
    environ = {"PATH": "/usr/bin", "JAVA_TOOL_OPTIONS": "-Xmx9g", "SECRET": "s", "NITAMONO_ES_HEAP": "512m"}
    environment = launch_with(state, tmp_path, environ).environment
    assert environment["ES_JAVA_OPTS"] == "-Xms512m -Xmx512m"
    assert environment["ES_TMPDIR"] == str(state.elasticsearch.resolve() / "tmp")
    assert {"JAVA_TOOL_OPTIONS", "SECRET", "ES_JAVA_HOME"}.isdisjoint(environment)


def test_a_distribution_without_java_gets_es_java_home(state, tmp_path):
    """ES_JAVA_HOME is set exactly where no JDK is inside."""
    assert launch_with(state, tmp_path, {}, with_jdk=False).environment["ES_JAVA_HOME"] == str(
        tmp_path / "jdk"
    )


def test_the_node_is_in_the_state_folder(state):
    """For an ordinary user the data is below the state folder, the second time too."""
    assert node_folder(state, CALLER) == node_folder(state, CALLER) == state.elasticsearch.resolve()
    assert not state.elasticsearch.is_symlink()


@as_root
def test_a_closed_clone_keeps_a_link_to_the_node(state, tmp_path):
    """Below a folder that is closed to others the node lies elsewhere; erasing it takes the link along."""
    tmp_path.chmod(0o700)
    nobody = service_user("nobody")
    folder = node_folder(state, nobody)
    assert state.elasticsearch.is_symlink()
    assert tmp_path not in folder.parents
    assert node_folder(state, nobody) == folder
    erase_node(state)
    assert not folder.exists()
    assert not state.elasticsearch.is_symlink()


@as_root
def test_a_deleted_node_folder_is_made_again(state, tmp_path):
    """A link that leads nowhere, because the system cleared its temporary folder, is replaced."""
    tmp_path.chmod(0o700)
    nobody = service_user("nobody")
    first = node_folder(state, nobody)
    shutil.rmtree(first)
    assert node_folder(state, nobody) != first


@as_root
def test_an_unreadable_distribution_is_copied(state, tmp_path):
    """Elasticsearch in root's closed home is copied to where the user can run it, once."""
    tmp_path.chmod(0o700)
    nobody = service_user("nobody")
    command = launch_with(state, tmp_path, {}, user=nobody).command[0]
    assert command == str(
        state.elasticsearch.resolve() / f"elasticsearch-{VERSION}" / "bin" / "elasticsearch"
    )
    assert nobody.can_read(
        state.elasticsearch.resolve() / f"elasticsearch-{VERSION}" / "config" / "jvm.options"
    )


def test_too_little_memory_is_reported_before_the_start(state, tmp_path, monkeypatch):
    """The message names what is needed, what is there, and the setting that makes it less."""
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=700_000_000))
    service = elasticsearch_service(make_settings(state), state, {})
    with pytest.raises(
        TooLittleMemory, match=r"heap of 1024 MB needs 1.6 GB .* 700 MB is available.*NITAMONO_ES_HEAP"
    ):
        service.prepare(Progress(io.StringIO()))


def test_preparing_takes_the_given_home(state, tmp_path, monkeypatch):
    """The node's program is that of ES_HOME, with the JDK of ES_JAVA_HOME."""
    monkeypatch.setattr(node, "service_user", lambda _: CALLER)
    home, java = make_distribution(tmp_path / "home", with_jdk=False), make_java(tmp_path / "jdk")
    environ = {
        "ES_HOME": str(home),
        "ES_JAVA_HOME": str(java),
        "PATH": "/usr/bin:/bin",
        "NITAMONO_ES_HEAP": "1m",
    }
    prepared = elasticsearch_service(make_settings(state, **environ), state, environ).prepare(
        Progress(io.StringIO())
    )
    assert prepared.command[0].endswith("bin/elasticsearch")
    assert prepared.environment["ES_JAVA_HOME"] == str(java)


def test_a_node_that_does_not_answer_is_not_healthy(site):
    """Neither a free port nor another server counts as a node."""
    assert not answers_searches(f"http://127.0.0.1:{free_port()}", "listings-read")
    assert not answers_searches(site[1], "listings-read")


def test_a_changed_port_or_heap_is_another_identity(state):
    """A running node is replaced when its port or heap is set anew."""
    identities = {
        elasticsearch_service(make_settings(state, **environ), state, {}).identity
        for environ in ({}, {"NITAMONO_ES_PORT": "9201"}, {"NITAMONO_ES_HEAP": "2g"})
    }
    assert len(identities) == 3
