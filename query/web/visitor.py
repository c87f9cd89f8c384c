"""Who looks at the pages: a random number in a cookie of this site, which no other site is told."""

from __future__ import annotations

import re
import secrets
from typing import Final

from flask import Request, Response

COOKIE: Final = "nitamono-visitor"
YEAR_S: Final = 365 * 86_400

_NUMBER: Final = re.compile(r"[0-9a-f]{32}")


def visitor_of(request: Request) -> str | None:
    """The visitor's number, a new one where there is none yet; None for those who ask not to be followed.

    They ask by Global Privacy Control (https://www.w3.org/TR/gpc/).
    """
    if request.headers.get("Sec-GPC") == "1":
        return None
    known = request.cookies.get(COOKIE, "")
    return known if _NUMBER.fullmatch(known) else secrets.token_hex(16)


def remember(answer: Response, visitor: str, request: Request) -> Response:
    """The answer, which has the browser keep the number for a year."""
    if request.cookies.get(COOKIE) != visitor:
        answer.set_cookie(
            COOKIE, visitor, max_age=YEAR_S, samesite="Lax", httponly=True, secure=request.is_secure
        )
    return answer
