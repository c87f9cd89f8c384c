"""The whole system on one machine: up, down, and its status."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from demo.local_services.application import (
    OF_THE_API,
    api_service,
    application_environment,
    check_settings,
    encoder_folder,
    events_service,
    worker_service,
)
from demo.local_services.arm_encoders import ArmEncoder, arm_encoders
from demo.local_services.elasticsearch.node import elasticsearch_service, erase_node, has_alias
from demo.local_services.ports import is_free
from demo.local_services.processes import Service, Supervisor, memory_bytes
from demo.local_services.progress import Progress
from demo.local_services.redis_server import redis_service
from demo.local_services.settings import ServiceSettings
from demo.local_services.state import StateFolder, replace_text
from mappings.names import DEFAULT_PREFIX, read_alias
from settings.services_file import (
    SERVERS,
    chosen_for_another,
    recorded_settings,
    same_address,
    without_passwords,
)

PATHS = (
    "ES_HOME",
    "NITAMONO_CACHE_DIR",
    "NITAMONO_EMBEDDINGS_DIR",
    "NITAMONO_ENCODER_DIR",
    "NITAMONO_EXPERIMENTS_DIR",
    "NITAMONO_FURTHER_ENCODER_DIRS",
    "NITAMONO_IMAGE_ROOTS",
    "NITAMONO_PHOTO_CACHE_DIR",
    "NITAMONO_RANKING_FILE",
    "NITAMONO_REPORTS_DIR",
)
"""Paths of the last `up` that the next one uses unless they are set, recorded as absolute ones."""

REMEMBERED = tuple(
    sorted(
        OF_THE_API.difference({"NITAMONO_USER_SALT"}).union(
            PATHS,
            {
                "NITAMONO_BATCH_SIZE",
                "NITAMONO_DECODE_THREADS",
                "NITAMONO_ENCODER_BACKEND",
                "NITAMONO_ENCODER_THREADS",
                "NITAMONO_ES_HEAP",
                "NITAMONO_ES_USER",
                "NITAMONO_FETCH_ALLOWED_HOSTS",
                "NITAMONO_FETCH_DEADLINE_S",
                "NITAMONO_FETCH_IDLE_TIMEOUT_S",
                "NITAMONO_FETCH_MAX_BYTES",
                "NITAMONO_FETCH_PER_HOST",
                "NITAMONO_FETCH_PORTS",
                "NITAMONO_FETCH_THREADS",
                "NITAMONO_INDEXING_MAX_RETRIES",
                "NITAMONO_INDEX_PREFIX",
                "NITAMONO_LOG_FORMAT",
                "NITAMONO_METRICS_HOST",
                "NITAMONO_METRICS_PORT",
                "NITAMONO_OUTCOME_STREAM_LENGTH",
                "NITAMONO_PHOTO_BUCKETS",
                "NITAMONO_PHOTO_CACHE_MAX_BYTES",
                "NITAMONO_PHOTO_MAX_RETRIES",
                "NITAMONO_PHOTOS_PER_LISTING",
                "NITAMONO_PLACEHOLDER_SELLERS",
                "NITAMONO_VISIBILITY_TIMEOUT_S",
                "NITAMONO_WORKER_PROCESSES",
            },
        )
    )
)
"""Settings of the last `up` that the next one uses unless they are set. A test compares them with all."""


@dataclass(frozen=True)
class ServiceStatus:
    """Status of one service."""

    service: str
    state: str  # "ready", "starting", "not ready", "stopped", or "external" for a server that a setting names
    pid: int | None
    url: str
    since: datetime | None
    memory_mb: int | None


@dataclass(frozen=True)
class System:
    """The services that the settings describe, in the order they start."""

    settings: ServiceSettings
    state: StateFolder
    asked: Mapping[str, str]  # the settings of the last `up`, overridden by the caller's environment
    environment: Mapping[str, str]  # for our own commands, with the addresses of the services
    servers: tuple[Service, ...]  # Elasticsearch and Redis, unless external
    applications: tuple[Service, ...]  # of our code; the API is the last
    arms: tuple[ArmEncoder, ...]
    supervisor: Supervisor
    kept: Mapping[str, str]  # the settings of the last `up` that the caller's environment lacks

    @classmethod
    def open(cls, environ: Mapping[str, str], progress: Progress, *, forget: bool = False) -> System:
        """Return the system that `environ` describes; nothing is started.

        Settings that it lacks are those of the last `up`, except external servers and what was chosen for
        another server or encoder than `environ` names.

        forget: take the defaults instead of the settings of the last `up`.

        Raises ServiceError or InvalidSetting.
        """
        recorded = {} if forget else recorded_settings(environ)
        given = {name for name, value in environ.items() if value}
        ignored = chosen_for_another(environ, recorded) | set(SERVERS) | given
        kept = {name: value for name, value in recorded.items() if name not in ignored}
        environ = _with_absolute_paths({**environ, **kept})
        kept = {name: value for name, value in kept.items() if name in REMEMBERED}
        asked = ServiceSettings.from_environ(environ)
        state = StateFolder.open(asked.state)
        supervisor = Supervisor(state, progress)
        settings = _with_our_own(asked, recorded, supervisor)
        elasticsearch = elasticsearch_service(settings, state, environ)
        queue = redis_service(settings, state, environ)
        environment = application_environment(
            environ,
            settings,
            state,
            elasticsearch=settings.elasticsearch_url or elasticsearch.url,
            redis=settings.redis_url or queue.url,
        )
        arms = arm_encoders(Path(environment["NITAMONO_EXPERIMENTS_DIR"]))
        external = {"elasticsearch": settings.elasticsearch_url, "redis": settings.redis_url}
        servers = tuple(service for service in (elasticsearch, queue) if not external[service.name])
        applications = (
            worker_service(environment, state, processes=settings.worker_processes),
            *(
                worker_service(arm.environment(environment), state, processes=1, name=arm.worker)
                for arm in arms
            ),
            events_service(environment, state),
            api_service(environment, settings),
        )
        return cls(settings, state, environ, environment, servers, applications, arms, supervisor, kept)

    @property
    def services(self) -> tuple[Service, ...]:
        """All services that we start, in that order."""
        return self.servers + self.applications

    @property
    def api_url(self) -> str:
        """The URL of the pages and the API."""
        return self.applications[-1].url

    def up(self) -> list[str]:
        """Start what does not run and create missing indices; return the names of what was started."""
        with self.state.locked():
            if self._is_up():
                self._record()
                return []
            return self._bring_up()

    def _record(self) -> None:
        """Record the addresses and settings that other commands and the next `up` need, without passwords."""
        servers = {name: without_passwords(self.environment[name]) for name in SERVERS}
        ours = {
            port: self.environment[port]
            for port, given in zip(
                SERVERS.values(), (self.settings.elasticsearch_url, self.settings.redis_url), strict=True
            )
            if not given
        }
        plain = {name: self.asked[name] for name in REMEMBERED if self.asked.get(name)}
        text = json.dumps(servers | ours | plain, indent=2) + "\n"
        if not self.state.services.exists() or self.state.services.read_text() != text:
            replace_text(self.state.services, text)

    def _is_up(self) -> bool:
        """Return whether all is up, without importing the Elasticsearch client, which takes a second."""
        if self.settings.elasticsearch_url or self.settings.redis_url:
            return False
        prefixes = [self.environment.get("NITAMONO_INDEX_PREFIX") or DEFAULT_PREFIX]
        prefixes += [arm.prefix for arm in self.arms]
        url = self.environment["ELASTICSEARCH_URL"]
        return all(self.supervisor.is_up(service) for service in self.services) and all(
            has_alias(url, read_alias(prefix)) for prefix in prefixes
        )

    def _bring_up(self) -> list[str]:
        # Elasticsearch's client takes a second to import, which a second `up` can do without.
        from demo.local_services.live_index import LiveIndex, require_redis  # noqa: PLC0415

        own, *others = (
            LiveIndex.from_environ(environment, encoder_folder(environment))
            for environment in (self.environment, *(arm.environment(self.environment) for arm in self.arms))
        )
        check_settings(self.environment)
        if self.settings.elasticsearch_url:
            own.require_elasticsearch()
        if self.settings.redis_url:
            require_redis(self.settings.redis_url)
        for service in self.services:  # a used port is reported before any service starts
            self.supervisor.require_port(service)
        self._record()
        started = [service.name for service in self.servers if self.supervisor.ensure(service)]
        for index in (own, *others):
            index.ensure()
        return started + [service.name for service in self.applications if self.supervisor.ensure(service)]

    def down(self) -> list[str]:
        """Stop all services that run, the last one first; return their names."""
        with self.state.locked():
            return [service.name for service in reversed(self.services) if self.supervisor.stop(service)]

    def erase(self) -> None:
        """Delete the index, the queue, the marketplace and the logs. Everything must be down."""
        erase_node(self.state)
        shutil.rmtree(self.state.path)

    def statuses(self) -> list[ServiceStatus]:
        """Return the status of each service, in the order they start."""
        given = (("elasticsearch", self.settings.elasticsearch_url), ("redis", self.settings.redis_url))
        others = [ServiceStatus(name, "external", None, url, None, None) for name, url in given if url]
        return others + [self._status(service) for service in self.services]

    def _status(self, service: Service) -> ServiceStatus:
        record = self.supervisor.running(service.name)
        process = record.process if record else None
        if record is None or process is None:
            return ServiceStatus(service.name, "stopped", None, service.url, None, None)
        started = process.create_time()
        late = time.time() - started > service.patience
        return ServiceStatus(
            service.name,
            "ready" if service.is_ready() else "not ready" if late else "starting",
            record.pid,
            record.url,
            datetime.fromtimestamp(started, UTC),
            round(memory_bytes(process) / 1e6),
        )


def _with_absolute_paths(environ: Mapping[str, str]) -> dict[str, str]:
    """Return `environ` with the paths of settings as processes in another folder can use them."""
    absolute = {
        name: os.pathsep.join(str(Path(part).absolute()) for part in environ[name].split(os.pathsep) if part)
        for name in PATHS
        if environ.get(name)
    }
    return {**environ, **absolute}


def _with_our_own(
    settings: ServiceSettings, recorded: Mapping[str, str], supervisor: Supervisor
) -> ServiceSettings:
    """Return `settings` with ports instead of URLs where a URL is the address of a server of ours.

    It is ours while it runs and after it has ended, unless another process uses its port.
    """

    def own_port(service: str, variable: str, given: str | None) -> int | None:
        record = supervisor.record(service)
        own = recorded.get(variable) if SERVERS[variable] in recorded else None
        if record:
            own = record.url
        if given is None or own is None or not same_address(given, own):
            return None
        port = urlsplit(own).port
        runs = record is not None and record.process is not None
        return port if port and (runs or is_free(port)) else None

    if port := own_port("elasticsearch", "ELASTICSEARCH_URL", settings.elasticsearch_url):
        settings = replace(settings, elasticsearch_url=None, elasticsearch_port=port)
    if port := own_port("redis", "NITAMONO_REDIS_URL", settings.redis_url):
        settings = replace(settings, redis_url=None, redis_port=port)
    return settings
