"""Servers that were given: which are used and which are refused."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from demo.local_services.errors import UnusableServer
from demo.local_services.live_index import LiveIndex, require_redis
from mappings.client import ElasticsearchSettings
from mappings.identity import EncoderIdentity
from tests.free_port import free_port

ENCODER = EncoderIdentity(encoder_id="test-1", dims=4, similarity_mean=0.5, similarity_spread=0.1)


@contextmanager
def server_that_says(status: int, body: object) -> Iterator[LiveIndex]:
    """The index on a server that answers everything with this."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("X-Elastic-Product", "Elasticsearch")
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *_: object) -> None:
            """Write nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield index_at(f"http://127.0.0.1:{server.server_address[1]}")
        server.shutdown()
        thread.join()


def index_at(url: str) -> LiveIndex:
    """The index on the server at `url`."""
    return LiveIndex(ElasticsearchSettings(urls=(url,), max_retries=0), ENCODER)


@pytest.mark.parametrize("version", ["9.5.4", "9.2.0"])
def test_a_server_of_9_is_used(version):
    """Any 9.x will do."""
    with server_that_says(200, {"nodes": {"n1": {"version": version}}}) as index:
        index.require_elasticsearch()


def test_a_server_of_8_is_refused():
    """The version that was found is named."""
    with (
        server_that_says(200, {"nodes": {"n1": {"version": "8.19.1"}}}) as index,
        pytest.raises(UnusableServer, match=r"ELASTICSEARCH_URL is .* of version 8\.19\.1; expected .* 9\.x"),
    ):
        index.require_elasticsearch()


def test_refused_credentials_are_reported():
    """Wrong credentials are not reported as an unreachable server."""
    with (
        server_that_says(401, {"error": {"type": "security_exception"}, "status": 401}) as index,
        pytest.raises(UnusableServer, match="it refuses the credentials"),
    ):
        index.require_elasticsearch()


def test_a_server_that_hides_its_version_is_used():
    """An API key without the right to look at nodes is enough for everything else."""
    with server_that_says(403, {"error": {"type": "security_exception"}, "status": 403}) as index:
        index.require_elasticsearch()


def test_an_unreachable_server_is_reported():
    """The variable and its value are named, and what happens if it is unset."""
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(UnusableServer, match=rf"ELASTICSEARCH_URL is {url}, but it does not answer.*unset"):
        index_at(url).require_elasticsearch()


@pytest.mark.parametrize("url", ["redis://127.0.0.1:{port}/0", "http://not-redis"])
def test_an_unusable_redis_is_reported(url):
    """For an unreachable Redis and an invalid URL the message names the variable."""
    url = url.format(port=free_port())
    with pytest.raises(UnusableServer, match=r"NITAMONO_REDIS_URL is .* expected a Redis"):
        require_redis(url)
