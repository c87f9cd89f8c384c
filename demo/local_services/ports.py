"""Loopback ports: which are free, which process uses the others, and whether a server answers."""

from __future__ import annotations

import http.client
import socket
import urllib.error
import urllib.request
from http import HTTPStatus

import psutil

from demo.local_services.errors import PortInUse

LOOPBACK = "127.0.0.1"


def is_free(port: int) -> bool:
    """Return whether a server can listen on `port` of the loopback address."""
    if _answers(port):
        return False  # on macOS a bind beside a listener on 0.0.0.0 succeeds, so ask first
    with socket.socket() as probe:
        # A port in TIME_WAIT is free for a server.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def require_free(port: int, *, title: str, setting: str, alternative: str = "") -> None:
    """Raise PortInUse if `port` is taken.

    It names the setting that moves `title` elsewhere, and the `alternative` that uses what is there.
    """
    if not is_free(port):
        raise PortInUse(title, port, occupant(port), setting=setting, alternative=alternative)


def occupant(port: int) -> str | None:
    """Return who listens on `port` as 'name (pid 12)', or None where the system does not say."""
    try:
        connections = psutil.net_connections(kind="tcp")
    except psutil.AccessDenied:  # on macOS only root may know
        return None
    pids = {
        found.pid
        for found in connections
        if found.status == psutil.CONN_LISTEN and found.laddr and found.laddr.port == port and found.pid
    }
    return next((f"{_process_name(pid)} (pid {pid})" for pid in sorted(pids)), None)


def answers_ok(url: str) -> bool:
    """Return whether a server of ours answers `url` with 200 within two seconds."""
    return status_of(url) == HTTPStatus.OK


def status_of(url: str) -> int:
    """Return the status with which a server of ours answers `url`; 0 without an answer within two seconds."""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - http, on this machine
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
    except (OSError, http.client.HTTPException):
        return 0


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((LOOPBACK, port)) == 0


def _process_name(pid: int) -> str:
    try:
        return psutil.Process(pid).name()
    except psutil.Error:
        return "a process"
