"""Finding a JDK, with folders that pretend to be one."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demo.local_services.elasticsearch.jdk import NEEDED_MODULES, Java, find_jdk, inspect, java_homes
from demo.local_services.errors import JdkMissing
from demo.local_services.unprivileged_user import ServiceUser
from tests.unit.demo.local_services.fakes import ALL_MODULES, make_java

CALLER = ServiceUser.caller()


def test_the_newest_usable_jdk_is_taken(tmp_path):
    """Of several JDKs the newest is taken."""
    for name, version in (("java-17-openjdk", "17.0.15"), ("temurin-25", "25.0.1"), ("java-21", "21.0.2")):
        make_java(tmp_path / name, version)
    assert find_jdk({"PATH": ""}, CALLER, folders=[tmp_path]) == tmp_path / "temurin-25"


def test_the_order_is_java_home_then_path_then_folders(tmp_path):
    """JAVA_HOME comes before the PATH's java, which comes before what the system keeps."""
    home, path, kept = (make_java(tmp_path / name) for name in ("home", "path", "kept/25"))
    environ = {"JAVA_HOME": str(home), "PATH": str(path / "bin")}
    assert list(java_homes(environ, [tmp_path / "kept"]))[:3] == [home, path, kept]


def test_a_java_that_is_too_old_is_skipped(tmp_path):
    """A JAVA_HOME of 17 does not stop the search."""
    environ = {"JAVA_HOME": str(make_java(tmp_path / "old", "17.0.15")), "PATH": ""}
    fit = make_java(tmp_path / "kept" / "jdk-21", "21.0.2")
    assert find_jdk(environ, CALLER, folders=[tmp_path / "kept"]) == fit


def test_es_java_home_is_the_only_candidate_if_set(tmp_path):
    """An unusable ES_JAVA_HOME is an error even if another JDK is usable."""
    unfit = make_java(tmp_path / "jre", modules=("java.base",))
    environ = {"ES_JAVA_HOME": str(unfit), "JAVA_HOME": str(make_java(tmp_path / "fit")), "PATH": ""}
    with pytest.raises(
        JdkMissing, match=r"jre \(version 25.0.1 without jdk.incubator.vector and jdk.jlink\)"
    ):
        find_jdk(environ, CALLER, folders=[])


def test_the_message_says_what_was_found_and_what_to_do(tmp_path):
    """Each Java that was found is named with its shortcoming, then how to get a fit one."""
    make_java(tmp_path / "java-17", "17.0.15")
    (tmp_path / "broken" / "bin").mkdir(parents=True)
    (tmp_path / "broken" / "bin" / "java").write_text("no program")
    with pytest.raises(JdkMissing) as caught:
        find_jdk({"PATH": ""}, CALLER, folders=[tmp_path])
    message = str(caught.value)
    assert "java-17 (version 17.0.15, too old)" in message
    assert "broken (does not run)" in message
    assert "ES_JAVA_HOME" in message


def test_without_any_java_the_message_says_so(tmp_path):
    """The message says that there is none."""
    with pytest.raises(JdkMissing, match="no Java at all"):
        find_jdk({"PATH": str(tmp_path)}, CALLER, folders=[tmp_path])


def test_the_same_java_is_inspected_once(tmp_path):
    """A JDK reached by two names is named once."""
    make_java(tmp_path / "java-17", "17.0.1")
    (tmp_path / "default-java").symlink_to(tmp_path / "java-17")
    with pytest.raises(JdkMissing) as caught:
        find_jdk({"PATH": ""}, CALLER, folders=[tmp_path])
    assert str(caught.value).count("too old") == 1


@given(major=st.integers(1, 40), modules=st.sets(st.sampled_from(sorted(NEEDED_MODULES))))
def test_a_usable_jdk_is_new_enough_and_has_all_modules(major, modules):
    """A Java is fit exactly if it is of 21 or later and has both modules."""
    java = Java(Path("/jdk"), f"{major}.0.1", frozenset(modules))
    assert (java.shortcoming is None) == (major >= 21 and modules == NEEDED_MODULES)


@pytest.mark.parametrize("version", ["26-ea", "21", "25.0.1+8"])
def test_versions_with_suffixes_are_read(version):
    """Early-access and build suffixes do not disturb."""
    assert Java(Path("/jdk"), version, NEEDED_MODULES).shortcoming is None


def test_inspecting_reads_version_and_modules(tmp_path):
    """What `java --list-modules` prints is the version and the modules."""
    java = inspect(make_java(tmp_path / "jdk", "21.0.4"), CALLER)
    assert (java.version, java.modules) == ("21.0.4", frozenset(ALL_MODULES))
