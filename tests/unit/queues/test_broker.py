"""Settings of the broker: valid URLs and timeouts, and errors that show no password."""

from __future__ import annotations

import pytest

from events.worker.settings import EventSettings
from queues.broker import DEFAULT_REDIS_URL, transport_options
from settings.errors import InvalidSetting


@pytest.mark.parametrize("url", ["redis://r", "redis://:pw@r:6380/3", "rediss://user:pw@[::1]:6379/0"])
def test_redis_urls_are_returned_unchanged(url: str) -> None:
    """With or without password, port and database."""
    assert EventSettings.from_environ({"NITAMONO_REDIS_URL": url}).redis_url == url


def test_without_a_url_it_is_this_machine() -> None:
    """As `make up` has it."""
    for environ in ({}, {"NITAMONO_REDIS_URL": ""}):
        assert EventSettings.from_environ(environ).redis_url == DEFAULT_REDIS_URL


@pytest.mark.parametrize(
    "url", ["http://:hidden@r", "redis://:hidden@r:port/0", "redis://:hidden@r/queue", "r"]
)
def test_other_urls_are_refused_without_being_repeated(url: str) -> None:
    """They may hold a password."""
    with pytest.raises(InvalidSetting, match=r"NITAMONO_REDIS_URL has .*, expected a URL such as") as caught:
        EventSettings.from_environ({"NITAMONO_REDIS_URL": url})
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize("text", ["soon", "0", "nan", "1e9"])
def test_an_invalid_timeout_is_refused(text: str) -> None:
    """The message names the variable."""
    with pytest.raises(InvalidSetting, match="NITAMONO_VISIBILITY_TIMEOUT_S"):
        EventSettings.from_environ({"NITAMONO_VISIBILITY_TIMEOUT_S": text})


def test_the_restore_interval_is_a_tenth_of_the_timeout() -> None:
    """But at least a second."""
    intervals = [transport_options("q", timeout)["unacked_restore_interval"] for timeout in (120.0, 3.0)]
    assert intervals == [12.0, 1.0]
