"""A client of the running API, as a page or an application is one."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote

import httpcore

from query.api.parameters import USER_HEADER

BATCH: Final = 150
"""Events in a request: of slates of 24 items they come to 200 kB."""
TRIES: Final = 5
PATIENCE_S: Final = 10.0
BUSY: Final = frozenset({429, 502, 503, 504})


class ApiUnusable(Exception):
    """The API does not answer, or refuses what a simulation needs."""


@dataclass
class Api:
    """Requests to one API, at most `concurrency` at once. A context manager."""

    url: str
    concurrency: int = 8
    pause_s: float = 0.5
    """Before a busy API is asked again; longer each time."""
    unanswered: Counter[int] = field(default_factory=Counter)
    """Requests for similar items that got no answer, by HTTP status."""

    def __enter__(self) -> Self:
        """Open."""
        self._pool = httpcore.ConnectionPool(max_connections=self.concurrency)
        self._threads = ThreadPoolExecutor(self.concurrency, thread_name_prefix="buyer")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self._threads.shutdown(cancel_futures=True)
        self._pool.close()

    def similar(self, asked: Sequence[tuple[str, str]], size: int) -> list[dict[str, Any] | None]:
        """The answer for each (item id, user id), in their order; None where the API has none, counted.

        Raises:
            ApiUnusable
        """
        return list(self._threads.map(lambda pair: self._similar(pair[0], pair[1], size), asked))

    def _similar(self, item_id: str, user_id: str, size: int) -> dict[str, Any] | None:
        path = f"/v1/listings/{quote(item_id, safe='')}/similar?size={size}"
        status, body = self._ask("GET", path, [(USER_HEADER, user_id)], b"")
        if status != 200:
            self.unanswered[status] += 1
            return None
        return body

    def send(self, events: Iterable[dict[str, Any]]) -> Counter[str]:
        """Sends events in batches, in their order: how many were accepted, and rejected by reason code.

        Raises:
            ApiUnusable: also where events are off.
        """
        account: Counter[str] = Counter()
        for done in self._threads.map(self._send, _batches(events)):
            account += done
        return account

    def _send(self, batch: list[dict[str, Any]]) -> Counter[str]:
        body = json.dumps({"events": batch}).encode()
        status, answer = self._ask("POST", "/v1/events", [("Content-Type", "application/json")], body)
        if status != 202:
            raise ApiUnusable(f"{self.url}/v1/events answers {status}: {answer.get('detail', answer)}")
        reasons = [rejected["problems"][0]["reason"] for rejected in answer["rejected"]]
        return Counter({"accepted": answer["accepted"]}) + Counter(reasons)

    def _ask(
        self, method: str, path: str, headers: list[tuple[str, str]], body: bytes
    ) -> tuple[int, dict[str, Any]]:
        """The status and the JSON of an answer; a busy API is asked again a few times."""
        for tried in range(1, TRIES + 1):
            try:
                answer = self._pool.request(
                    method,
                    f"{self.url}{path}",
                    headers=headers,
                    content=body,
                    extensions={"timeout": dict.fromkeys(("connect", "read", "write", "pool"), PATIENCE_S)},
                )
                if answer.status not in BUSY or tried == TRIES:
                    return answer.status, json.loads(answer.content)
            except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError) as error:
                if tried == TRIES or isinstance(error, httpcore.ConnectError):
                    raise ApiUnusable(
                        f"{self.url} does not answer ({error!r}); start it with `make up`, or name another"
                    ) from error
            except (httpcore.UnsupportedProtocol, ValueError) as error:
                raise ApiUnusable(f"{self.url}{path}: {error}; expected the URL of a nitamono API") from error
            time.sleep(self.pause_s * tried)
        raise AssertionError("the last try returns or raises")


def _batches(events: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    iterator = iter(events)
    while batch := list(islice(iterator, BATCH)):
        yield batch
