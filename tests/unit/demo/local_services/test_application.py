"""How the worker and the API are started."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from demo.local_services import application
from demo.local_services.application import (
    OF_THE_API,
    api_answers,
    api_service,
    application_environment,
    events_service,
    listings_for_sale,
    needs_key,
    worker_answers,
    worker_service,
)
from demo.local_services.progress import Progress
from demo.local_services.settings import ServiceSettings
from demo.local_services.state import StateFolder
from docs.settings_table import READERS, all_settings
from events.user_ids import user_salt
from tests.free_port import free_port


@pytest.fixture
def state(tmp_path):
    """An empty state folder."""
    return StateFolder.open(tmp_path / "state")


def make_environment(state, **environ):
    """The environment of the applications, with `environ` as the caller's."""
    return application_environment(
        environ,
        ServiceSettings.from_environ(environ),
        state,
        elasticsearch="http://e:9200",
        redis="redis://r/0",
    )


def test_the_environment_has_the_addresses_of_the_services(state):
    """It has the addresses of the services and the photo folders; the rest is the caller's."""
    environment = make_environment(state, LANG="ja_JP.UTF-8", NITAMONO_API_PORT="8123")
    assert environment["ELASTICSEARCH_URL"] == "http://e:9200"
    assert environment["NITAMONO_REDIS_URL"] == "redis://r/0"
    assert environment["NITAMONO_IMAGE_ROOTS_FILE"] == str(state.image_roots)
    assert (environment["LANG"], environment["NITAMONO_API_PORT"]) == ("ja_JP.UTF-8", "8123")
    assert environment["NITAMONO_ENCODER_DIR"].endswith("ml/artifacts/siglip-lite")


def test_the_worker_is_celery_with_its_processes(state):
    """The worker's command names the app and how many processes it has."""
    launch = worker_service(make_environment(state), state, processes=3).prepare(Progress())
    assert launch.command[1:5] == ["-m", "celery", "-A", "indexer.worker.app"]
    assert launch.command[launch.command.index("--concurrency") + 1] == "3"
    assert launch.environment["OMP_NUM_THREADS"] == "1"


def test_events_have_a_worker_without_an_encoder(state):
    """Another app, another name on the queue's broker, one process."""
    launch = events_service(make_environment(state), state).prepare(Progress())
    assert launch.command[1:5] == ["-m", "celery", "-A", "events.worker.app"]
    assert launch.command[launch.command.index("--concurrency") + 1] == "1"
    assert launch.command[launch.command.index("--hostname") + 1].startswith("events@")


def test_the_salt_is_made_once_and_private(state):
    """Every later start reads the same salt; other users of this machine cannot read it."""
    salt = make_environment(state)["NITAMONO_USER_SALT"]
    assert len(salt) == 64
    assert state.user_salt.stat().st_mode & 0o777 == 0o600
    assert make_environment(state)["NITAMONO_USER_SALT"] == salt
    assert user_salt({"NITAMONO_STATE_DIR": str(state.path)}) == salt
    assert [path.name for path in state.path.iterdir() if "salt" in path.name] == ["user-salt"]


def test_a_salt_and_experiments_of_the_caller_are_used(state):
    """No other salt is made then."""
    given = {"NITAMONO_USER_SALT": "0123456789abcdef", "NITAMONO_EXPERIMENTS_DIR": "/srv/experiments"}
    environment = make_environment(state, **given)
    assert {name: environment[name] for name in given} == given
    assert not state.user_salt.exists()


def test_a_set_number_of_threads_is_kept(state):
    """OMP_NUM_THREADS of the caller is not overruled."""
    environment = make_environment(state, OMP_NUM_THREADS="7")
    assert (
        worker_service(environment, state, processes=1).prepare(Progress()).environment["OMP_NUM_THREADS"]
        == "7"
    )


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_the_api_is_gunicorn_on_its_port(state, host):
    """gunicorn gets the host that is set; the printed URL can be opened on this machine."""
    environ = {"NITAMONO_API_HOST": host, "NITAMONO_API_PORT": "8123"}
    service = api_service(make_environment(state, **environ), ServiceSettings.from_environ(environ))
    launch = service.prepare(Progress())
    assert launch.command[1:3] == ["-m", "gunicorn"]
    assert (launch.environment["NITAMONO_API_HOST"], launch.environment["NITAMONO_API_PORT"]) == (
        host,
        "8123",
    )
    assert (service.url, service.port) == ("http://127.0.0.1:8123", 8123)


def test_another_encoder_restarts_the_worker(state, tmp_path):
    """A newly trained encoder at the same place is another identity; the same one is the same."""
    manifest = tmp_path / "manifest.json"
    environment = make_environment(state, NITAMONO_ENCODER_DIR=str(tmp_path))
    identities = []
    for encoder in ("a", "a", "b"):
        manifest.write_text(json.dumps({"encoder_id": encoder}))
        identities.append(worker_service(environment, state, processes=1).identity)
    assert identities[0] == identities[1] != identities[2]


def test_code_that_is_replaced_meanwhile_is_no_error(state, tmp_path, monkeypatch):
    """A file may be gone between being listed and being looked at, as during `git pull`."""
    monkeypatch.setattr(application, "REPOSITORY", tmp_path)
    code = tmp_path / "query"
    code.mkdir()
    environment = make_environment(state)
    identities = [worker_service(environment, state, processes=1).identity]
    (code / "gone.py").symlink_to("nowhere")
    identities.append(worker_service(environment, state, processes=1).identity)
    (code / "new.py").write_text("VALUE = 1")
    identities.append(worker_service(environment, state, processes=1).identity)
    assert identities[0] == identities[1] != identities[2]


def test_a_changed_ranking_file_restarts_the_api_and_no_worker(state, tmp_path):
    """The API reads it at its start."""
    ranking = tmp_path / "ranking.json"
    environment = make_environment(state, NITAMONO_RANKING_FILE=str(ranking))
    settings = ServiceSettings.from_environ(environment)
    apis, workers = set(), set()
    for text in ("{}", '{"version": 1}'):
        ranking.write_text(text)
        apis.add(api_service(environment, settings).identity)
        workers.add(worker_service(environment, state, processes=1).identity)
    assert (len(apis), len(workers)) == (2, 1)


def test_another_api_port_restarts_the_api_and_no_worker(state):
    """A worker never reads it, and would load its encoder again."""
    environments = [make_environment(state, NITAMONO_API_PORT=port) for port in ("8000", "8123")]
    workers = {worker_service(environment, state, processes=1).identity for environment in environments}
    workers |= {events_service(environment, state).identity for environment in environments}
    apis = {
        api_service(environment, ServiceSettings.from_environ(environment)).identity
        for environment in environments
    }
    assert (len(workers), len(apis)) == (2, 2)


def test_workers_of_two_clones_have_different_names(tmp_path):
    """On one Redis, the worker of one clone does not answer for that of another."""
    names = set()
    for name in ("one", "two"):
        state = StateFolder.open(tmp_path / name)
        command = worker_service(make_environment(state), state, processes=1).prepare(Progress()).command
        names.add(command[command.index("--hostname") + 1])
    assert len(names) == 2


def test_the_api_is_ready_when_it_answers_an_ordinary_request(site):
    """A process that runs, even one that finds its index, is not enough."""
    folder, url = site
    (folder / "healthz").touch()
    assert not api_answers(url)
    (folder / "readyz").touch()
    assert not api_answers(url)
    (folder / "v1").mkdir()
    (folder / "v1" / "listings").write_text('{"total": 7}')
    assert api_answers(url)
    assert listings_for_sale(url) == 7
    assert not needs_key(url)


class Closed(BaseHTTPRequestHandler):
    """A fake API that is ready and wants a key of those who read."""

    def do_GET(self):
        self.send_response(200 if self.path == "/readyz" else 401)
        self.end_headers()

    def log_message(self, *_):
        """Write nothing."""


def test_an_api_that_wants_a_key_is_ready():
    """`make up` must not wait for an answer that only holders of a key get."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Closed) as server:
        threading.Thread(target=server.serve_forever).start()
        url = f"http://127.0.0.1:{server.server_port}"
        assert needs_key(url)
        assert api_answers(url)
        server.shutdown()


def test_missing_services_are_not_ready(site):
    """Without a broker no worker answers; without /healthz no API does."""
    assert not worker_answers(f"redis://127.0.0.1:{free_port()}/0", "worker@absent")
    assert not api_answers(f"http://127.0.0.1:{free_port()}")
    assert not api_answers(site[1])


def test_settings_that_no_worker_reads_do_not_restart_one():
    """A new ranking file or rule of the result policy concerns the API only."""
    api, *workers = (
        {setting.variable.name for setting in all_settings(READERS[reader])}
        for reader in ("API", "worker of listings", "worker of events")
    )
    assert set().union(*workers) & OF_THE_API == set()
    assert api - set().union(*workers) == OF_THE_API
