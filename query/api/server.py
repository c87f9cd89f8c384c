"""The command line of the API."""

from __future__ import annotations

from typing import Final

GUNICORN: Final = ("gunicorn", "--config", "python:query.api.gunicorn_conf", "query.api.wsgi:application")
"""The arguments after `python -m`. Everything else is set by environment variables."""
