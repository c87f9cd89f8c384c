"""Checks of external servers, and the index that must be live before a worker starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import redis
from elasticsearch import ApiError, AuthenticationException, AuthorizationException, TransportError

from demo.local_services.errors import UnusableServer
from mappings.client import ElasticsearchSettings, connect
from mappings.identity import EncoderIdentity
from mappings.lifecycle import ensure_live_index


@dataclass(frozen=True)
class LiveIndex:
    """The index of one encoder on one Elasticsearch."""

    settings: ElasticsearchSettings
    encoder: EncoderIdentity

    @classmethod
    def from_environ(cls, environ: Mapping[str, str], encoder: Path) -> LiveIndex:
        """Return the index for the artifact in the folder `encoder`. Raises ContractError."""
        return cls(ElasticsearchSettings.from_environ(environ), EncoderIdentity.from_artifact(encoder))

    def ensure(self) -> None:
        """Create a live index if there is none. Raises ContractError if one has another encoder."""
        with connect(self.settings) as es:
            ensure_live_index(es, self.settings.prefix, self.encoder)

    def require_elasticsearch(self) -> None:
        """Raise UnusableServer unless an Elasticsearch 9.x answers and accepts the credentials."""
        versions = self._versions()
        if not all(version.startswith("9.") for version in versions):
            raise self._unusable(f"it is of version {', '.join(sorted(versions))}")

    def _versions(self) -> set[str]:
        try:
            with connect(self.settings) as es:
                nodes = es.nodes.info(node_id="_local", filter_path="nodes.*.version")
        except AuthorizationException:
            return set()  # it accepts the credentials; reading its version takes another privilege
        except AuthenticationException as error:
            raise self._unusable("it refuses the credentials") from error
        except (ApiError, TransportError) as error:
            raise self._unusable(f"it does not answer ({error})") from error
        return {node["version"] for node in nodes.get("nodes", {}).values()}

    def _unusable(self, found: str) -> UnusableServer:
        urls = ",".join(self.settings.urls)
        return UnusableServer(
            "ELASTICSEARCH_URL", urls, found, "an Elasticsearch 9.x that accepts the credentials"
        )


def require_redis(url: str) -> None:
    """Raise UnusableServer unless a Redis answers at `url`."""
    try:
        with redis.Redis.from_url(url, socket_timeout=5, socket_connect_timeout=5) as client:
            client.ping()
    except (redis.RedisError, ValueError) as error:
        raise UnusableServer("NITAMONO_REDIS_URL", url, f"it does not answer ({error})", "a Redis") from error
