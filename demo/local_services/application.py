"""Our own processes: workers that write listings and events, and the API."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from pathlib import Path

import redis
from celery import Celery
from kombu.exceptions import OperationalError

from demo.local_services.ports import LOOPBACK, answers_ok, status_of
from demo.local_services.processes import Launch, Service
from demo.local_services.settings import ServiceSettings
from demo.local_services.state import StateFolder
from demo.local_services.unprivileged_user import ServiceUser
from query.api.server import GUNICORN
from settings.encoder import DEFAULT_ENCODER
from settings.services_file import REPOSITORY

PACKAGES = (
    "mappings",
    "ml",
    "cache",
    "queues",
    "monitoring",
    "events",
    "indexer",
    "experiments",
    "query",
    "settings",
    "telemetry",
)
SETTINGS = ("NITAMONO_", "ELASTICSEARCH_", "OMP_")
OF_THE_API = frozenset(
    {
        "NITAMONO_API_ACCESS_LOG",
        "NITAMONO_API_HOST",
        "NITAMONO_API_PORT",
        "NITAMONO_API_THREADS",
        "NITAMONO_API_WORKERS",
        "NITAMONO_ATTRIBUTE_BOOST",
        "NITAMONO_CACHE_ANSWERS",
        "NITAMONO_CACHE_TTL_S",
        "NITAMONO_COLLAPSE_DUPLICATES",
        "NITAMONO_CORS_ORIGINS",
        "NITAMONO_DIVERSITY",
        "NITAMONO_EXPERIMENTS_DIR",
        "NITAMONO_FRESHNESS",
        "NITAMONO_HTTP_MAX_AGE_S",
        "NITAMONO_MIN_SIMILARITY",
        "NITAMONO_POPULARITY",
        "NITAMONO_PUBLIC_READ",
        "NITAMONO_QUEUE_LIMIT",
        "NITAMONO_RANKING_FILE",
        "NITAMONO_RATE_LIMIT_PER_ADDRESS",
        "NITAMONO_RATE_LIMIT_PER_KEY",
        "NITAMONO_REPORTS_DIR",
        "NITAMONO_SELLER_CAP",
        "NITAMONO_TRUSTED_PROXIES",
        "NITAMONO_USER_SALT",
    }
)
"""The settings that no worker reads: a change restarts the API only."""

LISTINGS_REQUEST = "/v1/listings?size=1"
WORKER_GRACE = 120.0  # seconds to finish the current batch; an interrupted one is delivered again


def application_environment(
    environ: Mapping[str, str],
    settings: ServiceSettings,
    state: StateFolder,
    *,
    elasticsearch: str,
    redis: str,
) -> dict[str, str]:
    """Return the environment in which our commands and processes find the services of `state`."""
    return {
        **environ,
        "ELASTICSEARCH_URL": elasticsearch,
        "NITAMONO_REDIS_URL": redis,
        "NITAMONO_STATE_DIR": str(state.path),
        "NITAMONO_IMAGE_ROOTS_FILE": str(state.image_roots),
        "NITAMONO_ENCODER_DIR": str(encoder_folder(environ)),
        "NITAMONO_ES_PORT": str(settings.elasticsearch_port),
        "NITAMONO_REDIS_PORT": str(settings.redis_port),
        "NITAMONO_API_HOST": settings.api_host,
        "NITAMONO_API_PORT": str(settings.api_port),
        "NITAMONO_USER_SALT": environ.get("NITAMONO_USER_SALT") or _kept_salt(state.user_salt),
        "NITAMONO_EXPERIMENTS_DIR": environ.get("NITAMONO_EXPERIMENTS_DIR") or str(state.experiments),
        "NITAMONO_REPORTS_DIR": environ.get("NITAMONO_REPORTS_DIR") or str(state.reports),
    }


def _kept_salt(path: Path) -> str:
    """Return the salt in `path`, which the first call makes."""
    if not path.exists():
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_hex(32), encoding="ascii")
        with contextlib.suppress(FileExistsError):  # another command has just made it
            os.link(draft, path)
        draft.unlink()
    return path.read_text(encoding="ascii")


def encoder_folder(environ: Mapping[str, str]) -> Path:
    """Return the folder of the encoder artifact that the index is made for."""
    return Path(environ.get("NITAMONO_ENCODER_DIR") or DEFAULT_ENCODER).absolute()


def worker_service(
    environment: Mapping[str, str], state: StateFolder, *, processes: int, name: str = "worker"
) -> Service:
    """Return a Celery worker of `processes` processes, each with an encoder."""
    title = f"Worker of {encoder_folder(environment).name}"
    return _celery_service(environment, state, "indexer.worker.app", title, name, processes)


def events_service(
    environment: Mapping[str, str], state: StateFolder, *, processes: int = 1, name: str = "events"
) -> Service:
    """Return the Celery worker that stores events. It has no encoder."""
    return _celery_service(environment, state, "events.worker.app", "Worker of events", name, processes)


def _celery_service(
    environment: Mapping[str, str], state: StateFolder, app: str, title: str, name: str, processes: int
) -> Service:
    node = f"{name}@{hashlib.sha256(bytes(state.path)).hexdigest()[:8]}"
    redis_url = environment["NITAMONO_REDIS_URL"]
    command = ["celery", "-A", app, "worker", "--hostname", node, "--concurrency", str(processes)]
    command += ["--loglevel", "INFO", "--without-gossip", "--without-mingle"]  # nothing uses either
    environment = {"OMP_NUM_THREADS": "1", **environment}  # more processes are faster, more threads are not
    return Service(
        name=name,
        title=title,
        url="",
        identity=_identity(command, _without_api_settings(environment)),
        prepare=lambda _: _launch(command, environment),
        is_ready=lambda: worker_answers(redis_url, node),
        patience=120.0,
        grace=WORKER_GRACE,
    )


def api_service(environment: Mapping[str, str], settings: ServiceSettings) -> Service:
    """Return the API behind gunicorn."""
    host = LOOPBACK if settings.api_host == "0.0.0.0" else settings.api_host  # noqa: S104 - compared, not bound
    url = f"http://{host}:{settings.api_port}"
    command = list(GUNICORN)
    environment = {"OMP_NUM_THREADS": "1", **environment}
    return Service(
        name="api",
        title="API",
        url=url,
        identity=_identity(command, environment, *_files_of_api(environment)),
        prepare=lambda _: _launch(command, environment),
        is_ready=lambda: api_answers(url),
        port=settings.api_port,
        port_setting="NITAMONO_API_PORT",
        grace=15.0,
    )


def check_settings(environment: Mapping[str, str]) -> None:
    """Check all settings of the worker and the API and the files that they name, before either is stopped.

    Raises UserError, such as InvalidSetting.
    """
    # They import the Elasticsearch client, which takes a second that a second `up` can do without.
    from events.worker.settings import EventSettings  # noqa: PLC0415
    from indexer.settings import IndexerSettings  # noqa: PLC0415
    from query.api.experiments import checked_settings  # noqa: PLC0415

    IndexerSettings.from_environ(environment)
    EventSettings.from_environ(environment)
    checked_settings(environment)


def worker_answers(redis_url: str, node: str) -> bool:
    """Return whether the worker `node` takes tasks from the Redis at `redis_url`."""
    with Celery(broker=redis_url, set_as_current=False) as app:
        app.conf.broker_transport_options = {"socket_connect_timeout": 2, "socket_timeout": 5}
        try:
            return bool(app.control.ping(destination=[node], timeout=1.0))
        except (OperationalError, redis.RedisError, OSError):
            return False


def api_answers(url: str) -> bool:
    """Return whether the API at `url` finds its index and answers a request for listings, or for a key."""
    return answers_ok(f"{url}/readyz") and (answers_ok(f"{url}{LISTINGS_REQUEST}") or needs_key(url))


def needs_key(url: str) -> bool:
    """Return whether the API at `url` wants an API key of those who read."""
    return status_of(f"{url}{LISTINGS_REQUEST}") == HTTPStatus.UNAUTHORIZED


def listings_for_sale(url: str) -> int:
    """Return how many listings the API at `url`, which needs no key, has on sale."""
    with urllib.request.urlopen(f"{url}{LISTINGS_REQUEST}", timeout=10) as answer:  # noqa: S310 - http, on this machine
        return int(json.load(answer)["total"])


def _launch(command: list[str], environment: Mapping[str, str]) -> Launch:
    command = [sys.executable, "-m", *command]
    return Launch(command=command, environment=environment, folder=REPOSITORY, user=ServiceUser.caller())


def _identity(command: list[str], environment: Mapping[str, str], *read: bytes) -> str:
    """Return a fingerprint of what a process is started with: settings, encoder and code.

    read: contents of files that the process reads at its start.
    """
    settings = sorted(item for item in environment.items() if item[0].startswith(SETTINGS))
    manifest = Path(environment["NITAMONO_ENCODER_DIR"]) / "manifest.json"
    encoder = manifest.read_bytes() if manifest.exists() else b""
    return hashlib.sha256(repr((command, settings, encoder, read, _code())).encode()).hexdigest()[:16]


def _without_api_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment that matters to a worker."""
    return {name: value for name, value in environment.items() if name not in OF_THE_API}


def _files_of_api(environment: Mapping[str, str]) -> list[bytes]:
    """Return the contents of the experiments' files and of the ranking files."""
    folder = Path(environment["NITAMONO_EXPERIMENTS_DIR"])
    files = sorted([*folder.glob("*.toml"), *folder.glob("*.json")])
    if ranking := environment.get("NITAMONO_RANKING_FILE"):
        files.append(Path(ranking))
    return [file.read_bytes() for file in files if file.is_file()]


def _code() -> list[tuple[str, int, int]]:
    """Return size and time of every file of code that the workers and the API run."""
    found = []
    for file in sorted(_files_of_code()):
        with contextlib.suppress(FileNotFoundError):  # an editor or `git pull` has just replaced it
            status = file.stat()
            found.append((str(file), status.st_size, status.st_mtime_ns))
    return found


def _files_of_code() -> Iterator[Path]:
    """Yield every file of code; `Path.rglob` would fail at a folder that is removed meanwhile."""
    for package in PACKAGES:
        for folder, _, names in os.walk(REPOSITORY / package):
            yield from (Path(folder, name) for name in names if name.endswith(".py"))
