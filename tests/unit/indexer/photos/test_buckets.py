"""Photos in buckets, on a server of S3 and on servers that fail."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from indexer.errors import PhotoGone, PhotoRefused, PhotoUnavailable, PhotoUnusable
from indexer.photos.fetch import PhotoFetcher
from indexer.settings import FetchSettings, bucket_prefixes
from mappings.image_roots import ImageRoots
from tests.photo_server import PhotoServer, drip_body, photo_server, serve, silence
from tests.s3_server import BUCKET, CREDENTIALS, S3Server, s3_server

ALLOWED = FetchSettings(buckets=bucket_prefixes(f"s3://{BUCKET}/photos"), max_bytes=10)


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    """A server of S3."""
    with s3_server() as server:
        yield server


@pytest.fixture
def fetcher() -> PhotoFetcher:
    """A fetcher that may read one prefix of one bucket."""
    return PhotoFetcher(ALLOWED, ImageRoots())


def test_a_photo_of_an_allowed_bucket_is_read(s3: S3Server, fetcher: PhotoFetcher) -> None:
    """Whatever characters its key has; an empty one is read, too, and refused by the decoder."""
    photo = s3.put("photos/皿 1%20#?.jpg", b"0123456789")
    assert fetcher.fetch(photo) == b"0123456789"
    assert fetcher.fetch(photo.replace("s3:", "S3:")) == b"0123456789"
    assert fetcher.fetch(s3.put("photos/empty.jpg", b"")) == b""


def test_a_missing_photo_is_gone_and_a_large_one_unusable(s3: S3Server, fetcher: PhotoFetcher) -> None:
    """Both for good."""
    with pytest.raises(PhotoGone, match=f"photo_gone: .*s3://{BUCKET}/photos/none.jpg"):
        fetcher.fetch(f"s3://{BUCKET}/photos/none.jpg")
    with pytest.raises(PhotoUnusable, match=r"photo_too_large.*at most 10 bytes"):
        fetcher.fetch(s3.put("photos/large.jpg", b"01234567890"))


@pytest.mark.parametrize(
    "reference",
    [
        f"s3://{BUCKET}/photos-of-others/a.jpg",
        f"s3://{BUCKET}/photos",
        f"s3://{BUCKET}/secret.txt",
        f"s3://{BUCKET}/photos/../secret.txt",
        "s3://another/photos/a.jpg",
        f"gs://{BUCKET}/photos/a.jpg",
    ],
)
def test_nothing_outside_of_the_allowed_prefixes_is_read(
    s3: S3Server, fetcher: PhotoFetcher, reference: str
) -> None:
    """Although the credentials of the worker would allow it."""
    s3.put("secret.txt", b"secret")
    with pytest.raises(PhotoRefused, match=f"photo_bucket_not_allowed.*below s3://{BUCKET}/photos/"):
        fetcher.fetch(reference)
    with pytest.raises(PhotoRefused, match="set NITAMONO_PHOTO_BUCKETS"):
        PhotoFetcher(FetchSettings(), ImageRoots()).fetch(reference)


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Iterator[PhotoServer]:
    """A server in the place of S3 that answers as the test says."""
    with photo_server() as server:
        for name, value in CREDENTIALS.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        yield server


def error(code: str) -> bytes:
    """The body of an error of S3."""
    return f"<Error><Code>{code}</Code><Message>Sorry.</Message></Error>".encode()


def fetcher_within(seconds: float) -> PhotoFetcher:
    """A fetcher with another deadline: s3fs tries again until it ends."""
    return PhotoFetcher(replace(ALLOWED, deadline_s=seconds), ImageRoots())


PHOTO = f"/{BUCKET}/photos/a.jpg"


@pytest.mark.parametrize(
    ("status", "code", "failure"),
    [
        (503, "SlowDown", PhotoUnavailable),
        (429, "TooManyRequests", PhotoUnavailable),
        (500, "InternalError", PhotoUnavailable),
        (403, "AccessDenied", PhotoRefused),
        (404, "NoSuchBucket", PhotoGone),
    ],
)
def test_the_error_decides_whether_to_retry(
    broken: PhotoServer, status: int, code: str, failure: type[Exception]
) -> None:
    """Throttled and failing are transient; denied and gone are permanent."""
    broken.url(PHOTO, serve(error(code), status))
    with pytest.raises(failure):
        fetcher_within(1 if failure is PhotoUnavailable else 30).fetch(f"s3:/{PHOTO}")


@pytest.mark.parametrize(
    ("status", "body", "failure"),
    [
        (200, b"0123456789", None),
        (416, b"Request range not satisfiable", None),
        (404, b"", PhotoGone),
        (403, b'{"error": {"message": "no"}}', PhotoRefused),
        (401, b'{"error": {"message": "no"}}', PhotoRefused),
        (429, b'{"error": {"message": "slow"}}', PhotoUnavailable),
        (503, b"", PhotoUnavailable),
        (200, b"01234567890", PhotoUnusable),
    ],
)
def test_photos_of_google_cloud_storage_fail_alike(
    status: int, body: bytes, failure: type[Exception] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a server that answers as Google's does, since there is none to install."""
    with photo_server() as server:
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{server.server_port}")
        server.url("/download/storage/v1/b/shop/o/photos%2F%E7%9A%BF%20a.jpg?alt=media", serve(body, status))
        deadline = 1 if failure is PhotoUnavailable else 30
        settings = replace(ALLOWED, buckets=bucket_prefixes("gs://shop/photos"), deadline_s=deadline)
        fetcher = PhotoFetcher(settings, ImageRoots())
        if failure is None:
            assert fetcher.fetch("gs://shop/photos/皿 a.jpg") == (body if status == 200 else b"")
        else:
            with pytest.raises(failure):
                fetcher.fetch("gs://shop/photos/皿 a.jpg")


def test_a_photo_has_a_deadline(broken: PhotoServer) -> None:
    """Whether nothing comes or a byte now and then; it is retried, since a bucket is the operator's own."""
    settings = FetchSettings(buckets=ALLOWED.buckets, deadline_s=0.5, idle_s=0.3)
    for answer in (silence, drip_body):
        broken.url(PHOTO, answer)
        with pytest.raises(PhotoUnavailable):
            PhotoFetcher(settings, ImageRoots()).fetch(f"s3:/{PHOTO}")


def test_a_server_that_does_not_answer_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing listens there."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        for name, value in CREDENTIALS.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{unused.getsockname()[1]}")
        settings = FetchSettings(buckets=ALLOWED.buckets, deadline_s=1)
        with pytest.raises(PhotoUnavailable):
            PhotoFetcher(settings, ImageRoots()).fetch(f"s3:/{PHOTO}")


def test_many_threads_read_at_once(s3: S3Server, fetcher: PhotoFetcher) -> None:
    """As those of a worker do."""
    photos = [s3.put(f"photos/{number}.jpg", str(number).encode()) for number in range(20)]
    found: dict[str, bytes] = {}
    threads = [
        threading.Thread(target=lambda photo=photo: found.update({photo: fetcher.fetch(photo)}))
        for photo in photos
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {photo: str(number).encode() for number, photo in enumerate(photos)}


@pytest.mark.parametrize("text", ["shop", "https://shop/", "s3://", "s3://Shop"])
def test_a_list_of_buckets_has_buckets(text: str) -> None:
    """A bucket without its scheme could be either's."""
    with pytest.raises(ValueError, match="not a list of buckets"):
        bucket_prefixes(text)
    assert bucket_prefixes("s3://a-b, gs://c.d/e/") == ("s3://a-b/", "gs://c.d/e/")
