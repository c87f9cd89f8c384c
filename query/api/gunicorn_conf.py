"""gunicorn's settings: `gunicorn -c python:query.api.gunicorn_conf query.api.wsgi:application`.

Variables of the environment: NITAMONO_API_HOST, NITAMONO_API_PORT, NITAMONO_API_WORKERS,
NITAMONO_API_THREADS, and those that `query.api.settings` names.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from mappings.client import connect
from query.api.experiments import checked_settings
from query.api.middleware.start_check import require_keys
from settings.errors import UserError
from telemetry.shared_files import share_metrics

# Without this, gunicorn would print a traceback, or start workers again and again that end at once.
try:
    _settings = checked_settings(os.environ)
    with connect(_settings.elasticsearch) as _es:
        require_keys(_settings, _es)
except UserError as error:
    sys.exit(f"Error: {error}")

bind = f"{_settings.host}:{_settings.port}"

# A request spends most of its time waiting for Elasticsearch, so threads carry the load of one process and
# further processes use further cores. Threads also keep a worker's heartbeat going while one of them waits.
worker_class = "gthread"
workers = _settings.workers
threads = _settings.threads

# The products of an answer's few vectors are small: more threads would only wait for one another, for
# milliseconds where other work uses the cores.
raw_env = [] if "OPENBLAS_NUM_THREADS" in os.environ else ["OPENBLAS_NUM_THREADS=1"]

# A worker without a heartbeat for this long hangs. Requests end by ELASTICSEARCH_TIMEOUT_S on their own.
timeout = 30
graceful_timeout = 15
keepalive = 5

# The longest category path in percent-encoded Japanese, at nine bytes a character, has some 4,700 bytes.
limit_request_line = 8190
limit_request_fields = 50
limit_request_field_size = 8190

# gunicorn 25 and later open a socket in the home folder for runtime commands: not asked for, and shared
# by all that run there.
control_socket_disable = True

accesslog = "-" if _settings.access_log else None
# The usual format without query strings, those of referring pages too: they may hold ids of users.
access_log_format = '%(h)s %(l)s %(u)s %(t)s "%(m)s %(U)s %(H)s" %(s)s %(b)s "%(a)s" %({x-request-id}o)s'
errorlog = "-"
logger_class = "query.api.middleware.logs.Logger"


def on_starting(server: Any) -> None:
    """Let the workers share their metrics."""
    try:
        share_metrics()
    except OSError as error:
        server.log.warning("each worker has metrics of its own: %s", error)
