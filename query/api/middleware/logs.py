"""gunicorn's logs and those of the app: with the ids of the request, and without API keys."""

from __future__ import annotations

import logging
import os
from datetime import timedelta
from typing import Any, Final

from gunicorn import glogging

from settings.environment import read_settings
from telemetry.ids import Ids, ids_of
from telemetry.logs import formatter, line
from telemetry.settings import LogSettings

LINE: Final = "%(asctime)s [%(process)d] [%(levelname)s] [%(request_id)s] %(name)s: %(message)s"


class Logger(glogging.Logger):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's logger, which also writes the warnings of the app and of its libraries."""

    _form = "text"

    def setup(self, cfg: Any) -> None:
        """Configure the logs; gunicorn calls it again when it reloads."""
        super().setup(cfg)
        self._form = read_settings(LogSettings, os.environ).form
        for handler in (*self.error_log.handlers, *self.access_log.handlers):
            handler.setFormatter(formatter(self._form, handler.formatter._fmt, self.datefmt))
        of_the_app = logging.StreamHandler()
        of_the_app.setFormatter(formatter(self._form, LINE, self.datefmt))
        logging.basicConfig(handlers=[of_the_app])  # does nothing the second time

    def access(self, resp: Any, req: Any, environ: dict[str, Any], request_time: timedelta) -> None:
        """Log a request, without its query string, which may hold ids of users."""
        if self._form == "text" or not self.cfg.accesslog:
            super().access(resp, req, environ, request_time)
            return
        with ids_of(environ.get("nitamono.ids", Ids())):
            self.access_log.info(
                line(
                    "request",
                    method=environ["REQUEST_METHOD"],
                    path=environ.get("PATH_INFO", ""),
                    status=resp.status_code,
                    bytes=getattr(resp, "sent", None),
                    ms=request_time.total_seconds() * 1000,
                    address=environ.get("REMOTE_ADDR", ""),
                    agent=environ.get("HTTP_USER_AGENT", "")[:200],
                )
            )
