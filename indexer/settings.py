"""The indexer's settings, each an environment variable."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast, get_args

from mappings.client import ElasticsearchSettings
from mappings.errors import InvalidSetting
from mappings.image_roots import ImageRoots
from ml.artifact import DEFAULT_ARTIFACT
from ml.inference.graph import Backend
from ml.inference.preprocess import MAX_BYTES
from queues.broker import DEFAULT_REDIS_URL, DEFAULT_VISIBILITY_TIMEOUT_S, redis_url, visibility_timeout
from settings.environment import seconds, whole
from settings.numbers import whole_number

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True)
class FetchSettings:
    """How photos are fetched, and from where they never are."""

    threads: int = 16
    """Photos fetched at once by one process; they wait for the network, not for a core."""
    per_host: int = 8
    """Connections to one server at once, so that indexing a shop does not overrun the shop."""
    deadline_s: float = 10.0
    """Seconds for one photo, redirects and the last byte included."""
    idle_s: float = 5.0
    """Seconds without a byte, or without a connection, after which a server counts as unavailable."""
    max_bytes: int = MAX_BYTES
    max_redirects: int = 3
    ports: frozenset[int] = frozenset({80, 443})
    allowed_hosts: frozenset[str] = frozenset()
    """Host names that may have private addresses and other ports: an image server in the same house."""
    allowed_networks: tuple[Network, ...] = ()


@dataclass(frozen=True)
class IndexerSettings:
    """Everything a worker and the command line need to know."""

    elasticsearch: ElasticsearchSettings = field(default_factory=ElasticsearchSettings)
    redis_url: str = field(default=DEFAULT_REDIS_URL, repr=False)
    encoder: Path = DEFAULT_ARTIFACT
    encoder_backend: Backend = "auto"
    encoder_threads: int = 1
    """Two threads beside another busy process encoded 36 pictures/s where one encoded 258: more processes
    scale, more threads do not."""
    decode_threads: int = 2
    """Decoding is work for a core, and a photo of 50 megapixels takes 100 to 900 MB while it
    lasts. Of those from 250 MB up each process decodes one at a time."""
    roots: ImageRoots = field(default_factory=ImageRoots)
    fetch: FetchSettings = FetchSettings()
    chunk: int = 64
    """Events in a message."""
    photo_retries: int = 5
    """Until a photo whose server fails counts as a problem: about half a minute, since waits double."""
    max_retries: int = 20
    """Until events that Elasticsearch does not take are parked: about eight minutes, at half the visibility
    timeout at most between two tries. Full jitter varies: with 8, one chunk in ten gave up within 50 s."""
    visibility_timeout_s: float = DEFAULT_VISIBILITY_TIMEOUT_S
    """Seconds after which Redis gives a message that nobody acknowledged to another worker."""

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> IndexerSettings:
        """From NITAMONO_* and ELASTICSEARCH_* variables.

        Raises:
            InvalidSetting: naming the variable, what was found and what is expected.
        """
        return cls(
            elasticsearch=ElasticsearchSettings.from_environ(environ),
            redis_url=redis_url(environ),
            encoder=Path(environ.get("NITAMONO_ENCODER_DIR") or DEFAULT_ARTIFACT),
            encoder_backend=_backend(environ.get("NITAMONO_ENCODER_BACKEND") or cls.encoder_backend),
            encoder_threads=whole(environ, "NITAMONO_ENCODER_THREADS", cls.encoder_threads),
            decode_threads=whole(environ, "NITAMONO_DECODE_THREADS", cls.decode_threads),
            roots=ImageRoots.from_environ(environ),
            fetch=_fetch_settings(environ),
            chunk=whole(environ, "NITAMONO_BATCH_SIZE", cls.chunk),
            photo_retries=whole(environ, "NITAMONO_PHOTO_MAX_RETRIES", cls.photo_retries, least=0),
            max_retries=whole(environ, "NITAMONO_INDEXING_MAX_RETRIES", cls.max_retries, least=0),
            visibility_timeout_s=visibility_timeout(environ),
        )

    @property
    def prefix(self) -> str:
        """What the names of this deployment's indices, queue and parked events begin with."""
        return self.elasticsearch.prefix

    @property
    def queue(self) -> str:
        """The Celery queue: one for each prefix, so that deployments can share a Redis."""
        return f"nitamono-{self.prefix}"

    @property
    def unacked_key(self) -> str:
        """The Redis hash of the messages that are in a worker's hands."""
        return f"{self.queue}-unacked"

    @property
    def hard_limit_s(self) -> float:
        """Seconds after which a chunk's process is ended: before its message would be given out again."""
        return self.visibility_timeout_s * 5 / 6

    @property
    def soft_limit_s(self) -> float:
        """Seconds after which a chunk is put back for another try, by itself."""
        return self.visibility_timeout_s * 2 / 3

    @property
    def bounded_elasticsearch(self) -> ElasticsearchSettings:
        """The cluster's settings, every try of a request together in a quarter of the visibility timeout,
        so that a chunk notices that Elasticsearch is away before its time limits do."""
        longest = self.visibility_timeout_s / 4 / (self.elasticsearch.max_retries + 1)
        return replace(self.elasticsearch, timeout_s=min(self.elasticsearch.timeout_s, longest))

    @property
    def photo_budget_s(self) -> float:
        """Seconds that the photos of one chunk may take together; those not there by then come back later."""
        return self.visibility_timeout_s / 3

    @property
    def longest_wait_s(self) -> float:
        """The longest wait before a retry. It is spent holding an unacknowledged message, so it stays below
        the visibility timeout."""
        return self.visibility_timeout_s / 2


def _fetch_settings(environ: Mapping[str, str]) -> FetchSettings:
    hosts, networks = _allowed(environ.get("NITAMONO_FETCH_ALLOWED_HOSTS", ""))
    return FetchSettings(
        threads=whole(environ, "NITAMONO_FETCH_THREADS", FetchSettings.threads),
        per_host=whole(environ, "NITAMONO_FETCH_PER_HOST", FetchSettings.per_host),
        deadline_s=seconds(environ, "NITAMONO_FETCH_DEADLINE_S", FetchSettings.deadline_s),
        idle_s=seconds(environ, "NITAMONO_FETCH_IDLE_TIMEOUT_S", FetchSettings.idle_s),
        max_bytes=whole(environ, "NITAMONO_FETCH_MAX_BYTES", FetchSettings.max_bytes),
        ports=_ports(environ.get("NITAMONO_FETCH_PORTS", "")),
        allowed_hosts=hosts,
        allowed_networks=networks,
    )


def _allowed(text: str) -> tuple[frozenset[str], tuple[Network, ...]]:
    """Host names and networks of NITAMONO_FETCH_ALLOWED_HOSTS, `images.internal,10.1.0.0/16`."""
    hosts, networks = set(), []
    for entry in filter(None, (part.strip().lower() for part in text.split(","))):
        try:
            if "/" not in entry and not _is_address(entry):
                hosts.add(entry.encode("idna").decode())  # as the fetcher asks for it
                continue
            networks.append(ipaddress.ip_network(entry))
        except ValueError as error:
            raise InvalidSetting(
                f"NITAMONO_FETCH_ALLOWED_HOSTS has {entry!r}, expected a host name or a network, 10.1.0.0/16"
            ) from error
    return frozenset(hosts), tuple(networks)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _backend(text: str) -> Backend:
    for backend in get_args(Backend):
        if text == backend:
            return cast("Backend", backend)
    raise InvalidSetting(
        f"NITAMONO_ENCODER_BACKEND is {text!r}, expected one of {', '.join(get_args(Backend))}"
    )


def _ports(text: str) -> frozenset[int]:
    if not text.strip():
        return FetchSettings.ports
    try:
        ports = frozenset(whole_number(port.strip()) for port in text.split(","))
    except ValueError as error:
        raise InvalidSetting(
            f"NITAMONO_FETCH_PORTS is {text!r:.60}, expected ports such as 80,443"
        ) from error
    if not all(0 < port < 65536 for port in ports):
        raise InvalidSetting(f"NITAMONO_FETCH_PORTS is {text!r:.60}, expected ports from 1 to 65535")
    return ports
