"""gunicorn's logs and those of the app: with the id of the request, and without API keys."""

from __future__ import annotations

import logging
from typing import Any, Final

from gunicorn import glogging

from query.access.keys import redacted
from query.api.middleware.request_ids import current_request_id

LINE: Final = "%(asctime)s [%(process)d] [%(levelname)s] [%(request_id)s] %(name)s: %(message)s"


class LogFormatter(logging.Formatter):
    """Formats records with `request_id`; a key in a message, a URL or a traceback is cut out."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, with what follows it."""
        record.request_id = current_request_id()
        return redacted(super().format(record))


class Logger(glogging.Logger):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's logger, which also writes the warnings of the app and of its libraries."""

    def setup(self, cfg: Any) -> None:
        """Configure the logs; gunicorn calls it again when it reloads."""
        super().setup(cfg)
        for handler in (*self.error_log.handlers, *self.access_log.handlers):
            handler.setFormatter(LogFormatter(handler.formatter._fmt, self.datefmt))
        of_the_app = logging.StreamHandler()
        of_the_app.setFormatter(LogFormatter(LINE, self.datefmt))
        logging.basicConfig(handlers=[of_the_app])  # does nothing the second time
