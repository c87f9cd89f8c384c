"""A server of S3 on this machine, with one bucket."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer
from s3fs import S3FileSystem

from tests.free_port import free_port

BUCKET = "shop"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "NO_PROXY": "127.0.0.1",
}


@dataclass(frozen=True)
class S3Server:
    """A running server."""

    url: str
    client: Any = field(repr=False)

    @property
    def environ(self) -> dict[str, str]:
        """The environment in which clients find it."""
        return {**CREDENTIALS, "AWS_ENDPOINT_URL": self.url}

    def put(self, key: str, content: bytes) -> str:
        """Store an object and return its URL."""
        self.client.put_object(Bucket=BUCKET, Key=key, Body=content)
        return f"s3://{BUCKET}/{key}"


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """A running server, whose clients in this process find it by the environment."""
    port = free_port()
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    server.start()
    with pytest.MonkeyPatch.context() as patch:
        url = f"http://127.0.0.1:{port}"
        for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": url}.items():
            patch.setenv(name, value)
        client = boto3.client("s3", endpoint_url=url)
        client.create_bucket(Bucket=BUCKET)
        S3FileSystem.clear_instance_cache()  # whose one instance has the address of another server
        yield S3Server(url, client)
    server.stop()
