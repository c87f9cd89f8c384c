"""The settings of the services on one machine, read from the environment."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from demo.local_services.errors import InvalidSetting
from settings.services_file import state_folder

REPOSITORY = Path(__file__).resolve().parents[2]
OFFICIAL_ARCHIVES = "https://artifacts.elastic.co/downloads/elasticsearch"


@dataclass(frozen=True, kw_only=True)
class ServiceSettings:
    """Which services run where; every field is an environment variable, named beside it."""

    state: Path  # NITAMONO_STATE_DIR: data, logs and pid files of this clone
    cache: Path  # NITAMONO_CACHE_DIR: unpacked distributions, shared between clones
    archives: str  # NITAMONO_ES_ARCHIVES_URL: Elastic's download folder, or a mirror of it
    elasticsearch_url: str | None  # ELASTICSEARCH_URL: a server to use instead of one of our own
    elasticsearch_home: Path | None  # ES_HOME: an unpacked archive
    elasticsearch_port: int  # NITAMONO_ES_PORT
    heap_mb: int  # NITAMONO_ES_HEAP
    account: str  # NITAMONO_ES_USER: who runs Elasticsearch when root starts it
    redis_url: str | None  # NITAMONO_REDIS_URL: a server to use instead of one of our own
    redis_port: int  # NITAMONO_REDIS_PORT
    api_host: str  # NITAMONO_API_HOST: 0.0.0.0 lets others in
    api_port: int  # NITAMONO_API_PORT
    worker_processes: int  # NITAMONO_WORKER_PROCESSES: each holds an encoder of its own

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> ServiceSettings:
        """Return the settings that `environ` asks for. Raises InvalidSetting."""
        home = environ.get("ES_HOME")
        return cls(
            state=state_folder(environ).absolute(),
            cache=Path(environ.get("NITAMONO_CACHE_DIR") or default_cache(environ)).absolute(),
            archives=(environ.get("NITAMONO_ES_ARCHIVES_URL") or OFFICIAL_ARCHIVES).rstrip("/"),
            elasticsearch_url=environ.get("ELASTICSEARCH_URL") or None,
            elasticsearch_home=Path(home).absolute() if home else None,
            elasticsearch_port=_port(environ, "NITAMONO_ES_PORT", 9200),
            heap_mb=_megabytes(environ, "NITAMONO_ES_HEAP", "1g"),
            account=environ.get("NITAMONO_ES_USER") or "nobody",
            redis_url=environ.get("NITAMONO_REDIS_URL") or None,
            redis_port=_port(environ, "NITAMONO_REDIS_PORT", 6379),
            api_host=environ.get("NITAMONO_API_HOST") or "127.0.0.1",
            api_port=_port(environ, "NITAMONO_API_PORT", 8000),
            worker_processes=_whole(environ, "NITAMONO_WORKER_PROCESSES", min(2, os.cpu_count() or 1)),
        )


def default_cache(environ: Mapping[str, str], *, as_root: bool | None = None) -> Path:
    """Return where distributions are kept: the system's cache for root, whose home nobody else can read."""
    if os.geteuid() == 0 if as_root is None else as_root:
        return Path("/var/cache/nitamono")
    return Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nitamono"


def _port(environ: Mapping[str, str], name: str, default: int) -> int:
    port = _whole(environ, name, default)
    if port > 65535:
        raise InvalidSetting(name, str(port), "a port from 1 to 65535")
    return port


def _whole(environ: Mapping[str, str], name: str, default: int) -> int:
    text = environ.get(name) or str(default)
    if not re.fullmatch(r"[0-9]{1,6}", text) or int(text) < 1:
        raise InvalidSetting(name, text, "a whole number of at least 1")
    return int(text)


def _megabytes(environ: Mapping[str, str], name: str, default: str) -> int:
    text = (environ.get(name) or default).lower()
    match = re.fullmatch(r"([1-9][0-9]{0,5})([mg])", text)
    if match is None:
        raise InvalidSetting(name, text, "a size such as 512m or 2g")
    return int(match[1]) * (1024 if match[2] == "g" else 1)
