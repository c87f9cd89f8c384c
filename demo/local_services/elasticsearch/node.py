"""One Elasticsearch node on the loopback address, from an unpacked distribution."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import psutil

from demo.local_services.elasticsearch.distribution import VERSION, Distribution, obtain
from demo.local_services.elasticsearch.download import require_disk_space
from demo.local_services.errors import TooLittleMemory
from demo.local_services.ports import LOOPBACK, answers_ok
from demo.local_services.processes import Launch, Service
from demo.local_services.progress import Progress
from demo.local_services.settings import ServiceSettings
from demo.local_services.state import StateFolder
from demo.local_services.unprivileged_user import ServiceUser, service_user
from mappings.names import DEFAULT_PREFIX, read_alias

# Only settings that Maven's build knows as well: an unknown one prevents the start.
CONFIGURATION = """\
cluster.name: nitamono
node.name: {name}
discovery.type: single-node
network.host: {host}
http.port: {port}
xpack.security.enabled: false            # loopback only; with true it sets up TLS and a password by itself
cluster.routing.allocation.disk.threshold_enabled: false
action.auto_create_index: false          # a misspelt index name is an error, never a new index
path.data: '{folder}/data'
path.logs: '{folder}/logs'
"""
# Logs go to the console only, which is the log file of the service.
LOGGING = """\
status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = [%d{ISO8601}][%-5p][%-25c{1.}] [%node_name]%marker %m%n
rootLogger.level = info
rootLogger.appenderRef.console.ref = console
"""
MEMORY_BESIDE_HEAP_MB = 500  # measured: 1.3 GB resident with a heap of 1 GB, and the launcher's 50 MB
DATA_BYTES = 500_000_000  # room for the index of a demonstration
UNREACHABLE_HOME = Path("/var/tmp")  # noqa: S108 - mkdtemp makes a folder of our own in it


def elasticsearch_service(
    settings: ServiceSettings, state: StateFolder, environ: Mapping[str, str]
) -> Service:
    """Return the node that `settings` describe; preparing it obtains the distribution."""
    port = settings.elasticsearch_port
    url = f"http://{LOOPBACK}:{port}"
    alias = read_alias(environ.get("NITAMONO_INDEX_PREFIX") or DEFAULT_PREFIX)

    def prepare(progress: Progress) -> Launch:
        require_memory(settings.heap_mb)
        user = service_user(settings.account)
        distribution = obtain(settings, environ, user, progress)
        return launch(distribution, node_folder(state, user), user, settings, environ)

    return Service(
        name="elasticsearch",
        title=f"Elasticsearch {VERSION}",
        url=url,
        port=port,
        port_setting="NITAMONO_ES_PORT",
        url_setting="ELASTICSEARCH_URL",
        identity=f"{VERSION} {url} {settings.heap_mb} MB",
        prepare=prepare,
        is_ready=lambda: answers_searches(url, alias),
        patience=180.0,
        grace=60.0,
    )


def launch(
    distribution: Distribution,
    folder: Path,
    user: ServiceUser,
    settings: ServiceSettings,
    environ: Mapping[str, str],
) -> Launch:
    """Return how to start the node, after writing its configuration into `folder`."""
    home = distribution.home
    if not user.can_read(home / "bin" / "elasticsearch"):
        home = _copy_within_reach(home, folder)
    _configure(home, folder, settings.elasticsearch_port)
    user.own(folder)
    return Launch(
        command=[str(home / "bin" / "elasticsearch")],
        environment=_environment(environ, folder, distribution.jdk, settings.heap_mb),
        folder=folder,
        user=user,
    )


def node_folder(state: StateFolder, user: ServiceUser) -> Path:
    """Return the folder of the node's data: in the state folder, or elsewhere if `user` cannot enter that.

    If root's clone is in a folder that is closed to others, the state folder links to the data.
    """
    if state.elasticsearch.is_symlink() and not state.elasticsearch.exists():
        state.elasticsearch.unlink()  # its target was deleted
    if not state.elasticsearch.exists():
        if user.can_enter(state.path):
            state.elasticsearch.mkdir()
        else:
            elsewhere = tempfile.mkdtemp(prefix="nitamono-elasticsearch-", dir=UNREACHABLE_HOME)
            state.elasticsearch.symlink_to(elsewhere)
    folder = state.elasticsearch.resolve()
    require_disk_space(folder, DATA_BYTES, "The index")
    return folder


def erase_node(state: StateFolder) -> None:
    """Delete the node's data, also behind a link."""
    if state.elasticsearch.is_symlink():
        shutil.rmtree(state.elasticsearch.resolve(), ignore_errors=True)
        state.elasticsearch.unlink()
    shutil.rmtree(state.elasticsearch, ignore_errors=True)


def answers_searches(url: str, alias: str) -> bool:
    """Return whether the node at `url` answers searches of the indices behind `alias`, if there are any.

    Its health is 200 before its shards are ready. Shards of other indices may be lost.
    """
    options = "size=0&ignore_unavailable=true&allow_partial_search_results=false"
    return answers_ok(f"{url}/{alias}/_search?{options}")


def has_alias(url: str, alias: str) -> bool:
    """Return whether an index is behind `alias` on the node at `url`."""
    return answers_ok(f"{url}/_alias/{alias}")


def require_memory(heap_mb: int) -> None:
    """Raise TooLittleMemory if a node with this heap would not fit beside what runs."""
    needed = (heap_mb + MEMORY_BESIDE_HEAP_MB) * 1024 * 1024
    available = psutil.virtual_memory().available
    if available < needed:
        raise TooLittleMemory(needed, available, heap_mb)


def _copy_within_reach(home: Path, folder: Path) -> Path:
    """Return a copy of the distribution below `folder`, for a user that cannot read the original."""
    copy = folder / f"elasticsearch-{VERSION}"
    if not copy.exists():
        draft = folder / ".draft"
        shutil.rmtree(draft, ignore_errors=True)
        shutil.copytree(home, draft, symlinks=True)
        draft.rename(copy)
    return copy


def _configure(home: Path, folder: Path, port: int) -> None:
    for name in ("config", "data", "logs", "tmp"):
        (folder / name).mkdir(exist_ok=True)
    config = folder / "config"
    shutil.copyfile(home / "config" / "jvm.options", config / "jvm.options")
    (config / "log4j2.properties").write_text(LOGGING)
    quoted = str(folder).replace("'", "''")
    (config / "elasticsearch.yml").write_text(
        CONFIGURATION.format(name="nitamono", host=LOOPBACK, port=port, folder=quoted)
    )


def _environment(environ: Mapping[str, str], folder: Path, jdk: Path | None, heap_mb: int) -> dict[str, str]:
    """Return the environment of the node, without the caller's JVM options."""
    chosen = {"ES_JAVA_HOME": str(jdk)} if jdk else {}
    return {
        "PATH": environ.get("PATH", os.defpath),
        "HOME": str(folder),
        "LANG": environ.get("LANG", "C.UTF-8"),
        "ES_PATH_CONF": str(folder / "config"),
        "ES_TMPDIR": str(folder / "tmp"),
        "ES_JAVA_OPTS": f"-Xms{heap_mb}m -Xmx{heap_mb}m",
        **chosen,
    }
