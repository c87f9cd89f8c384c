"""The Elasticsearch client and its settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from elasticsearch import Elasticsearch

from mappings.errors import InvalidSetting
from mappings.names import DEFAULT_PREFIX
from settings.environment import seconds, whole

DEFAULT_URL = "http://127.0.0.1:9200"


@dataclass(frozen=True)
class ElasticsearchSettings:
    """Where the cluster is and how to be let in. Secrets stay out of `repr`."""

    urls: tuple[str, ...] = (DEFAULT_URL,)
    api_key: str | None = field(default=None, repr=False)
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_certs: str | None = None
    timeout_s: float = 10.0
    max_retries: int = 2
    prefix: str = DEFAULT_PREFIX

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> ElasticsearchSettings:
        """From ELASTICSEARCH_URL (several between commas), ELASTICSEARCH_API_KEY, _USERNAME, _PASSWORD,
        _CA_CERTS, _TIMEOUT (seconds), _MAX_RETRIES, and NITAMONO_INDEX_PREFIX.

        Raises:
            InvalidSetting: a number that is none, or an API key beside a username.
        """
        urls = tuple(url.strip() for url in environ.get("ELASTICSEARCH_URL", "").split(",") if url.strip())
        settings = cls(
            urls=urls or (DEFAULT_URL,),
            api_key=environ.get("ELASTICSEARCH_API_KEY") or None,
            username=environ.get("ELASTICSEARCH_USERNAME") or None,
            password=environ.get("ELASTICSEARCH_PASSWORD") or None,
            ca_certs=environ.get("ELASTICSEARCH_CA_CERTS") or None,
            timeout_s=seconds(environ, "ELASTICSEARCH_TIMEOUT_S", cls.timeout_s),
            max_retries=whole(environ, "ELASTICSEARCH_MAX_RETRIES", cls.max_retries, 0, 1000),
            prefix=environ.get("NITAMONO_INDEX_PREFIX") or cls.prefix,
        )
        if settings.api_key and settings.username:
            raise InvalidSetting("set ELASTICSEARCH_API_KEY or ELASTICSEARCH_USERNAME, not both")
        return settings


def connect(settings: ElasticsearchSettings) -> Elasticsearch:
    """A client for the cluster. Nothing is sent yet.

    Raises:
        InvalidSetting: a URL without scheme or port, or a file of certificates that is none.
    """
    options: dict[str, Any] = {
        "request_timeout": settings.timeout_s,
        "max_retries": settings.max_retries,
        "retry_on_timeout": True,
    }
    if settings.api_key:
        options["api_key"] = settings.api_key
    elif settings.username:
        options["basic_auth"] = (settings.username, settings.password or "")
    if settings.ca_certs:
        options["ca_certs"] = settings.ca_certs
    try:
        return Elasticsearch(list(settings.urls), **options)
    except (ValueError, OSError) as error:
        raise InvalidSetting(
            f"ELASTICSEARCH_URL is {','.join(settings.urls)}, "
            f"ELASTICSEARCH_CA_CERTS is {settings.ca_certs}: {error}"
        ) from error
