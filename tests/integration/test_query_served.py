"""The API behind gunicorn: photos, limits, and an Elasticsearch that goes and comes."""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from elasticsearch import Elasticsearch
from PIL import Image

from indexer.worker.pipeline.documents import EncodedPhoto, to_document
from mappings.aliases import swap_aliases
from mappings.creation import create_index
from query.api.server import GUNICORN
from tests.factories import make_identity, make_listing
from tests.free_port import free_port

COMMAND = [sys.executable, "-m", *GUNICORN]
PICTURE = EncodedPhoto((1.0, 0.0, 0.0, 0.0), "0" * 16)


class Server:
    """A gunicorn on a port of its own."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.process, self.port = process, port

    def get(self, path: str, **headers: str) -> tuple[int, http.client.HTTPMessage, bytes]:
        """Status, headers and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, answer.headers, body

    def wait(self, path: str, status: int, patience_s: float = 40) -> None:
        """Until the path answers with the status."""
        deadline = time.monotonic() + patience_s
        while (found := self._status(path)) != status:
            assert time.monotonic() < deadline, f"{path} still answers {found}, not {status}"
            assert self.process.poll() is None, "gunicorn ended"
            time.sleep(0.2)

    def _status(self, path: str) -> int | None:
        try:
            return self.get(path)[0]
        except OSError:
            return None


@contextmanager
def gunicorn(url: str, prefix: str, roots: Path, timeout_s: float = 10) -> Iterator[Server]:
    """The API, started as its module says, and ended."""
    port = free_port()
    environ = os.environ | {
        "ELASTICSEARCH_URL": url,
        "ELASTICSEARCH_TIMEOUT_S": str(timeout_s),
        "NITAMONO_INDEX_PREFIX": prefix,
        "NITAMONO_IMAGE_ROOTS": str(roots),
        "NITAMONO_API_PORT": str(port),
        "NITAMONO_API_WORKERS": "1",
    }
    process = subprocess.Popen(COMMAND, env=environ, stderr=subprocess.DEVNULL)
    server = Server(process, port)
    try:
        server.wait("/healthz", 200)
        yield server
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0, "gunicorn does not end gracefully"


def picture() -> bytes:
    stream = io.BytesIO()
    Image.effect_noise((80, 80), 90).convert("RGB").save(stream, "PNG")
    return stream.getvalue()


def open_shop(es: Elasticsearch, prefix: str, *images: str) -> None:
    """A live index with one listing that has these photos."""
    index = create_index(es, prefix, make_identity())
    swap_aliases(es, prefix, index)
    document = to_document(make_listing(images=list(images)), PICTURE, "colour-00000001")
    es.index(index=index, id="m1", document=document.to_source(), refresh=True)


def test_photos_are_served_whole_and_once(
    es: Elasticsearch, elasticsearch_url: str, index_prefix: str, tmp_path: Path
) -> None:
    """Byte for byte, with a type told by content and a tag that spares the next transfer."""
    content = picture()
    assert len(content) > 8192, "small files hide what buffers do to sendfile"
    (tmp_path / "photo.jpg").write_bytes(content)
    (tmp_path / "page.jpg").write_bytes(b"<html><script>alert(1)</script>")
    images = ("photo.jpg", "page.jpg", "../../etc/passwd", "https://example.com/x.jpg")
    open_shop(es, index_prefix, *images)
    with gunicorn(elasticsearch_url, index_prefix, tmp_path) as server:
        status, headers, body = server.get("/photos/m1/0")
        assert (status, body) == (200, content)
        assert headers["Content-Type"] == "image/png"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "max-age=300" in headers["Cache-Control"]
        status, _, body = server.get("/photos/m1/0", **{"If-None-Match": headers["ETag"]})
        assert (status, body) == (304, b"")
        for number in (1, 2, 3, 4):
            status, headers, body = server.get(f"/photos/m1/{number}")
            assert status == 404
            assert headers["Content-Type"] == "application/problem+json"
            assert b"root:" not in body
        status, headers, body = server.get(
            "/photos/m1/1", Accept="image/webp,image/svg+xml,image/*,*/*;q=0.8"
        )
        assert (status, headers["Content-Type"]) == (404, "image/svg+xml")
        assert body.startswith(b"<svg")


def test_requests_have_limits(elasticsearch_url: str, index_prefix: str, tmp_path: Path) -> None:
    """A line or a header beyond reason is refused before the application sees it."""
    with gunicorn(elasticsearch_url, index_prefix, tmp_path) as server:
        assert server.get("/healthz?" + "x" * 9000)[0] == 414
        assert server.get("/healthz", **{"X-Long": "x" * 9000})[0] == 431
        assert server.get("/healthz")[0] == 200


class Line:
    """A TCP line to a server that can be cut, go silent, and be mended, at one address."""

    def __init__(self, url: str) -> None:
        self.target = urlsplit(url)
        self.port = free_port()
        self.silent = threading.Event()
        self._open: list[socket.socket] = []

    @property
    def url(self) -> str:
        """Where to reach the server over this line."""
        return f"http://127.0.0.1:{self.port}"

    def mend(self) -> None:
        """Take connections."""
        self.silent.clear()
        listener = socket.create_server(("127.0.0.1", self.port))
        self._open.append(listener)
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def cut(self) -> None:
        """End all connections and refuse new ones."""
        for end in self._open:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self._open.clear()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.create_connection((self.target.hostname, self.target.port))
                self._open += [near, far]
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=self._pass_on, args=(source, sink), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if not self.silent.is_set():
                    sink.sendall(data)


def test_it_recovers_when_elasticsearch_does(
    es: Elasticsearch, elasticsearch_url: str, index_prefix: str, tmp_path: Path
) -> None:
    """Without it, 503 with Retry-After, in time even if it is silent; with it, answers, without a restart."""
    open_shop(es, index_prefix)
    line = Line(elasticsearch_url)
    with gunicorn(line.url, index_prefix, tmp_path, timeout_s=1) as server:
        expect_unavailable(server)
        for end in (line.cut, line.silent.set):
            line.mend()
            server.wait("/v1/listings/m1/similar", 200)
            end()
            expect_unavailable(server)
            line.cut()
        line.mend()
        server.wait("/v1/listings/m1/similar", 200)
        line.cut()


def expect_unavailable(server: Server) -> None:
    """Said to whoever asks, while the process itself is well."""
    status, headers, body = server.get("/v1/listings/m1/similar")
    assert (status, headers["Retry-After"]) == (503, "5")
    assert json.loads(body)["type"] == "urn:nitamono:problem:search-unavailable"
    assert server.get("/readyz")[0] == 503
    assert server.get("/healthz")[0] == 200


@pytest.mark.parametrize("variable", ["NITAMONO_API_PORT", "ELASTICSEARCH_TIMEOUT_S"])
def test_a_wrong_setting_ends_the_start_with_its_name(variable: str, tmp_path: Path) -> None:
    """Not with a server that fails later."""
    result = subprocess.run(
        COMMAND, env=os.environ | {variable: "many"}, capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode != 0
    assert f"{variable} is 'many'" in result.stderr
