"""A client of the running API, like a page or an application."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from itertools import islice
from types import TracebackType
from typing import Any, Final
from urllib.parse import quote

import urllib3

from demo.simulation.errors import ApiUnusable
from query.api.parameters import USER_HEADER

BATCH: Final = 150
"""Events in a request: with slates of 24 items they come to 200 kB."""
RETRIES: Final = 4
TIMEOUT_S: Final = 10.0
BUSY: Final = (429, 502, 503, 504)


class Api(AbstractContextManager["Api"]):
    """Requests to one API, at most `concurrency` at once; a busy API is retried. A context manager."""

    def __init__(self, url: str, concurrency: int = 8, backoff_s: float = 0.5) -> None:
        self.url = url
        self.unanswered: Counter[int] = Counter()
        """Requests for similar items without an answer, by HTTP status."""
        retries = urllib3.Retry(
            RETRIES,
            connect=0,
            backoff_factor=backoff_s,
            status_forcelist=BUSY,
            allowed_methods=None,
            raise_on_status=False,
        )
        self._pool = urllib3.PoolManager(maxsize=concurrency, retries=retries, timeout=TIMEOUT_S)
        self._threads = ThreadPoolExecutor(concurrency, thread_name_prefix="buyer")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close all connections."""
        self._threads.shutdown(cancel_futures=True)
        self._pool.clear()

    def similar(self, asked: Sequence[tuple[str, str]], size: int) -> list[dict[str, Any] | None]:
        """Return the answer for each (item id, user id), in their order; None where there is none, counted.

        Raises ApiUnusable.
        """
        return list(self._threads.map(lambda pair: self._similar(pair[0], pair[1], size), asked))

    def _similar(self, item_id: str, user_id: str, size: int) -> dict[str, Any] | None:
        path = f"/v1/listings/{quote(item_id, safe='')}/similar?size={size}"
        status, body = self._request("GET", path, {USER_HEADER: user_id})
        if status != 200:
            self.unanswered[status] += 1
            return None
        return body

    def send(self, events: Iterable[dict[str, Any]]) -> Counter[str]:
        """Send events in batches; return how many were accepted, and rejected by reason code.

        Raises ApiUnusable, also where the API takes no events.
        """
        total: Counter[str] = Counter()
        for sent in self._threads.map(self._send, _batches(events)):
            total += sent
        return total

    def _send(self, batch: list[dict[str, Any]]) -> Counter[str]:
        body = json.dumps({"events": batch}).encode()
        status, answer = self._request("POST", "/v1/events", {"Content-Type": "application/json"}, body)
        if status != 202:
            raise ApiUnusable(f"{self.url}/v1/events answers {status}: {answer.get('detail', answer)}")
        reasons = [rejected["problems"][0]["reason"] for rejected in answer["rejected"]]
        return Counter({"accepted": answer["accepted"]}) + Counter(reasons)

    def _request(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | None = None
    ) -> tuple[int, dict[str, Any]]:
        """Return the status and the JSON of an answer."""
        try:
            answer = self._pool.request(method, f"{self.url}{path}", headers=headers, body=body)
            return answer.status, answer.json()
        except (urllib3.exceptions.HTTPError, ValueError) as error:
            raise ApiUnusable(
                f"{self.url} does not answer as a nitamono API ({error}); start one with `make up`, or name "
                "another"
            ) from error


def _batches(events: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    iterator = iter(events)
    while batch := list(islice(iterator, BATCH)):
        yield batch
