"""The settings that both workers share."""

from __future__ import annotations

import pytest

from mappings.client import ElasticsearchSettings
from queues.settings import QueueSettings


@pytest.mark.parametrize(
    ("timeout_s", "retries", "within_s", "expected_s"),
    [(10.0, 2, 30.0, 10.0), (10.0, 2, 15.0, 5.0), (10.0, 0, 15.0, 10.0), (2.0, 3, 60.0, 2.0)],
)
def test_all_attempts_of_a_request_end_within_a_time(
    timeout_s: float, retries: int, within_s: float, expected_s: float
) -> None:
    """The timeout is shortened where necessary, never extended."""
    cluster = ElasticsearchSettings(timeout_s=timeout_s, max_retries=retries, prefix="shop")
    bounded = QueueSettings(cluster).elasticsearch_within(within_s)
    assert bounded.timeout_s == expected_s
    assert (bounded.max_retries, bounded.prefix) == (retries, "shop")


def test_a_task_ends_before_its_message_is_delivered_again() -> None:
    """Else two workers would process it."""
    assert QueueSettings(visibility_timeout_s=120).hard_limit_s == 100
