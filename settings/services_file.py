"""The record of the services that `make up` started, for commands in other shells."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from settings.errors import InvalidSetting

REPOSITORY = Path(__file__).resolve().parents[1]

SERVICES: Final = "services.json"
"""The file in the state folder with the settings that the services were started with."""

SERVERS: Final = {"ELASTICSEARCH_URL": "NITAMONO_ES_PORT", "NITAMONO_REDIS_URL": "NITAMONO_REDIS_PORT"}
"""The variable with the URL of each server, and the one with the port of our own."""

CHOSEN_FOR_THE_ENCODER: Final = frozenset({"NITAMONO_RANKING_FILE", "NITAMONO_MIN_SIMILARITY"})
"""The recorded variables that are wrong for another encoder."""

CHOSEN_FOR_THE_SERVERS: Final = CHOSEN_FOR_THE_ENCODER | {
    "NITAMONO_INDEX_PREFIX",
    "NITAMONO_ENCODER_DIR",
    "NITAMONO_EXPERIMENTS_DIR",
}
"""The recorded variables that are wrong for another server."""

_URL_OF_PORT: Final = {
    "NITAMONO_ES_PORT": ("ELASTICSEARCH_URL", "http://127.0.0.1:{}"),
    "NITAMONO_REDIS_PORT": ("NITAMONO_REDIS_URL", "redis://127.0.0.1:{}/0"),
}


def state_folder(environ: Mapping[str, str]) -> Path:
    """Return NITAMONO_STATE_DIR, or `.nitamono` in the clone."""
    return Path(environ.get("NITAMONO_STATE_DIR") or REPOSITORY / ".nitamono")


def recorded_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that `make up` recorded in the state folder; none if it never ran.

    Raises:
        InvalidSetting: the file cannot be read.
    """
    path = state_folder(environ) / SERVICES
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
        return {name: str(value) for name, value in dict(settings).items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError) as error:
        raise InvalidSetting(f"{path}: {error}; delete the file, and `make up` writes it again") from error


def with_services(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment in which a command finds the services that `make up` started.

    A variable of the environment wins, then a port of our own servers, then the record, without what was
    chosen for another server or encoder.

    Raises:
        InvalidSetting: the record cannot be read.
    """
    given = {name: value for name, value in environ.items() if value}
    ports = {url: form.format(given[port]) for port, (url, form) in _URL_OF_PORT.items() if port in given}
    recorded = recorded_settings(environ)
    ignored = chosen_for_another({**ports, **given}, recorded)
    if names_other_server({**ports, **given}, recorded):
        ignored |= {*SERVERS, *SERVERS.values()}
    recorded = {name: value for name, value in recorded.items() if name not in ignored}
    return {**environ, **recorded, **ports, **given}


def chosen_for_another(environ: Mapping[str, str], recorded: Mapping[str, str]) -> frozenset[str]:
    """Return the recorded variables that are wrong for the servers or the encoder that `environ` names."""
    if names_other_server(environ, recorded):
        return CHOSEN_FOR_THE_SERVERS
    encoder = environ.get("NITAMONO_ENCODER_DIR")
    return (
        CHOSEN_FOR_THE_ENCODER if encoder and encoder != recorded.get("NITAMONO_ENCODER_DIR") else frozenset()
    )


def names_other_server(environ: Mapping[str, str], recorded: Mapping[str, str]) -> bool:
    """Whether `environ` has the URL of a server other than the recorded one."""
    return any(not same_address(environ[url], recorded.get(url, "")) for url in SERVERS if environ.get(url))


def same_address(one: str, other: str) -> bool:
    """Whether two URLs, or comma-separated lists of URLs, are those of the same servers.

    `localhost` is 127.0.0.1; user and password, an empty path and Redis database 0 make no difference.
    """
    return _canonical(one) == _canonical(other)


def without_passwords(urls: str) -> str:
    """Return the comma-separated URLs without user names and passwords."""
    return ",".join(re.sub(r"//\S*@", "//", url) for url in urls.split(","))


def _canonical(urls: str) -> list[str]:
    bare = (url.strip().removesuffix("/").removesuffix("/0") for url in without_passwords(urls).split(","))
    return sorted(url.replace("//localhost", "//127.0.0.1", 1) for url in bare)
