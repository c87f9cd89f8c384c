"""The WSGI application: `gunicorn -c python:query.api.gunicorn_conf query.api.wsgi:application`.

Importing this module is starting the process: here, and nowhere else, the environment is read.
"""

from __future__ import annotations

import os

from mappings.client import connect
from query.api.app import create_app
from query.api.settings import QuerySettings

_settings = QuerySettings.from_environ(os.environ)
application = create_app(_settings, connect(_settings.elasticsearch))
