"""What an operator sets for the API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from events.user_ids import user_salt
from mappings.client import ElasticsearchSettings
from mappings.image_roots import ImageRoots
from queues.broker import DEFAULT_REDIS_URL, redis_url
from settings.environment import whole

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8000


@dataclass(frozen=True)
class QuerySettings:
    """Where the API listens, what it reads, and which folders it may show photos from."""

    elasticsearch: ElasticsearchSettings = field(default_factory=ElasticsearchSettings)
    image_roots: ImageRoots = field(default_factory=ImageRoots)
    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    workers: int = 2
    threads: int = 4
    access_log: bool = False
    redis_url: str = field(default=DEFAULT_REDIS_URL, repr=False)
    experiments: Path | None = None
    """The folder of the experiments' files; without it none runs."""
    user_salt: str | None = field(default=None, repr=False)
    """What ids of users are hashed with; without it there are neither events nor experiments."""
    reports: Path | None = None
    """The folder of experiments' reports, a folder each; without it none are shown."""

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> QuerySettings:
        """From NITAMONO_API_HOST, _PORT, _WORKERS, _THREADS, _ACCESS_LOG (1 or 0), NITAMONO_EXPERIMENTS_DIR,
        NITAMONO_USER_SALT, NITAMONO_REDIS_URL, NITAMONO_REPORTS_DIR, and those of Elasticsearch and
        photos read.

        Raises:
            InvalidSetting: a number that is none or out of range, or what the other settings raise.
        """
        return cls(
            elasticsearch=ElasticsearchSettings.from_environ(environ),
            image_roots=ImageRoots.from_environ(environ),
            host=environ.get("NITAMONO_API_HOST") or DEFAULT_HOST,
            port=whole(environ, "NITAMONO_API_PORT", cls.port, 1, 65_535),
            workers=whole(environ, "NITAMONO_API_WORKERS", cls.workers, 1, 64),
            threads=whole(environ, "NITAMONO_API_THREADS", cls.threads, 1, 64),
            access_log=bool(whole(environ, "NITAMONO_API_ACCESS_LOG", 0, 0, 1)),
            experiments=_folder(environ, "NITAMONO_EXPERIMENTS_DIR"),
            user_salt=user_salt(environ),
            redis_url=redis_url(environ),
            reports=_folder(environ, "NITAMONO_REPORTS_DIR"),
        )


def _folder(environ: Mapping[str, str], name: str) -> Path | None:
    return Path(folder) if (folder := environ.get(name)) else None
