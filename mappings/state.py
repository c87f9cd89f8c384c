"""The folder in which `make up` keeps what a shell beside it needs as well."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from mappings.errors import InvalidSetting

REPOSITORY = Path(__file__).resolve().parents[1]

SERVICES: Final = "services.json"
"""The file in the state folder with the settings that `make up` started the services with."""

_URL_OF_PORT: Final = {
    "NITAMONO_ES_PORT": ("ELASTICSEARCH_URL", "http://127.0.0.1:{}"),
    "NITAMONO_REDIS_PORT": ("NITAMONO_REDIS_URL", "redis://127.0.0.1:{}/0"),
}


def state_folder(environ: Mapping[str, str]) -> Path:
    """NITAMONO_STATE, or `.nitamono` in the clone."""
    return Path(environ.get("NITAMONO_STATE") or REPOSITORY / ".nitamono")


def recorded_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that `make up` recorded in the state folder, whether its services still run or not; none
    where it never ran.

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
        raise InvalidSetting(f"{path}: {error}; delete it, and `make up` writes it again") from error


def with_services(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment in which a command finds the services that `make up` started.

    What the environment names counts, a port as the server of ours that listens on it; the rest is what
    `make up` recorded.

    Raises:
        InvalidSetting: the record cannot be read.
    """
    given = {name: value for name, value in environ.items() if value}
    ports = {url: form.format(given[port]) for port, (url, form) in _URL_OF_PORT.items() if port in given}
    return {**environ, **recorded_settings(environ), **ports, **given}
