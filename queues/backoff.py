"""The waits between retries: random below a bound that doubles.

"Full jitter" spreads the retries of many messages the most
(https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/). Decision 155 says why tenacity.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_before_delay,
    wait_random_exponential,
)

from mappings.failures import TransientFailure

FIRST_BOUND_S: Final = 2.0


def full_jitter(longest_s: float) -> wait_random_exponential:
    """Return waits below 2, 4, 8 … seconds, and never above `longest_s`."""
    return wait_random_exponential(multiplier=FIRST_BOUND_S, max=longest_s)


def wait_before(retry: int, longest_s: float) -> float:
    """Return the seconds before a retry, numbered from 1.

    For messages, whose waits Redis and Celery hold (`countdown`), so that no process sleeps through them.
    """
    state = RetryCallState(Retrying(), None, (), {})
    state.attempt_number = retry
    return float(full_jitter(longest_s)(state))


def retrying(
    patience_s: float,
    longest_s: float,
    sleep: Callable[[float], None] = time.sleep,
    errors: tuple[type[Exception], ...] = (TransientFailure,),
) -> Retrying:
    """Return a caller that retries these errors for `patience_s` seconds, then raises the last one."""
    return Retrying(
        retry=retry_if_exception_type(errors),
        wait=full_jitter(longest_s),
        stop=stop_before_delay(patience_s),
        sleep=sleep,
        reraise=True,
    )
