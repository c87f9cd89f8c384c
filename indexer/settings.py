"""The settings of the worker of listings and of the commands that send listings to it."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from annotated_types import Ge, Le
from pydantic import BeforeValidator

from mappings.client import ElasticsearchSettings
from mappings.image_roots import ImageRoots
from ml.artifact import DEFAULT_ARTIFACT
from ml.inference.graph import Backend
from ml.inference.preprocess import MAX_BYTES
from queues.listings.names import listing_queue
from queues.rabbitmq import BrokerUrl
from queues.settings import QueueSettings
from settings.encoder import EmbeddingsFolder, EncoderFolder, FurtherEncoders
from settings.environment import Port, Seconds, Unit, Variable, Whole, comma_separated

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Count = Annotated[Whole, Ge(1)]
_BUCKET = re.compile(r"(s3|gs)://[a-z0-9][a-z0-9._-]{1,220}(/[^,]*)?")
Retries = Annotated[Whole, Ge(0)]


ALLOWED = Variable(
    "NITAMONO_FETCH_ALLOWED_HOSTS",
    "Hosts and networks that may have private addresses and other ports, such as "
    "`images.internal,10.1.0.0/16`.",
    expected="host names and networks, such as images.internal,10.1.0.0/16",
)


def host_names(text: str) -> frozenset[str]:
    """Return the host names in a comma-separated list of names and networks, as the fetcher asks for them.

    Raises:
        ValueError: a name that no host can have.
    """
    names = (entry.lower() for entry in comma_separated(text) if not _is_network(entry))
    return frozenset(name.encode("idna").decode() for name in names)


def networks(text: str) -> tuple[Network, ...]:
    """Return the networks in a comma-separated list of names and networks. An address is a network of one.

    Raises:
        ValueError: a network that there cannot be.
    """
    return tuple(ipaddress.ip_network(entry) for entry in comma_separated(text) if _is_network(entry))


def bucket_prefixes(text: str) -> tuple[str, ...]:
    """Return the buckets in a comma-separated list, or prefixes in them, each with a slash at its end.

    Raises:
        ValueError: an entry is not the URL of a bucket.
    """
    found = comma_separated(text)
    if not all(_BUCKET.fullmatch(entry) for entry in found):
        raise ValueError("not a list of buckets")
    return tuple(f"{entry.rstrip('/')}/" for entry in found)


@dataclass(frozen=True)
class FetchSettings:
    """Limits on fetching photos, and the addresses that may be fetched from."""

    threads: Annotated[
        Count,
        Variable("NITAMONO_FETCH_THREADS", "Photos that one process fetches at the same time."),
    ] = 16
    per_host: Annotated[
        Count,
        Variable(
            "NITAMONO_FETCH_PER_HOST", "Photos that one process fetches from one host at the same time."
        ),
    ] = 8
    deadline_s: Annotated[
        Seconds, Variable("NITAMONO_FETCH_DEADLINE_S", "Timeout of one photo with its redirects, in seconds.")
    ] = 10.0
    idle_s: Annotated[
        Seconds,
        Variable(
            "NITAMONO_FETCH_IDLE_TIMEOUT_S",
            "Seconds without a byte or a connection after which a host counts as unavailable.",
        ),
    ] = 5.0
    max_bytes: Annotated[
        Count, Unit("bytes"), Variable("NITAMONO_FETCH_MAX_BYTES", "The largest photo, in bytes.")
    ] = MAX_BYTES
    max_redirects: int = 3
    cache_dir: Annotated[
        Path | None,
        Variable(
            "NITAMONO_PHOTO_CACHE_DIR",
            "A folder in which workers keep fetched photos, so that one that is fetched again is only "
            "sent if it has changed. None are kept without it.",
        ),
    ] = None
    cache_bytes: Annotated[
        Count,
        Unit("bytes"),
        Variable(
            "NITAMONO_PHOTO_CACHE_MAX_BYTES",
            "The size of that folder; the photos that were used least recently are deleted first.",
        ),
    ] = 1_000_000_000
    ports: Annotated[
        frozenset[Port],
        BeforeValidator(comma_separated),
        Variable(
            "NITAMONO_FETCH_PORTS",
            "The ports that photos may be fetched from.",
            expected="ports from 1 to 65535, such as 80,443",
            default="`80,443`",
        ),
    ] = frozenset({80, 443})
    allowed_hosts: Annotated[frozenset[str], BeforeValidator(host_names), ALLOWED] = frozenset()
    allowed_networks: Annotated[tuple[Network, ...], BeforeValidator(networks), ALLOWED] = ()
    buckets: Annotated[
        tuple[str, ...],
        BeforeValidator(bucket_prefixes),
        Variable(
            "NITAMONO_PHOTO_BUCKETS",
            "Buckets, or prefixes in them, that photos may be read from, such as "
            "`s3://shop-photos,gs://shop/photos`. Credentials and endpoint come from the variables of their "
            "libraries: `AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT_URL` and `GOOGLE_APPLICATION_CREDENTIALS`.",
            expected="buckets or prefixes in them, such as s3://shop-photos,gs://shop/photos",
        ),
    ] = ()


@dataclass(frozen=True)
class ProducerSettings(QueueSettings):
    """The settings of commands that send listings to the worker."""

    encoder: EncoderFolder = DEFAULT_ARTIFACT
    embeddings: EmbeddingsFolder = None
    roots: ImageRoots = field(default_factory=ImageRoots)
    batch_size: Annotated[
        Whole,
        Ge(1),
        Le(1000),
        Variable(
            "NITAMONO_BATCH_SIZE",
            "Listings in one message and in one chunk of the worker, and photos in one batch of the encoder.",
            used_by="`nitamono index`, worker of listings",
        ),
    ] = 64

    broker_url: BrokerUrl = field(default="", repr=False)
    sql_url: Annotated[
        str,
        Variable(
            "NITAMONO_SQL_URL",
            "The database that `--query` reads, as a URL of SQLAlchemy ([listing files](listing-files.md)).",
            used_by="`nitamono index`",
            secret=True,
        ),
    ] = field(default="", repr=False)

    @property
    def queue(self) -> str:
        """The Celery queue."""
        return listing_queue(self.prefix)

    @property
    def soft_limit_s(self) -> float:
        """Seconds after which a task puts its message back for another try."""
        return self.visibility_timeout_s * 2 / 3


@dataclass(frozen=True)
class IndexerSettings(ProducerSettings):
    """The settings of the worker of listings: those of its commands, and its limits."""

    further_encoders: FurtherEncoders = ()

    encoder_backend: Annotated[
        Backend,
        Variable(
            "NITAMONO_ENCODER_BACKEND",
            "The inference library: `cuda` (an NVIDIA GPU, with onnxruntime-gpu), `openvino` or "
            "`onnxruntime`. `auto` uses the first that works; a named backend must work, or the worker does "
            "not start. If the machine computes bf16 or int8 wrongly, float32 is used, with a warning; "
            "if float32 is wrong too, the worker does not start.",
        ),
    ] = "auto"
    # Two threads next to another busy process encoded 36 photos/s where one encoded 258.
    encoder_threads: Annotated[
        Count,
        Variable(
            "NITAMONO_ENCODER_THREADS",
            "Threads of the encoder in each process. Add processes rather than threads.",
        ),
    ] = 1
    # A photo of 50 megapixels takes 100 to 900 MB. Each process decodes those from 250 MB up one at a time.
    decode_threads: Annotated[
        Count, Variable("NITAMONO_DECODE_THREADS", "Threads that decode photos in each process.")
    ] = 2
    fetch: FetchSettings = field(default_factory=FetchSettings)
    photos_per_listing: Annotated[
        Count,
        Variable(
            "NITAMONO_PHOTOS_PER_LISTING",
            "First photos of a listing whose mean vector stands for it. With 1 the first photo does. "
            "An index that was created with `--photos` has a vector for each photo instead.",
        ),
    ] = 1
    placeholder_sellers: Annotated[
        Retries,
        Variable(
            "NITAMONO_PLACEHOLDER_SELLERS",
            "Sellers from which on a photo is a placeholder, unless most of its listings are in one leaf "
            "category: listings with it are indexed without a vector. 0 for never.",
        ),
    ] = 15
    # About half a minute, since waits double.
    photo_retries: Annotated[
        Retries,
        Variable(
            "NITAMONO_PHOTO_MAX_RETRIES",
            "Retries of a photo whose host fails, before its listing is indexed without a vector.",
        ),
    ] = 5
    # About eight minutes, with at most half the visibility timeout between two tries. Full jitter varies:
    # with 8 retries, one message in ten was parked within 50 s.
    max_retries: Annotated[
        Retries,
        Variable(
            "NITAMONO_INDEXING_MAX_RETRIES",
            "Retries of a message while Elasticsearch is unavailable, before its events are parked in Redis.",
        ),
    ] = 20

    outcome_stream_length: Annotated[
        Whole,
        Ge(0),
        Le(10_000_000),
        Variable(
            "NITAMONO_OUTCOME_STREAM_LENGTH",
            "About how many entries the [stream of outcomes](http-ingest.md#outcomes-for-producers) keeps; "
            "0 turns it off.",
        ),
    ] = 0

    @property
    def encoders(self) -> tuple[Path, ...]:
        """The folders of all encoders."""
        return tuple(dict.fromkeys((self.encoder, *self.further_encoders)))

    @property
    def bounded_elasticsearch(self) -> ElasticsearchSettings:
        """The cluster's settings, with all tries of a request in a quarter of the visibility timeout.

        So a task notices that Elasticsearch is unavailable before its time limits end it.
        """
        return self.elasticsearch_within(self.visibility_timeout_s / 4)

    @property
    def photo_budget_s(self) -> float:
        """Seconds for all photos of one message; those that are missing then are retried later."""
        return self.visibility_timeout_s / 3

    @property
    def longest_wait_s(self) -> float:
        """The longest wait before a retry, in seconds.

        A task holds its unacknowledged message meanwhile, so the wait is shorter than the visibility timeout.
        """
        return self.visibility_timeout_s / 2


def _is_network(text: str) -> bool:
    """Whether the text is meant as a network or an address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return "/" in text
    return True
