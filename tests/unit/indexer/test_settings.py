"""The indexer's settings."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import pytest

from indexer.settings import IndexerSettings, ProducerSettings
from indexer.worker.app import configuration
from mappings.image_roots import ImageRoots
from queues.messages import PLAIN_JSON
from settings.errors import InvalidSetting


def test_defaults_need_no_environment() -> None:
    """The committed encoder, local services."""
    settings = IndexerSettings.from_environ({})

    assert settings.redis_url == "redis://127.0.0.1:6379/0"
    assert settings.encoder.name == "siglip-lite"
    assert settings.fetch.ports == {80, 443}


def test_hosts_and_networks_can_be_allowed() -> None:
    """A single address is a network of one."""
    settings = IndexerSettings.from_environ(
        {"NITAMONO_FETCH_ALLOWED_HOSTS": "Images.internal, 写真.internal, 10.1.0.0/16,::1"}
    )

    assert settings.fetch.allowed_hosts == {"images.internal", "xn--g7qs82g.internal"}
    assert settings.fetch.allowed_networks == (
        ipaddress.ip_network("10.1.0.0/16"),
        ipaddress.ip_network("::1/128"),
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("NITAMONO_BATCH_SIZE", "0"),
        ("NITAMONO_BATCH_SIZE", "many"),
        ("NITAMONO_INDEXING_MAX_RETRIES", "-1"),
        ("NITAMONO_VISIBILITY_TIMEOUT_S", "soon"),
        ("NITAMONO_VISIBILITY_TIMEOUT_S", "nan"),
        ("NITAMONO_FETCH_PORTS", "http"),
        ("NITAMONO_FETCH_PORTS", "0,80"),
        ("NITAMONO_FETCH_ALLOWED_HOSTS", "10.0.0.0/99"),
        ("NITAMONO_FETCH_ALLOWED_HOSTS", "a..b"),
        ("NITAMONO_ENCODER_BACKEND", "torch"),
        ("NITAMONO_REDIS_URL", "foo"),
        ("NITAMONO_REDIS_URL", "http://127.0.0.1:6379/0"),
        ("NITAMONO_REDIS_URL", "redis://127.0.0.1:port/0"),
        ("NITAMONO_REDIS_URL", "redis://[::1/0"),
        ("NITAMONO_REDIS_URL", "redis://127.0.0.1/queue"),
    ],
)
def test_an_invalid_value_is_refused(name: str, value: str) -> None:
    """The message names the variable."""
    with pytest.raises(InvalidSetting, match=name):
        IndexerSettings.from_environ({name: value})


def test_secrets_stay_out_of_repr() -> None:
    """A Redis URL holds a password."""
    settings = IndexerSettings.from_environ({"NITAMONO_REDIS_URL": "redis://:hush@cache:6379/0"})

    assert "hush" not in repr(settings)
    with pytest.raises(InvalidSetting) as refused:
        IndexerSettings.from_environ({"NITAMONO_REDIS_URL": "redis://:hush/hush@cache:6379/0"})
    assert "hush" not in str(refused.value)


def test_worker_and_command_line_agree_on_the_image_roots_file() -> None:
    """The variable, the state folder that is set, or that of the clone."""
    assert ImageRoots.from_environ({"NITAMONO_IMAGE_ROOTS_FILE": "/a/roots"}).file == Path("/a/roots")
    assert ImageRoots.from_environ({"NITAMONO_STATE_DIR": "/state"}).file == Path("/state/image-roots")
    default = IndexerSettings.from_environ({}).roots.file
    assert default is not None
    assert default.parts[-2:] == (".nitamono", "image-roots")


def test_the_visibility_timeout_is_the_longest_limit() -> None:
    """A retry's wait and both time limits end before Redis gives the message to another worker."""
    settings = IndexerSettings(visibility_timeout_s=60)
    config = configuration(settings)

    assert config["broker_transport_options"]["visibility_timeout"] == 60
    assert settings.photo_budget_s < config["task_soft_time_limit"] < config["task_time_limit"] < 60
    assert settings.longest_wait_s < 60
    assert config["task_acks_late"]
    assert config["accept_content"] == ["json", PLAIN_JSON]


def test_a_command_does_not_read_the_settings_of_the_worker() -> None:
    """A wrong limit of the worker does not keep listings from being sent."""
    environ = {"NITAMONO_FETCH_PORTS": "http", "NITAMONO_BATCH_SIZE": "10"}
    assert ProducerSettings.from_environ(environ).batch_size == 10
    with pytest.raises(InvalidSetting, match="NITAMONO_FETCH_PORTS is 'http'"):
        IndexerSettings.from_environ(environ)
