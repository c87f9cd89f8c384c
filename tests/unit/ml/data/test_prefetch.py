"""Work is begun ahead of the one who asks for it, but not far ahead."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from ml.data.prefetch import prefetch


def test_keeps_order_and_bounds_what_is_begun() -> None:
    """However many items there are, only `most` are begun before the first is taken."""
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
    """The next item is done although nobody has asked for it."""
    second = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        made = prefetch(pool, lambda event: event.set(), [threading.Event(), second], limit=2)
        next(made)
        assert second.wait(10)


def test_an_error_reaches_the_caller() -> None:
    """What a worker thread raises is not lost."""
    with ThreadPoolExecutor(1) as pool, pytest.raises(ZeroDivisionError):
        list(prefetch(pool, lambda number: 1 // number, [1, 0]))
