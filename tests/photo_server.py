"""A server of photos on this machine that can misbehave in every way a photo server does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from weakref import WeakSet

Answer = Callable[[BaseHTTPRequestHandler], None]


class PhotoServer(ThreadingHTTPServer):
    """Answers each path as the test said, and remembers what was asked for."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: dict[str, Answer] = {}
        self.requests: list[str] = []
        self.connections = 0
        self.together = 0
        self.most_together = 0
        self.lock = threading.Lock()
        self.stopping = threading.Event()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Count the connection."""
        self.connections += 1
        super().process_request(request, client_address)

    def url(self, path: str, answer: Answer, host: str = "127.0.0.1") -> str:
        """The URL of a path that is answered so."""
        self.answers[path] = answer
        return f"http://{host}:{self.server_port}{path}"


class _Handler(BaseHTTPRequestHandler):
    server: PhotoServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answers as the test said."""
        with self.server.lock:
            self.server.requests.append(self.path)
            self.server.together += 1
            self.server.most_together = max(self.server.most_together, self.server.together)
        try:
            self.server.answers[self.path](self)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the client had enough, as it should
        finally:
            with self.server.lock:
                self.server.together -= 1

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing: the test says what it expects."""


@contextmanager
def photo_server() -> Iterator[PhotoServer]:
    """A running server."""
    server = PhotoServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        server.stopping.set()
        server.shutdown()
        thread.join()
        server.server_close()


def serve(body: bytes, status: int = 200, /, **headers: str) -> Answer:
    """The body, at once, announced with its own length unless `Content_Length` is among the headers."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in ({"Content_Length": str(len(body))} | headers).items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def redirect(location: str, status: int = 302) -> Answer:
    """A redirect to the location."""
    return serve(b"", status, Location=location)


def versioned(body: bytes, **validators: str) -> Answer:
    """The body with `ETag` or `Last_Modified`, or 304 if the request has the same."""
    conditions = {"ETag": "If-None-Match", "Last_Modified": "If-Modified-Since"}
    full, not_modified = serve(body, **validators), serve(b"", 304)

    def answer(handler: BaseHTTPRequestHandler) -> None:
        same = all(handler.headers[conditions[name]] == value for name, value in validators.items())
        (not_modified if same else full)(handler)

    return answer


def once_a_connection(answer: Answer) -> Answer:
    """The answer to the first request of a connection, which the second one closes."""
    answered: WeakSet[BaseHTTPRequestHandler] = WeakSet()  # one handles a connection

    def first(handler: BaseHTTPRequestHandler) -> None:
        if handler in answered:
            handler.close_connection = True
        else:
            answered.add(handler)
            answer(handler)

    return first


def silence(handler: BaseHTTPRequestHandler) -> None:
    """Nothing at all, for longer than anybody waits."""
    _server(handler).stopping.wait(30)


def drip_headers(handler: BaseHTTPRequestHandler) -> None:
    """A header line every tenth of a second, for ever."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    while not _server(handler).stopping.wait(0.1):
        handler.wfile.write(b"X-Wait: a little\r\n")


def drip_body(handler: BaseHTTPRequestHandler) -> None:
    """A byte every tenth of a second, for ever."""
    handler.send_response(200)
    handler.end_headers()
    while not _server(handler).stopping.wait(0.1):
        handler.wfile.write(b"x")


def endless_body(handler: BaseHTTPRequestHandler) -> None:
    """Bytes as fast as they are taken, for ever."""
    handler.send_response(200)
    handler.end_headers()
    while not _server(handler).stopping.is_set():
        handler.wfile.write(b"x" * 65_536)


def broken_off(handler: BaseHTTPRequestHandler) -> None:
    """Half of what was announced, and then the connection closes."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b"x" * 500)
    handler.close_connection = True


def after(seconds: float, answer: Answer) -> Answer:
    """The answer, later."""

    def later(handler: BaseHTTPRequestHandler) -> None:
        time.sleep(seconds)
        answer(handler)

    return later


def _server(handler: BaseHTTPRequestHandler) -> PhotoServer:
    server = handler.server
    assert isinstance(server, PhotoServer)
    return server
