"""Real services for the whole test session, started by the code that `make up` uses.

A test asks for `es`, `redis_url`, `index_prefix` or `worker`; the first such test starts the server. Where a
service cannot be had, the test is skipped with the reason; with CI=true it fails.
NITAMONO_TEST_ELASTICSEARCH_URL names a server to use instead: ELASTICSEARCH_URL may be somebody's real one.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import redis
from elasticsearch import Elasticsearch
from xdist.scheduler import LoadScopeScheduling

from demo.local_services.application import application_environment, events_service, worker_service
from demo.local_services.elasticsearch.node import elasticsearch_service, erase_node
from demo.local_services.errors import ServiceError
from demo.local_services.processes import Launch, Service, Supervisor
from demo.local_services.progress import Progress
from demo.local_services.redis_server import redis_service
from demo.local_services.settings import ServiceSettings
from demo.local_services.state import StateFolder
from mappings.client import ElasticsearchSettings, connect
from tests.free_port import free_port

REDIS_DATABASES = 16
PATIENCE_AT_THE_END = 5.0  # seconds for a worker to end and write its coverage


@dataclass(frozen=True)
class RunningService:
    """A service that a test may stop, kill and start again; its data and its address stay."""

    service: Service
    supervisor: Supervisor

    @property
    def url(self) -> str:
        """Where it listens."""
        return self.service.url

    @property
    def pid(self) -> int:
        """The process that was started; its children are its own affair."""
        record = self.supervisor.running(self.service.name)
        assert record is not None, f"{self.service.name} does not run"
        return record.pid

    @property
    def log(self) -> str:
        """What it has written so far."""
        return self.supervisor.state.log(self.service.name).read_text(errors="replace")

    def start(self) -> None:
        """Start it, unless it runs, and wait until it is ready."""
        self.supervisor.ensure(self.service)

    def stop(self) -> None:
        """End it as `make down` does."""
        self.supervisor.stop(self.service)

    def kill(self) -> None:
        """End it and its children by SIGKILL."""
        self.supervisor.kill(self.service)


@dataclass(frozen=True)
class Workbench:
    """A state folder with ports of its own, in which services are started."""

    environ: Mapping[str, str]
    settings: ServiceSettings
    supervisor: Supervisor

    @classmethod
    def at(cls, folder: Path) -> Workbench:
        """Return a workbench with free ports and the state in `folder`."""
        environ = {
            **bare_environ(),
            "NITAMONO_STATE_DIR": str(folder),
            "NITAMONO_ES_PORT": str(free_port()),
            "NITAMONO_REDIS_PORT": str(free_port()),
            "NITAMONO_ES_HEAP": "512m",
        }
        settings = ServiceSettings.from_environ(environ)
        return cls(environ, settings, Supervisor(StateFolder.open(folder), Progress(sys.__stderr__)))

    @property
    def state(self) -> StateFolder:
        """Where the services leave what they leave."""
        return self.supervisor.state

    def elasticsearch(self) -> RunningService:
        """Return an Elasticsearch that runs."""
        service = elasticsearch_service(self.settings, self.state, self.environ)
        return self.running(
            dataclasses.replace(service, prepare=lambda progress: quick_start(service.prepare(progress)))
        )

    def redis(self) -> RunningService:
        """Return a Redis that runs."""
        return self.running(redis_service(self.settings, self.state, self.environ))

    def running(self, service: Service) -> RunningService:
        """Return `service`, started. Skips the test if it cannot be had, or fails it with CI=true."""
        handle = RunningService(service, self.supervisor)
        try:
            handle.start()
        except ServiceError as error:
            skip_or_fail(f"{service.title} cannot be had: {error}")
        return handle


def quick_start(launch: Launch) -> Launch:
    """Return the launch of a Java program that is compiled quickly and not optimised.

    In a run as short as a test's, Java's optimising compiler took 40 % of the CPU time of Elasticsearch.
    """
    options = f"{launch.environment['ES_JAVA_OPTS']} -XX:TieredStopAtLevel=1"
    return dataclasses.replace(launch, environment={**launch.environment, "ES_JAVA_OPTS": options})


class ByServices(LoadScopeScheduling):  # type: ignore[misc]  # pytest-xdist has no types
    """Lets three processes of pytest-xdist run the tests that share services, the others file by file.

    Each process has an Elasticsearch of its own, and these tests wait more than they compute. Not `--dist
    loadgroup`: pytest-xdist 3.8 does not find the groups with pytest 9.2.
    """

    def _split_scope(self, nodeid: str) -> str:
        path = Path(nodeid.partition("::")[0])
        if path.parent.name != "integration" or path.stem in OWN_SERVICES:
            return str(path)
        return next((name for name, files in GROUPS.items() if path.stem in files), "services")


OWN_SERVICES = frozenset({"test_replica", "test_system"})
"""Files of tests/integration whose tests start services of their own alone."""

GROUPS = {
    "faults": {"test_fault_ledger", "test_faults", "test_indexing_order", "test_queues", "test_upgrade"},
    "workers": {
        "test_access",
        "test_arms",
        "test_bad_input",
        "test_bench",
        "test_events",
        "test_ingest",
        "test_indexing_commands",
        "test_main_job",
        "test_rabbitmq",
        "test_reembedding",
        "test_sql",
        "test_watching",
    },
}
"""Two thirds of the others, by time."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> ByServices:
    """Return the scheduler of `--numprocesses`."""
    return ByServices(config, log)


def bare_environ() -> dict[str, str]:
    """Return the environment without what would lead the tests to somebody's real services."""
    kept = {"NITAMONO_CACHE_DIR", "NITAMONO_ES_ARCHIVES_URL"}
    ours = ("NITAMONO_", "ELASTICSEARCH_")
    return {name: value for name, value in os.environ.items() if name in kept or not name.startswith(ours)}


def skip_or_fail(reason: str) -> None:
    """Skip the test on a laptop; in CI, where everything must be there, fail it."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session", autouse=True)
def _no_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """An empty state folder, so that no command in this process finds what `make up` started in the clone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NITAMONO_STATE_DIR", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(scope="session")
def workbench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workbench]:
    """The state folder of the servers that all tests share."""
    bench = Workbench.at(tmp_path_factory.mktemp("services"))
    yield bench
    erase_node(bench.state)


@pytest.fixture(scope="session")
def elasticsearch_url(workbench: Workbench) -> Iterator[str]:
    """The address of the session's Elasticsearch."""
    given = os.environ.get("NITAMONO_TEST_ELASTICSEARCH_URL")
    if given:
        yield given
        return
    node = workbench.elasticsearch()
    yield node.url
    node.kill()  # its data goes too, so there is nothing to save


@pytest.fixture(scope="session")
def es(elasticsearch_url: str) -> Iterator[Elasticsearch]:
    """A client for the session's Elasticsearch."""
    with connect(ElasticsearchSettings(urls=(elasticsearch_url,))) as client:
        yield client


@pytest.fixture(scope="session")
def run_id() -> str:
    """What tells the indices of this session from those of another on the same server."""
    return uuid.uuid4().hex[:8]


@pytest.fixture(scope="session")
def _numbers() -> Iterator[int]:
    return itertools.count()


@pytest.fixture
def index_prefix(
    elasticsearch_url: str, es: Elasticsearch, run_id: str, _numbers: Iterator[int]
) -> Iterator[str]:
    """A prefix that no other test uses; its indices are deleted afterwards."""
    prefix = f"test-{run_id}-{next(_numbers)}"
    yield prefix
    with connect(ElasticsearchSettings(urls=(elasticsearch_url,), timeout_s=30)) as client:
        for index in client.indices.get(index=f"{prefix}-*", expand_wildcards="all"):
            client.indices.delete(index=index, ignore_unavailable=True)


@pytest.fixture(scope="session")
def redis_server(workbench: Workbench) -> Iterator[str]:
    """The address of the session's Redis, without a database number."""
    server = workbench.redis()
    yield server.url.removesuffix("/0")
    server.kill()


@pytest.fixture
def redis_url(redis_server: str, _numbers: Iterator[int]) -> Iterator[str]:
    """An empty Redis database."""
    url = f"{redis_server}/{next(_numbers) % REDIS_DATABASES}"
    with redis.Redis.from_url(url) as client:
        client.flushdb()
    return url


WorkerFactory = Callable[..., RunningService]


@dataclass(frozen=True)
class WorkerStarter:
    """Starts Celery workers on the services of a test, and stops them."""

    workbench: Workbench
    environ: Mapping[str, str]
    numbers: Iterator[int]
    started: list[RunningService] = dataclasses.field(default_factory=list)

    def start(self, make: Callable[..., Service], kind: str, **options: Any) -> RunningService:
        """Return a worker that takes tasks. Capital `options` are its environment, others go to `make`."""
        environ = {name: options.pop(name) for name in list(options) if name.isupper()}
        application = application_environment(
            {**self.workbench.environ, **self.environ},
            self.workbench.settings,
            self.workbench.state,
            elasticsearch=environ.pop("ELASTICSEARCH_URL", self.environ["ELASTICSEARCH_URL"]),
            redis=environ.pop("NITAMONO_REDIS_URL", self.environ["NITAMONO_REDIS_URL"]),
        )
        name = f"{kind}-{next(self.numbers)}"
        service = make({**application, **environ}, self.workbench.state, name=name, **options)
        self.started.append(
            RunningService(dataclasses.replace(service, grace=PATIENCE_AT_THE_END), self.workbench.supervisor)
        )
        self.started[-1].start()
        return self.started[-1]


@pytest.fixture
def _workers(
    workbench: Workbench, elasticsearch_url: str, redis_url: str, index_prefix: str, _numbers: Iterator[int]
) -> Iterator[WorkerStarter]:
    environ = {
        "NITAMONO_INDEX_PREFIX": index_prefix,
        "ELASTICSEARCH_URL": elasticsearch_url,
        "NITAMONO_REDIS_URL": redis_url,
        "OMP_NUM_THREADS": "1",
    }
    starter = WorkerStarter(workbench, environ, _numbers)
    yield starter
    for handle in starter.started:
        handle.stop()


@pytest.fixture
def worker(_workers: WorkerStarter) -> WorkerFactory:
    """A function that starts a Celery worker and waits until it takes tasks.

    `worker(processes=2, NITAMONO_ENCODER_DIR=…)`: keywords in capitals are its environment. Call it several
    times for several workers. All are ended with the test.
    """
    return partial(_workers.start, worker_service, "worker", processes=1)


@pytest.fixture
def events_worker(_workers: WorkerStarter) -> WorkerFactory:
    """The same for a worker of events."""
    return partial(_workers.start, events_service, "events")


@pytest.fixture
def own_workbench(tmp_path: Path) -> Iterator[Workbench]:
    """A state folder and ports of the test's own, for a test that stops or kills a server."""
    bench = Workbench.at(tmp_path / "services")
    yield bench
    erase_node(bench.state)


@pytest.fixture
def own_elasticsearch(own_workbench: Workbench) -> Iterator[RunningService]:
    """An Elasticsearch of the test's own: `.url`, `.stop()`, `.kill()`, `.start()`."""
    node = own_workbench.elasticsearch()
    yield node
    node.kill()


@pytest.fixture
def own_redis(own_workbench: Workbench) -> Iterator[RunningService]:
    """A Redis of the test's own: `.url`, `.stop()`, `.kill()`, `.start()`."""
    server = own_workbench.redis()
    yield server
    server.kill()
