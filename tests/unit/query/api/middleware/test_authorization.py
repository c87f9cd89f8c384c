"""Who may call what: a server with keys, one without, and one behind a proxy."""

from __future__ import annotations

import base64
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from mappings.client import ElasticsearchSettings, connect
from query.access.key_ring import KeyRing
from query.access.keys import checksum, key_id
from query.access.roles import Role
from query.access.store import ApiKey
from query.api.app import create_app
from query.api.events import EventQueue
from query.api.middleware.authorization import REQUIRED, required_role
from query.api.middleware.logs import LINE
from query.api.middleware.settings import AccessSettings, networks
from query.api.settings import QuerySettings
from telemetry.logs import TextFormatter
from tests.events import SALT, make_shopping_event
from tests.free_port import free_port
from tests.keys import make_key, make_key_ring

CHROME = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
NO_LIMITS = AccessSettings(rate_limit_per_key="off", rate_limit_per_address="off")


@contextmanager
def served(ring: KeyRing, **changes: Any) -> Iterator[Flask]:
    """An API with these keys, whose Elasticsearch and Redis are ports that nothing listens at."""
    settings = QuerySettings(
        ElasticsearchSettings(urls=(f"http://127.0.0.1:{free_port()}",), timeout_s=2.0),
        redis_url=f"redis://127.0.0.1:{free_port()}/0",
        user_salt=SALT,
        **{"access": NO_LIMITS, **changes},
    )
    with connect(settings.elasticsearch) as es:
        yield create_app(settings, es, ring)


@pytest.fixture(autouse=True)
def queued(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was put into the queue of events, which is a list."""
    events: list[Any] = []
    monkeypatch.setattr(EventQueue, "put", lambda _, batch: events.extend(batch))
    return events


def bearer(text: str) -> dict[str, str]:
    """The header with a key."""
    return {"Authorization": f"Bearer {text}"}


def basic(text: str) -> dict[str, str]:
    """The header by which a browser sends a key as a password."""
    return {"Authorization": "Basic " + base64.b64encode(f"me:{text}".encode()).decode()}


def send(api: FlaskClient, endpoint: str, headers: dict[str, str] | None = None) -> int:
    """The status of a request to an endpoint of the table."""
    method, rule = endpoint.split()
    path = rule.replace("<listing_id:item_id>", "m1").replace("<number>", "0").replace("<name>", "n")
    path = path.replace("<job_id>", "0")
    path = path.replace("<path:filename>", "style.css" if "static" in rule else "css/swagger-ui.css")
    given = dict(headers or {})
    peer = {"REMOTE_ADDR": given.pop("X-Peer")} if "X-Peer" in given else {}
    body = {"events": [make_shopping_event("tap", time=datetime.now(UTC).isoformat())]}
    json = body if method == "POST" else None
    return api.open(path, method=method, headers=given, json=json, environ_overrides=peer).status_code


def allowed(api: FlaskClient, headers: dict[str, str] | None = None) -> set[str]:
    """The endpoints that let a request through; without Elasticsearch most then answer 503, some 404."""
    return {endpoint for endpoint in REQUIRED if send(api, endpoint, headers) not in {401, 403}}


def of_role(*roles: Role | None) -> set[str]:
    """The endpoints that need one of these roles."""
    return {endpoint for endpoint, role in REQUIRED.items() if role in roles}


def test_the_table_has_every_endpoint_and_no_other() -> None:
    """A new one must be given a role; until then it needs that of operators."""
    with served(make_key_ring()) as app:
        rules = {
            f"{method} {rule.rule}"
            for rule in app.url_map.iter_rules()
            for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        }
    assert rules == set(REQUIRED)
    assert required_role("DELETE", "/v1/events") is Role.OPERATE
    assert required_role("HEAD", "/v1/listings") is Role.READ


def test_a_role_opens_its_endpoints_and_those_of_the_roles_it_includes() -> None:
    """And no others; without a key, only what needs none."""
    keys = {role: make_key(role) for role in Role}
    with served(make_key_ring(*(stored for _, stored in keys.values()))) as app:
        api = app.test_client()
        assert allowed(api) == of_role(None)
        assert allowed(api, bearer(keys[Role.READ][0])) == of_role(None, Role.READ)
        assert allowed(api, bearer(keys[Role.INGEST][0])) == of_role(None, Role.READ, Role.INGEST)
        assert allowed(api, bearer(keys[Role.OPERATE][0])) == set(REQUIRED)


def test_public_reads_need_no_key_and_everything_else_does() -> None:
    """A key that is sent must be valid all the same."""
    text, stored = make_key(Role.INGEST)
    access = replace(NO_LIMITS, public_read=1)
    with served(make_key_ring(stored), host="0.0.0.0", access=access) as app:
        api = app.test_client()
        assert allowed(api) == of_role(None, Role.READ)
        assert allowed(api, bearer(text)) == of_role(None, Role.READ, Role.INGEST)
        assert allowed(api, bearer(make_key()[0])) == of_role(None) - {"GET /readyz"}


@pytest.mark.parametrize(
    ("changes", "headers"),
    [
        ({"host": "0.0.0.0"}, {}),
        ({"host": "192.0.2.7"}, {}),
        ({"host": "shop.example"}, {}),
        ({}, {"X-Forwarded-For": "192.0.2.9"}),
        ({}, {"Forwarded": "for=192.0.2.9"}),
        ({}, {"Via": "1.1 proxy"}),
        ({}, {"Host": "rebound.example:8000"}),
        ({}, {"X-Peer": "192.0.2.9"}),
        ({"access": replace(NO_LIMITS, trusted_proxies=networks("192.0.2.0/24"))}, {}),
    ],
)
def test_without_keys_only_direct_requests_of_this_machine_are_open(
    changes: dict[str, Any], headers: dict[str, str]
) -> None:
    """Whatever started the server, and wherever it really listens."""
    with served(make_key_ring(), **changes) as app:
        assert allowed(app.test_client(), headers) == of_role(None)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.9", "localhost", "::1", "[::1]"])
def test_without_keys_a_server_on_loopback_is_open(host: str, queued: list[Any]) -> None:
    """As `make demo` starts it. Whatever a client sends as a key is ignored."""
    with served(make_key_ring(), host=host) as app:
        api = app.test_client()
        assert allowed(api) == set(REQUIRED)
        assert allowed(api, basic("of another program")) == set(REQUIRED)
        assert len(queued) == 2


def test_one_key_closes_a_server_on_loopback_even_when_it_has_ended() -> None:
    """Revoking the last key must not open everything."""
    _, stored = make_key(Role.OPERATE, revoked_at=datetime.now(UTC) - timedelta(days=30))
    with served(make_key_ring(stored)) as app:
        assert allowed(app.test_client()) == of_role(None)


def test_while_the_keys_are_unknown_nothing_is_open() -> None:
    """503 with a time to come back, for valid keys too. The process itself is well."""
    with connect(ElasticsearchSettings(urls=(f"http://127.0.0.1:{free_port()}",))) as es:
        ring = KeyRing.of(es, "shop")
    with served(ring) as app:
        api = app.test_client()
        statuses = {endpoint: send(api, endpoint, bearer(make_key()[0])) for endpoint in REQUIRED}
        assert {statuses[endpoint] for endpoint in of_role(*Role)} == {503}
        assert (statuses["GET /healthz"], statuses["GET /readyz"]) == (200, 503)
        answer = api.get("/reports")
        assert answer.headers["Retry-After"]
        assert "API keys" in answer.json["detail"] if answer.json else False


class Attacker:
    """Sends requests that must not pass, as somebody might who has seen keys."""

    def __init__(self, seed: int, valid: str, others: list[str]) -> None:
        self._random = random.Random(seed)
        self._valid, self._others = valid, others

    def key(self) -> str:
        """A key that opens nothing: revoked, expired, changed, cut off, of another server, or no key."""
        made = self._random.choice(
            [self._other, self._changed, self._cut, self._well_formed, self._noise, self._decorated]
        )
        return made()

    def _other(self) -> str:
        return self._random.choice(self._others)

    def _changed(self) -> str:
        at = self._random.randrange(9, len(self._valid))
        letter = self._random.choice([each for each in "azAZ09" if each != self._valid[at]])
        return self._valid[:at] + letter + self._valid[at + 1 :]

    def _cut(self) -> str:
        return self._valid[: self._random.randrange(len(self._valid))]

    def _well_formed(self) -> str:
        """The id and any part of the secret of a valid key, with a checksum that is right."""
        kept = self._random.randrange(22, 65)
        alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
        first = self._random.choice(alphabet.replace(self._valid[kept], ""))
        body = self._valid[:kept] + first + "".join(self._random.choices(alphabet, k=64 - kept))
        return body + checksum(body)

    def _noise(self) -> str:
        return "".join(chr(self._random.randrange(33, 256)) for _ in range(self._random.randrange(200)))

    def _decorated(self) -> str:
        before, after = self._random.choice([("x", ""), ("", "x"), ("%20", ""), ('"', '"'), ("", ",b")])
        return before + self._valid + after

    def headers(self) -> dict[str, str]:
        """The headers of one request."""
        text = self.key()
        return self._random.choice(
            [
                bearer(text),
                {"Authorization": f"bearer {text}"},
                {"Authorization": text},
                {"Authorization": f"Token {text}"},
                basic(text.encode(errors="replace").decode()),
                {"X-Api-Key": self._valid},
                {"Cookie": f"key={self._valid}"},
                {"Proxy-Authorization": f"Bearer {self._valid}"},
                {"X-Forwarded-For": "127.0.0.1"},
            ]
        )


def test_a_thousand_requests_with_bad_keys_do_not_pass(queued: list[Any], caplog: Any) -> None:
    """Revoked, expired, malformed, forged with a right checksum, of another server, or in the wrong place."""
    now = datetime.now(UTC)
    valid, stored = make_key(Role.OPERATE)
    revoked, revoked_stored = make_key(Role.OPERATE, revoked_at=now)
    expired, expired_stored = make_key(Role.OPERATE, expires_at=now)
    others = [revoked, expired, *(make_key(Role.OPERATE)[0] for _ in range(5))]
    attacker = Attacker(15, valid, others)
    endpoints = sorted(of_role(*Role))
    with served(make_key_ring(stored, revoked_stored, expired_stored)) as app:
        api = app.test_client()
        assert send(api, "GET /reports", bearer(valid)) == 200
        for number in range(1_000):
            headers = attacker.headers()
            assert send(api, endpoints[number % len(endpoints)], headers) == 401, headers
    assert queued == []
    assert not any(key_id(text) in caplog.text for text in (valid, *others))


def test_a_thousand_requests_with_the_wrong_role_do_not_pass(queued: list[Any]) -> None:
    """Each endpoint with each lower role, by every method that Flask knows."""
    keys = [make_key(role) for role in Role]
    sender = random.Random(15)
    with served(make_key_ring(*(stored for _, stored in keys))) as app:
        api = app.test_client()
        for _ in range(1_000):
            text, stored = sender.choice(keys[:-1])
            endpoint = sender.choice(sorted(each for each in of_role(*Role) if REQUIRED[each] > stored.role))
            assert send(api, endpoint, bearer(text)) == 403, endpoint
    assert queued == []


@pytest.mark.parametrize("place", ["header", "path", "query", "name of an event"])
def test_no_error_and_no_log_repeats_a_key(place: str, caplog: pytest.LogCaptureFixture) -> None:
    """Wherever it was put by mistake, whole or cut off."""
    caplog.handler.setFormatter(TextFormatter(LINE))
    text, stored = make_key(Role.INGEST)
    secret = text[22:]
    with served(make_key_ring(stored)) as app:
        api = app.test_client()
        if place == "header":
            answers = [api.get("/v1/listings", headers={"Authorization": f"Bearer {text}x"})]
        elif place == "path":
            answers = [
                api.get(f"/v1/listings/{text}", headers=bearer(text)),
                api.get(f"/{text}", headers=CHROME),
            ]
        elif place == "query":
            answers = [
                api.get(f"/v1/listings?size={text}", headers=bearer(text)),
                api.get(f"/v1/listings?{text}=1", headers=bearer(text)),
            ]
        else:
            body = {"events": [make_shopping_event("tap", event_id=text, **{text: 1})]}
            answers = [api.post("/v1/events", headers=bearer(text), json=body)]
    for answer in answers:
        assert answer.status_code >= 400
        assert secret[:20] not in answer.text
        assert secret[:20] not in str(answer.headers)
    assert secret[:20] not in caplog.text


def test_a_page_asks_the_browser_for_a_key_and_the_api_does_not() -> None:
    """A script's request must not open a dialog. The password of the dialog is the key."""
    text, stored = make_key(Role.OPERATE)
    with served(make_key_ring(stored)) as app:
        api = app.test_client()
        page = api.get("/reports", headers=CHROME)
        assert (page.status_code, page.content_type) == (401, "text/html; charset=utf-8")
        schemes = page.headers.getlist("WWW-Authenticate")
        assert [scheme.split()[0] for scheme in schemes] == ["Bearer", "Basic"]
        assert api.get("/reports", headers=basic(text)).status_code == 200
        (scheme,) = api.get("/v1/listings", headers=bearer("x")).headers.getlist("WWW-Authenticate")
        assert scheme == 'Bearer realm="nitamono", error="invalid_token"'


def test_a_password_that_browsers_send_by_themselves_changes_nothing(queued: list[Any]) -> None:
    """Another site could cause the request (CSRF)."""
    text, stored = make_key(Role.OPERATE)
    with served(make_key_ring(stored)) as app:
        assert send(app.test_client(), "POST /v1/events", basic(text)) == 401
    assert queued == []


def test_a_refusal_names_the_roles_and_the_next_step() -> None:
    """As problem+json."""
    text, stored = make_key(Role.READ)
    with served(make_key_ring(stored)) as app:
        api = app.test_client()
        forbidden = api.post("/v1/events", headers=bearer(text), json={}).get_json(force=True)
        assert forbidden["type"] == "urn:nitamono:problem:role-required"
        assert forbidden["detail"] == "the API key has the role read, this needs ingest"
        missing = api.get("/v1/listings").get_json(force=True)
        assert missing["type"] == "urn:nitamono:problem:key-required"
        assert "role read, sent as `Authorization: Bearer KEY`" in missing["detail"]
    with served(make_key_ring()) as app:
        answer = app.test_client().get("/v1/listings", headers={"X-Forwarded-For": "192.0.2.9"})
        proxied = answer.get_json(force=True)["detail"]
        assert "sends to localhost, not those of a proxy; `nitamono keys create` creates a key" in proxied


def test_methods_that_an_endpoint_lacks_are_405_without_a_key() -> None:
    """The OpenAPI document, which needs no key, lists the others."""
    with served(make_key_ring(make_key()[1])) as app:
        assert app.test_client().delete("/v1/listings").status_code == 405
        assert app.test_client().get("/nowhere").status_code == 404


def test_stored_keys_have_no_secret() -> None:
    """What a server keeps in memory does not open anything."""
    text, stored = make_key()
    assert text[22:] not in repr(stored)
    assert isinstance(stored, ApiKey)
