"""Ids of visitors: a random number in a first-party cookie."""

from __future__ import annotations

import re
import secrets
from typing import Final

from flask import Request, Response

COOKIE: Final = "nitamono-visitor"
YEAR_S: Final = 365 * 86_400

_NUMBER: Final = re.compile(r"[0-9a-f]{32}")


def visitor_of(request: Request) -> str | None:
    """The visitor's number, a new one if there is none yet; None if the visitor opts out of tracking.

    The opt-out is Global Privacy Control (https://www.w3.org/TR/gpc/).
    """
    if request.headers.get("Sec-GPC") == "1":
        return None
    known = request.cookies.get(COOKIE, "")
    return known if _NUMBER.fullmatch(known) else secrets.token_hex(16)


def remember(answer: Response, visitor: str, request: Request) -> Response:
    """Add the cookie, which the browser keeps for a year, to the response."""
    if request.cookies.get(COOKIE) != visitor:
        answer.set_cookie(
            COOKIE, visitor, max_age=YEAR_S, samesite="Lax", httponly=True, secure=request.is_secure
        )
    return answer
