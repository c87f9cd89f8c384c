"""The Elasticsearch client and its settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

import orjson
from annotated_types import Ge, Le
from elasticsearch import Elasticsearch
from elasticsearch.serializer import CompatibilityModeJsonSerializer
from pydantic import BeforeValidator

from mappings.names import DEFAULT_PREFIX
from settings.environment import Seconds, Variable, Whole, comma_separated, read_settings
from settings.errors import InvalidSetting
from settings.services_file import without_passwords

DEFAULT_URL = "http://127.0.0.1:9200"


@dataclass(frozen=True)
class ElasticsearchSettings:
    """The Elasticsearch cluster, the credentials for it, and the prefix of the indices. Secrets stay out of
    `repr`."""

    urls: Annotated[
        tuple[str, ...],
        BeforeValidator(comma_separated),
        Variable(
            "ELASTICSEARCH_URL",
            "The URL of the cluster, or several separated by commas. If it is set to a server other than its "
            "own, `make up` starts no Elasticsearch.",
            expected=f"URLs such as {DEFAULT_URL}, separated by commas",
        ),
    ] = (DEFAULT_URL,)
    api_key: Annotated[
        str | None,
        Variable("ELASTICSEARCH_API_KEY", "An API key. Set it or a username, not both.", secret=True),
    ] = field(default=None, repr=False)
    username: Annotated[str | None, Variable("ELASTICSEARCH_USERNAME", "The username.")] = None
    password: Annotated[
        str | None, Variable("ELASTICSEARCH_PASSWORD", "The password of the username.", secret=True)
    ] = field(default=None, repr=False)
    ca_certs: Annotated[
        str | None,
        Variable(
            "ELASTICSEARCH_CA_CERTS",
            "The file with the certificate authority to trust.",
            default="those of the operating system",
        ),
    ] = None
    timeout_s: Annotated[
        Seconds, Variable("ELASTICSEARCH_TIMEOUT_S", "Timeout of one request, in seconds.")
    ] = 10.0
    max_retries: Annotated[
        Whole, Ge(0), Le(1000), Variable("ELASTICSEARCH_MAX_RETRIES", "Retries after a failed connection.")
    ] = 2
    prefix: Annotated[
        str, Variable("NITAMONO_INDEX_PREFIX", "The prefix of the names of indices, aliases and queues.")
    ] = DEFAULT_PREFIX

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> ElasticsearchSettings:
        """Read the settings from the variables that the fields name.

        Raises:
            InvalidSetting: a value cannot be used, or both an API key and a username are set.
        """
        settings = read_settings(cls, environ)
        if settings.api_key and settings.username:
            raise InvalidSetting("set ELASTICSEARCH_API_KEY or ELASTICSEARCH_USERNAME, not both")
        return settings


class ResponseReader(CompatibilityModeJsonSerializer):
    """The client's serializer, with responses read by orjson: a quarter of the time for dozens of documents.

    Requests are left to the client: orjson would send NaN as null.
    """

    def json_loads(self, data: bytes) -> Any:
        """Decode JSON; what orjson refuses, such as half of a surrogate pair, as the client does."""
        try:
            return orjson.loads(data)
        except orjson.JSONDecodeError:
            return super().json_loads(data)


def connect(settings: ElasticsearchSettings) -> Elasticsearch:
    """Return a client for the cluster. Nothing is sent yet.

    Raises:
        InvalidSetting: a URL has no scheme or port, or the certificate file is invalid.
    """
    options: dict[str, Any] = {
        "request_timeout": settings.timeout_s,
        "max_retries": settings.max_retries,
        "retry_on_timeout": True,
        "serializers": {ResponseReader.mimetype: ResponseReader()},
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
        certificates = f", ELASTICSEARCH_CA_CERTS is {settings.ca_certs}" if settings.ca_certs else ""
        found = f"ELASTICSEARCH_URL is {','.join(settings.urls)}{certificates}: {error}"
        raise InvalidSetting(without_passwords(found)) from error
