"""Who gets a number, and which."""

from __future__ import annotations

import pytest
from flask import Request, Response
from werkzeug.test import EnvironBuilder

from query.web.visitor import COOKIE, remember, visitor_of

KNOWN = "0123456789abcdef" * 2


def request_with(cookie: str | None = None, scheme: str = "http", **headers: str) -> Request:
    """A request for a page."""
    given = headers | ({"Cookie": f"{COOKIE}={cookie}"} if cookie else {})
    return Request(EnvironBuilder(base_url=f"{scheme}://shop.example", headers=given).get_environ())


def test_a_known_visitor_keeps_the_number() -> None:
    """And gets no second cookie."""
    request = request_with(KNOWN)
    assert visitor_of(request) == KNOWN
    assert "Set-Cookie" not in remember(Response(), KNOWN, request).headers


@pytest.mark.parametrize("cookie", [None, "", "short", KNOWN.upper(), KNOWN + "0", "../../etc"])
def test_any_other_gets_a_new_one(cookie: str | None) -> None:
    """Of chance: what a browser makes up is not taken into the page."""
    first, second = visitor_of(request_with(cookie)), visitor_of(request_with(cookie))
    assert first is not None
    assert len(first) == 32
    assert first != second


@pytest.mark.parametrize(("scheme", "secure"), [("http", False), ("https", True)])
def test_the_cookie_is_of_this_site_alone(scheme: str, secure: bool) -> None:
    """Closed to scripts; over https never sent in the clear."""
    request = request_with(scheme=scheme)
    cookie = remember(Response(), KNOWN, request).headers["Set-Cookie"]
    assert cookie.startswith(f"{COOKIE}={KNOWN};")
    assert "SameSite=Lax" in cookie
    assert "HttpOnly" in cookie
    assert ("Secure" in cookie) is secure
    assert "Max-Age=31536000" in cookie


def test_who_asks_not_to_be_followed_has_no_number() -> None:
    """Even if one was given before."""
    assert visitor_of(request_with(KNOWN, **{"Sec-GPC": "1"})) is None
