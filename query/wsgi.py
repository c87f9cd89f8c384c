"""The application as a server starts it: `gunicorn -c python:query.gunicorn_conf query.wsgi:application`.

Importing this module is starting the process: here, and nowhere else, the environment is read.
"""

from __future__ import annotations

import os

from mappings.client import connect
from query.app import create_app
from query.settings import QuerySettings

_settings = QuerySettings.from_environ(os.environ)
application = create_app(_settings, connect(_settings.elasticsearch))
