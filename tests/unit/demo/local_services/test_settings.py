"""The settings of the services."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demo.local_services.settings import ServiceSettings, default_cache
from settings.errors import InvalidSetting
from settings.services_file import REPOSITORY


def test_defaults_are_the_documented_ports():
    """With nothing set, the services are on the documented ports and start their own servers."""
    settings = ServiceSettings.from_environ({"HOME": "/home/mika"})
    assert (settings.api_port, settings.elasticsearch_port, settings.redis_port) == (8000, 9200, 6379)
    assert (settings.elasticsearch_url, settings.redis_url, settings.heap_mb) == (None, None, 1024)
    assert settings.state == REPOSITORY / ".nitamono"


@given(st.integers(1, 65535))
def test_every_port_can_be_set(port):
    """Any from 1 to 65535."""
    assert ServiceSettings.from_environ({"NITAMONO_ES_PORT": str(port)}).elasticsearch_port == port


@pytest.mark.parametrize("text", ["0", "65536", "-1", "http", "92 00", "９２００", "1e3"])
def test_an_invalid_port_is_refused(text):
    """The message has the variable, the value and what is expected."""
    with pytest.raises(InvalidSetting, match=r"NITAMONO_API_PORT is .*expected"):
        ServiceSettings.from_environ({"NITAMONO_API_PORT": text})


@pytest.mark.parametrize(("text", "megabytes"), [("512m", 512), ("2g", 2048), ("1G", 1024)])
def test_a_heap_has_a_unit(text, megabytes):
    """The heap reads like Java's -Xmx."""
    assert ServiceSettings.from_environ({"NITAMONO_ES_HEAP": text}).heap_mb == megabytes


@pytest.mark.parametrize("text", ["512", "g", "0m", "1.5g", "-1g"])
def test_a_heap_without_unit_is_refused(text):
    """A bare number would be bytes to Java and megabytes to a person."""
    with pytest.raises(InvalidSetting, match="512m or 2g"):
        ServiceSettings.from_environ({"NITAMONO_ES_HEAP": text})


def test_the_cache_of_root_can_be_read_by_others():
    """Root's home is closed to the user that runs Elasticsearch, so its cache is the system's."""
    assert default_cache({}, as_root=True) == Path("/var/cache/nitamono")
    assert default_cache({"XDG_CACHE_HOME": "/c"}, as_root=False) == Path("/c/nitamono")
    assert default_cache({}, as_root=False) == Path.home() / ".cache" / "nitamono"


def test_an_empty_variable_counts_as_unset():
    """`ELASTICSEARCH_URL= make up` starts a node of our own."""
    settings = ServiceSettings.from_environ({"ELASTICSEARCH_URL": "", "NITAMONO_ES_PORT": "", "ES_HOME": ""})
    assert (settings.elasticsearch_url, settings.elasticsearch_home) == (None, None)
    assert settings.elasticsearch_port == 9200
