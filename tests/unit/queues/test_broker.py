"""Where the queue is: what is understood, and what is refused without giving a password away."""

from __future__ import annotations

import pytest

from mappings.errors import InvalidSetting
from queues.broker import DEFAULT_REDIS_URL, redis_url, transport_options, visibility_timeout


@pytest.mark.parametrize("url", ["redis://r", "redis://:pw@r:6380/3", "rediss://user:pw@[::1]:6379/0"])
def test_urls_of_redis_are_taken_as_they_are(url: str) -> None:
    """With or without password, port and database."""
    assert redis_url({"NITAMONO_REDIS_URL": url}) == url


def test_without_a_url_it_is_this_machine() -> None:
    """As `make up` has it."""
    assert redis_url({}) == redis_url({"NITAMONO_REDIS_URL": ""}) == DEFAULT_REDIS_URL


@pytest.mark.parametrize(
    "url", ["http://:hidden@r", "redis://:hidden@r:port/0", "redis://:hidden@r/queue", "r"]
)
def test_other_urls_are_refused_without_being_shown(url: str) -> None:
    """They may hold a password."""
    with pytest.raises(InvalidSetting, match="NITAMONO_REDIS_URL is not a URL such as") as caught:
        redis_url({"NITAMONO_REDIS_URL": url})
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize("text", ["soon", "0", "nan", "1e9"])
def test_a_timeout_is_some_seconds(text: str) -> None:
    """And named by its variable where it is not."""
    with pytest.raises(InvalidSetting, match="NITAMONO_VISIBILITY_TIMEOUT"):
        visibility_timeout({"NITAMONO_VISIBILITY_TIMEOUT": text})


def test_lost_messages_are_looked_for_well_before_the_timeout_is_over_again() -> None:
    """Each tenth of it, but not more than once a second."""
    intervals = [transport_options("q", timeout)["unacked_restore_interval"] for timeout in (120.0, 3.0)]
    assert intervals == [12.0, 1.0]
