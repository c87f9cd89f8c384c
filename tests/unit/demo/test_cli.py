"""What `nitamono demo` says."""

from __future__ import annotations

import contextlib
import io
import json
import socket
import subprocess
from dataclasses import asdict

import psutil
import pytest
from click.testing import CliRunner

from demo.cli import group
from demo.local_services.processes import ProcessRecord
from demo.local_services.progress import Progress
from demo.local_services.state import StateFolder
from demo.local_services.system import REMEMBERED, System
from docs.settings_table import READERS
from settings.environment import all_settings
from tests.free_port import free_port


@pytest.fixture
def environ(tmp_path):
    """An empty state folder and free ports."""
    return {
        "NITAMONO_STATE_DIR": str(tmp_path / "a state"),
        "NITAMONO_ES_PORT": str(free_port()),
        "NITAMONO_REDIS_PORT": str(free_port()),
        "NITAMONO_API_PORT": str(free_port()),
        "ELASTICSEARCH_URL": "",
        "NITAMONO_REDIS_URL": "",
        "NITAMONO_ENCODER_DIR": "",
    }


def invoke(environ, *words):
    """Run `nitamono demo` with these words."""
    return CliRunner().invoke(group, list(words), env=environ)


def test_help_names_every_command():
    """The commands that are loaded late are listed as well."""
    answer = CliRunner().invoke(group, ["--help"])
    assert answer.exit_code == 0
    for command in ("up", "down", "status", "logs", "generate", "run"):
        assert f"\n  {command} " in answer.output


def test_an_unknown_command_is_reported():
    """A misspelt command is no crash."""
    answer = CliRunner().invoke(group, ["stauts"])
    assert (answer.exit_code, "No such command" in answer.output) == (2, True)


def test_status_when_nothing_runs(environ):
    """With nothing running every service is stopped, and the exit status says so to a script."""
    answer = invoke(environ, "status")
    lines = answer.output.splitlines()
    assert answer.exit_code == 1
    assert lines[0].split() == ["SERVICE", "STATE", "PID", "SINCE", "MEMORY", "URL"]
    assert [line.split()[:2] for line in lines[1:]] == [
        ["elasticsearch", "stopped"],
        ["redis", "stopped"],
        ["worker", "stopped"],
        ["events", "stopped"],
        ["api", "stopped"],
    ]


def test_status_as_json(environ):
    """--json gives one object a service with its address."""
    found = json.loads(invoke(environ, "status", "--json").output)
    assert [service["service"] for service in found] == [
        "elasticsearch",
        "redis",
        "worker",
        "events",
        "api",
    ]
    assert found[0]["url"] == f"http://127.0.0.1:{environ['NITAMONO_ES_PORT']}"
    assert found[0]["pid"] is None


def test_an_invalid_experiment_is_reported_in_one_sentence(environ, tmp_path):
    """The file is named; nothing was started."""
    (tmp_path / "encoder.toml").write_text("name = 1")
    answer = invoke({**environ, "NITAMONO_EXPERIMENTS_DIR": str(tmp_path)}, "up")
    assert (answer.exit_code, type(answer.exception)) == (1, SystemExit)
    assert "encoder.toml" in answer.output


def test_an_external_server_is_shown_as_external(environ):
    """A server that is not ours is listed with its address and never with a pid."""
    given = {**environ, "ELASTICSEARCH_URL": "http://search:9200", "NITAMONO_REDIS_URL": "redis://queue/3"}
    found = json.loads(invoke(given, "status", "--json").output)
    assert [(s["service"], s["state"], s["url"]) for s in found[:2]] == [
        ("elasticsearch", "external", "http://search:9200"),
        ("redis", "external", "redis://queue/3"),
    ]


@pytest.fixture
def recorded(tmp_path):
    """Two processes that are recorded as an Elasticsearch and a Redis of ours, by their URLs."""
    records = StateFolder.open(tmp_path / "a state").records
    urls = {"elasticsearch": "http://127.0.0.1:9991", "redis": "redis://127.0.0.1:9992/0"}
    with contextlib.ExitStack() as stack:
        processes = {}
        for name, url in urls.items():
            process = stack.enter_context(subprocess.Popen(["sleep", "60"]))
            stack.callback(process.kill)
            record = ProcessRecord.of(psutil.Process(process.pid), url=url, identity="")
            (records / f"{name}.json").write_text(json.dumps(asdict(record)))
            processes[url] = process
        yield processes


def test_exported_urls_of_our_servers_are_recognised(environ, recorded):
    """`status` shows our own servers as ours, and `down` stops them."""
    elasticsearch, queue = recorded
    exported = {**environ, "ELASTICSEARCH_URL": elasticsearch, "NITAMONO_REDIS_URL": queue}
    found = json.loads(invoke(exported, "status", "--json").output)
    assert [(s["service"], s["pid"], s["url"]) for s in found[:2]] == [
        ("elasticsearch", recorded[elasticsearch].pid, elasticsearch),
        ("redis", recorded[queue].pid, queue),
    ]
    assert invoke(exported, "down").exit_code == 0
    assert all(process.wait(timeout=5) is not None for process in recorded.values())


@pytest.fixture
def stopped(environ, tmp_path):
    """The environment of servers that `up` started on other ports than the usual, and that ended since."""
    names = ("ELASTICSEARCH_URL", "NITAMONO_ES_PORT", "NITAMONO_REDIS_URL", "NITAMONO_REDIS_PORT")
    urls = {
        "ELASTICSEARCH_URL": f"http://127.0.0.1:{environ['NITAMONO_ES_PORT']}",
        "NITAMONO_REDIS_URL": f"redis://127.0.0.1:{environ['NITAMONO_REDIS_PORT']}/0",
    }
    recorded = {name: (environ | urls)[name] for name in names}
    (StateFolder.open(tmp_path / "a state").services).write_text(json.dumps(recorded))
    return {**environ, **urls}


def states(environ):
    """The state and URL of Elasticsearch and Redis as `status` shows them."""
    found = json.loads(invoke(environ, "status", "--json").output)
    return [(service["state"], service["url"]) for service in found[:2]]


@pytest.mark.parametrize("exported", [True, False])
def test_urls_of_our_stopped_servers_are_recognised(environ, stopped, exported):
    """After a crash, a reboot or `down`: with the old exports, and in a shell that names nothing."""
    urls = stopped["ELASTICSEARCH_URL"], stopped["NITAMONO_REDIS_URL"]
    bare = {**environ, "NITAMONO_ES_PORT": "", "NITAMONO_REDIS_PORT": ""}
    assert states(stopped if exported else bare) == [("stopped", url) for url in urls]


@pytest.mark.parametrize("form", ["http://localhost:{}", "http://127.0.0.1:{}/"])
def test_other_forms_of_our_url_are_recognised(environ, stopped, form):
    """A name for the address, a slash at the end."""
    url = form.format(environ["NITAMONO_ES_PORT"])
    assert states({**stopped, "ELASTICSEARCH_URL": url})[0] == ("stopped", stopped["ELASTICSEARCH_URL"])


def test_a_server_on_our_old_port_is_external(environ, stopped):
    """The URL means the server that listens there now."""
    with socket.create_server(("127.0.0.1", int(environ["NITAMONO_ES_PORT"]))):
        assert states(stopped)[0] == ("external", stopped["ELASTICSEARCH_URL"])


def test_the_record_of_a_process_that_ended_names_our_server(environ, tmp_path):
    """As a power cut leaves it."""
    gone = subprocess.Popen(["true"])
    gone.wait()
    url = f"http://127.0.0.1:{free_port()}"
    record = ProcessRecord(pid=gone.pid, boot="", started=0.0, url=url, identity="")
    records = StateFolder.open(tmp_path / "a state").records
    (records / "elasticsearch.json").write_text(json.dumps(asdict(record)))
    assert states({**environ, "ELASTICSEARCH_URL": url})[0] == ("stopped", url)


def test_an_external_server_is_not_recorded_as_ours(environ, tmp_path):
    """The next `up` without it starts one of ours; other commands go to the given one until then."""
    recorded = {"ELASTICSEARCH_URL": "http://search:9200", "NITAMONO_REDIS_URL": "redis://queue/3"}
    (StateFolder.open(tmp_path / "a state").services).write_text(json.dumps(recorded))
    assert states(environ)[0] == ("stopped", f"http://127.0.0.1:{environ['NITAMONO_ES_PORT']}")
    assert states({**environ, **recorded}) == [("external", url) for url in recorded.values()]


def test_a_damaged_record_is_reported(environ, tmp_path):
    """With the file and what to do."""
    (StateFolder.open(tmp_path / "a state").services).write_text("{")
    answer = invoke(environ, "status")
    assert (answer.exit_code, "services.json" in answer.output) == (1, True)


def test_down_leaves_our_servers_running_when_external_ones_are_set(environ, recorded):
    """URLs of other servers do not stop ours."""
    given = {**environ, "ELASTICSEARCH_URL": "http://search:9200", "NITAMONO_REDIS_URL": "redis://queue/3"}
    assert invoke(given, "down").output == "Nothing was running.\n"
    assert all(process.poll() is None for process in recorded.values())


def test_down_when_nothing_runs(environ):
    """Stopping what does not run is no error."""
    answer = invoke(environ, "down")
    assert (answer.exit_code, answer.output) == (0, "Nothing was running.\n")


def test_erasing_deletes_the_state_folder(environ, tmp_path):
    """--erase-data leaves nothing of the state folder."""
    answer = invoke(environ, "down", "--erase-data")
    assert answer.exit_code == 0
    assert list(tmp_path.iterdir()) == []


def test_logs_before_the_first_start(environ):
    """Where there is no log yet the message says how to get one."""
    answer = invoke(environ, "logs")
    assert (answer.exit_code, "make up" in answer.output) == (1, True)


def test_logs_show_the_end_of_the_file(environ, tmp_path, capfd):
    """The last lines of the service's own log are shown."""
    invoke(environ, "status")
    (tmp_path / "a state" / "logs" / "worker.log").write_text("first\nsecond\nthird\n")
    assert invoke(environ, "logs", "worker", "-n", "2").exit_code == 0
    assert capfd.readouterr().out == "second\nthird\n"


def test_a_taken_port_stops_up_before_anything_starts(environ):
    """Even the API's port, needed last, is looked at first; the sentence names it and the setting."""
    with socket.create_server(("127.0.0.1", int(environ["NITAMONO_API_PORT"]))):
        answer = invoke(environ, "up")
    assert answer.exit_code == 1
    assert f"API cannot listen on 127.0.0.1:{environ['NITAMONO_API_PORT']}" in answer.output
    assert "set NITAMONO_API_PORT to a free port" in answer.output


@pytest.mark.parametrize("variable", ["ELASTICSEARCH_URL", "NITAMONO_REDIS_URL"])
def test_an_unreachable_external_server_is_reported(environ, variable):
    """The variable, the address and what is expected are named; nothing of ours is started in its place."""
    url = f"{'http' if variable.startswith('E') else 'redis'}://127.0.0.1:{free_port()}"
    answer = invoke({**environ, variable: url}, "up")
    assert answer.exit_code == 1
    assert f"{variable} is {url}, but it does not answer" in answer.output
    assert json.loads(invoke(environ, "status", "--json").output)[1]["state"] == "stopped"


def test_a_missing_encoder_is_reported_before_anything_starts(environ, tmp_path):
    """Without an artifact `up` ends at once with the setting that names one."""
    answer = invoke({**environ, "NITAMONO_ENCODER_DIR": str(tmp_path)}, "up")
    assert answer.exit_code == 1
    assert "NITAMONO_ENCODER_DIR" in answer.output


def test_a_wrong_setting_is_one_sentence(environ):
    """A port that is no number ends in a message, not in a traceback."""
    answer = invoke({**environ, "NITAMONO_ES_PORT": "many"}, "up")
    assert (answer.exit_code, answer.output) == (
        1,
        "Error: NITAMONO_ES_PORT is 'many', expected a whole number from 1 to 65535\n",
    )


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        (
            "NITAMONO_SELLER_CAP",
            "many",
            "NITAMONO_SELLER_CAP is 'many', expected a whole number from 0 to 100",
        ),
        ("NITAMONO_FETCH_THREADS", "0", "NITAMONO_FETCH_THREADS is '0', expected a whole number from 1 up"),
        ("NITAMONO_USER_SALT", "short", "NITAMONO_USER_SALT has 5 characters"),
        (
            "NITAMONO_RANKING_FILE",
            "/nowhere/ranking.json",
            "NITAMONO_RANKING_FILE: /nowhere/ranking.json: No such file or directory",
        ),
    ],
)
def test_settings_are_checked_before_a_running_api_is_stopped(
    environ, recorded_api, variable, value, message
):
    """It goes on with its own settings, and the one line names the variable or the file."""
    answer = invoke({**environ, variable: value}, "up")
    assert (answer.exit_code, answer.output.count("\n")) == (1, 1)
    assert answer.output.startswith(f"Error: {message}")
    assert recorded_api.poll() is None


@pytest.fixture
def recorded_api(tmp_path):
    """A process that is recorded as an API of ours with other settings."""
    records = StateFolder.open(tmp_path / "a state").records
    with subprocess.Popen(["sleep", "60"]) as process:
        record = ProcessRecord.of(psutil.Process(process.pid), url="http://127.0.0.1:9993", identity="old")
        (records / "api.json").write_text(json.dumps(asdict(record)))
        yield process
        process.kill()


def test_every_setting_is_kept_for_the_next_start():
    """But secrets, addresses and credentials of servers, and what follows from the state folder."""
    settings = {s.variable.name: s.variable for cls in READERS.values() for s in all_settings(cls)}
    servers = {"ELASTICSEARCH_URL", "NITAMONO_REDIS_URL", "NITAMONO_ES_PORT", "NITAMONO_REDIS_PORT"}
    access = {name for name in settings if name.startswith("ELASTICSEARCH_")} | {"NITAMONO_ES_ARCHIVES_URL"}
    folder = {"NITAMONO_STATE_DIR", "NITAMONO_IMAGE_ROOTS_FILE"}
    secrets = {name for name in settings if settings[name].secret} | {"NITAMONO_USER_SALT"}
    assert set(REMEMBERED) == set(settings) - servers - access - folder - secrets
    assert not any(settings[name].secret for name in REMEMBERED)


def test_paths_are_kept_for_commands_in_any_folder(environ, monkeypatch, tmp_path):
    """A relative one is that of the folder in which `up` was called."""
    monkeypatch.chdir(tmp_path)
    given = {"NITAMONO_RANKING_FILE": "r.json", "NITAMONO_IMAGE_ROOTS": f"a:/b:{tmp_path}/c"}
    found = System.open({**environ, **given}, Progress(io.StringIO())).environment
    assert found["NITAMONO_RANKING_FILE"] == str(tmp_path / "r.json")
    assert found["NITAMONO_IMAGE_ROOTS"] == f"{tmp_path}/a:/b:{tmp_path}/c"


def test_settings_of_the_last_start_are_kept_until_they_are_forgotten(environ, tmp_path):
    """A setting of the environment wins; `kept` has the others, for `up` to list."""
    recorded = {"NITAMONO_RANKING_FILE": "/r.json", "NITAMONO_FRESHNESS": "2", "NITAMONO_SELLER_CAP": "5"}
    (StateFolder.open(tmp_path / "a state").services).write_text(json.dumps(recorded))
    given = {**environ, "NITAMONO_FRESHNESS": "1", "NITAMONO_SELLER_CAP": ""}
    found = System.open(given, Progress(io.StringIO()))
    assert {name: found.environment[name] for name in recorded} == {**recorded, "NITAMONO_FRESHNESS": "1"}
    assert found.kept == {"NITAMONO_RANKING_FILE": "/r.json", "NITAMONO_SELLER_CAP": "5"}
    forgotten = System.open(given, Progress(io.StringIO()), forget=True)
    assert "NITAMONO_RANKING_FILE" not in forgotten.environment
    assert forgotten.kept == {}


def test_settings_of_one_encoder_are_not_kept_for_another(environ, tmp_path):
    """A floor is a cosine of its encoder, and a ranking file is fitted for it."""
    bound = {"NITAMONO_RANKING_FILE": "/r.json", "NITAMONO_MIN_SIMILARITY": "0.8"}
    recorded = {**bound, "NITAMONO_ENCODER_DIR": "/encoders/one", "NITAMONO_SELLER_CAP": "5"}
    (StateFolder.open(tmp_path / "a state").services).write_text(json.dumps(recorded))
    same = System.open({**environ, "NITAMONO_ENCODER_DIR": "/encoders/one"}, Progress(io.StringIO()))
    other = System.open({**environ, "NITAMONO_ENCODER_DIR": "/encoders/two"}, Progress(io.StringIO()))
    assert same.kept == {**bound, "NITAMONO_SELLER_CAP": "5"}
    assert other.kept == {"NITAMONO_SELLER_CAP": "5"}


def test_kept_settings_are_named_before_an_error_about_one(environ, tmp_path):
    """Whoever has not set it would not know where it comes from."""
    recorded = {"NITAMONO_RANKING_FILE": "/gone/ranking.json"}
    (StateFolder.open(tmp_path / "a state").services).write_text(json.dumps(recorded))
    answer = invoke(environ, "up")
    assert answer.exit_code == 1
    kept, _, error = answer.output.partition("Error: ")
    assert "NITAMONO_RANKING_FILE=/gone/ranking.json" in kept
    assert "--forget-settings" in kept
    assert error.startswith("NITAMONO_RANKING_FILE: /gone/ranking.json: ")


@pytest.mark.parametrize(("url", "kept"), [("http://search:9200", True), ("https://prod:9200", False)])
def test_a_recorded_prefix_applies_only_to_its_server(environ, tmp_path, url, kept):
    """On another one, `up` would make the demonstration's indices."""
    recorded = {
        "ELASTICSEARCH_URL": "http://search:9200",
        "NITAMONO_REDIS_URL": "redis://queue",
        "NITAMONO_INDEX_PREFIX": "demo",
        "NITAMONO_ENCODER_DIR": "/encoders/mobilenet",
        "NITAMONO_WORKER_PROCESSES": "3",
    }
    (StateFolder.open(tmp_path / "a state").services).write_text(json.dumps(recorded))
    found = System.open({**environ, "ELASTICSEARCH_URL": url}, Progress(io.StringIO())).environment
    assert found.get("NITAMONO_INDEX_PREFIX") == ("demo" if kept else None)
    assert (found["NITAMONO_ENCODER_DIR"] == "/encoders/mobilenet") is kept
    assert found["NITAMONO_WORKER_PROCESSES"] == "3"
