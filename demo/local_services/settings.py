"""The settings of the services on one machine."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from annotated_types import Ge
from pydantic import AfterValidator, BeforeValidator

from settings.environment import Port, Variable, Whole, read_settings
from settings.services_file import state_folder

OFFICIAL_ARCHIVES = "https://artifacts.elastic.co/downloads/elasticsearch"


def megabytes(text: str) -> int:
    """Return the MiB that a size such as `512m` or `2g` stands for.

    Raises:
        ValueError: the text has another form.
    """
    match = re.fullmatch(r"([1-9][0-9]{0,5})([mg])", text.lower())
    if match is None:
        raise ValueError("not a size with a unit")
    return int(match[1]) * (1024 if match[2] == "g" else 1)


def without_slash(url: str) -> str:
    """Return the URL without slashes at its end."""
    return url.rstrip("/")


AbsolutePath = Annotated[Path, AfterValidator(Path.absolute)]


@dataclass(frozen=True, kw_only=True)
class ServiceSettings:
    """The services that run on this machine, and their folders and ports."""

    state: Annotated[
        AbsolutePath,
        Variable(
            "NITAMONO_STATE_DIR",
            "The folder of all data, logs and process records.",
            default="`.nitamono` in the clone",
            used_by="`make`, `nitamono`",
        ),
    ]
    cache: Annotated[
        AbsolutePath,
        Variable(
            "NITAMONO_CACHE_DIR",
            "The folder of unpacked Elasticsearch distributions, shared between clones.",
            default="`~/.cache/nitamono`; `/var/cache/nitamono` for root",
        ),
    ]
    archives: Annotated[
        str,
        AfterValidator(without_slash),
        Variable("NITAMONO_ES_ARCHIVES_URL", "The download folder of Elasticsearch, or a mirror of it."),
    ] = OFFICIAL_ARCHIVES
    elasticsearch_url: Annotated[str | None, Variable("ELASTICSEARCH_URL", "")] = None
    elasticsearch_home: Annotated[
        AbsolutePath | None, Variable("ES_HOME", "The folder of an unpacked Elasticsearch to use.")
    ] = None
    elasticsearch_port: Annotated[
        Port,
        Variable(
            "NITAMONO_ES_PORT",
            "The port on 127.0.0.1 of the Elasticsearch that `make up` starts.",
            used_by="`make`, `nitamono`",
        ),
    ] = 9200
    heap_mb: Annotated[
        int,
        BeforeValidator(megabytes),
        Variable(
            "NITAMONO_ES_HEAP",
            "The heap of that Elasticsearch, such as `512m` or `2g`.",
            expected="a size such as 512m or 2g",
            default="`1g`",
        ),
    ] = 1024
    account: Annotated[
        str, Variable("NITAMONO_ES_USER", "The user that runs Elasticsearch if root starts it.")
    ] = "nobody"
    redis_url: Annotated[str | None, Variable("NITAMONO_REDIS_URL", "")] = None
    redis_port: Annotated[
        Port,
        Variable(
            "NITAMONO_REDIS_PORT",
            "The port on 127.0.0.1 of the Redis that `make up` starts.",
            used_by="`make`, `nitamono`",
        ),
    ] = 6379
    api_host: Annotated[str, Variable("NITAMONO_API_HOST", "")] = "127.0.0.1"
    api_port: Annotated[Port, Variable("NITAMONO_API_PORT", "")] = 8000
    worker_processes: Annotated[
        Whole,
        Ge(1),
        Variable(
            "NITAMONO_WORKER_PROCESSES",
            "Processes of the worker of listings, each with an encoder.",
            default="2, or 1 on one core",
        ),
    ]

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> ServiceSettings:
        """Read the settings from the variables that the fields name.

        Raises:
            InvalidSetting: naming the variable, what was found and what is expected.
        """
        defaults = {
            "NITAMONO_STATE_DIR": str(state_folder(environ)),
            "NITAMONO_CACHE_DIR": str(default_cache(environ)),
            "NITAMONO_WORKER_PROCESSES": str(min(2, os.cpu_count() or 1)),
        }
        return read_settings(cls, environ, defaults)


def default_cache(environ: Mapping[str, str], *, as_root: bool | None = None) -> Path:
    """Return where distributions are kept: the system's cache for root, whose home is closed to others."""
    if os.geteuid() == 0 if as_root is None else as_root:
        return Path("/var/cache/nitamono")
    return Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nitamono"
