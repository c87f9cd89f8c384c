"""Work is started before its result is needed, a bounded number of items ahead."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from ml.data.prefetch import prefetch


def test_keeps_order_and_bounds_the_items_in_progress() -> None:
    """Only `limit` items are started before the first result is taken."""
    begun: list[int] = []

    def items() -> Iterator[int]:
        for number in range(100):
            begun.append(number)
            yield number

    with ThreadPoolExecutor(3) as pool:
        squares = prefetch(pool, lambda number: number**2, items(), limit=5)
        assert next(squares) == 0
        assert len(begun) == 6
        assert list(squares) == [number**2 for number in range(1, 100)]


def test_works_while_the_caller_does() -> None:
    """The next item is finished before it is requested."""
    second = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        made = prefetch(pool, lambda event: event.set(), [threading.Event(), second], limit=2)
        next(made)
        assert second.wait(10)


def test_an_error_reaches_the_caller() -> None:
    """An exception of a worker thread is raised."""
    with ThreadPoolExecutor(1) as pool, pytest.raises(ZeroDivisionError):
        list(prefetch(pool, lambda number: 1 // number, [1, 0]))
