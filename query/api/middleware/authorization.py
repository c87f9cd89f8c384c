"""Which role each endpoint needs, and which one the caller of a request has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from flask import g, request

from query.access.key_ring import KeyRing
from query.access.roles import Role
from query.api.errors import InvalidKey, KeyRequired, RoleRequired
from query.api.middleware.client_address import counted_address, is_loopback
from query.api.middleware.rate_limits import Counter, RateLimits
from query.api.settings import QuerySettings

REQUIRED: Final[Mapping[str, Role | None]] = {
    "GET /healthz": None,
    "GET /readyz": None,  # without the role read it answers with the status alone
    "GET /openapi.json": None,
    "GET /schemas/listing.json": None,
    "GET /docs": None,
    "GET /docs/swagger/<path:filename>": None,
    "GET /static/<path:filename>": None,
    "GET /": Role.READ,
    "GET /items/<listing_id:item_id>": Role.READ,
    "GET /photos/<listing_id:item_id>/<number>": Role.READ,
    "GET /v1/listings": Role.READ,
    "GET /v1/listings/<listing_id:item_id>": Role.READ,
    "GET /v1/listings/<listing_id:item_id>/similar": Role.READ,
    "GET /v1/listings/<listing_id:item_id>/indexing": Role.INGEST,
    "PUT /v1/listings/<listing_id:item_id>": Role.INGEST,
    "PATCH /v1/listings/<listing_id:item_id>": Role.INGEST,
    "DELETE /v1/listings/<listing_id:item_id>": Role.INGEST,
    "POST /v1/listings:batch": Role.INGEST,
    "GET /v1/jobs/<job_id>": Role.INGEST,
    "POST /v1/events": Role.INGEST,
    "GET /reports": Role.OPERATE,
    "GET /reports/<name>": Role.OPERATE,
    "GET /operator": Role.OPERATE,
    "GET /metrics": Role.OPERATE,
}
"""The role that each endpoint needs, or None for those that need no key and count towards no limit.

HEAD needs what GET does. OPTIONS needs nothing: browsers send it without credentials. An endpoint that is
missing here needs the role operate.
"""

_SAFE: Final = frozenset({"GET", "HEAD"})

_FORWARDED: Final = frozenset({"HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED", "HTTP_VIA"})
"""The headers that proxies add, as WSGI names them."""


def required_role(method: str, rule: str) -> Role | None:
    """Return the role that an endpoint needs, given its method and its rule in Flask."""
    if method == "OPTIONS":
        return None
    return REQUIRED.get(f"{'GET' if method == 'HEAD' else method} {rule}", Role.OPERATE)


@dataclass(frozen=True)
class Caller:
    """Who sent a request, as far as it matters."""

    role: Role | None
    """None without a key where reading needs one."""
    key_id: str | None = None
    is_open: bool = False
    """Whether the server is open: nobody needs a key, and there are no limits."""

    def may(self, role: Role) -> bool:
        """Whether the caller has the role or one that includes it."""
        return self.role is not None and self.role >= role


class Guard:
    """Checks the key, the rate limit and the role of each request before its route."""

    def __init__(self, settings: QuerySettings, keys: KeyRing) -> None:
        """Neither Elasticsearch nor Redis is called yet."""
        access = settings.access
        self._keys = keys
        self._may_be_open = not settings.is_reachable
        self._anonymous = Role.READ if access.public_read else None
        counter = Counter(settings.redis_url, settings.elasticsearch.prefix)
        self._key_limits = RateLimits("key", access.rate_limit_per_key, counter)
        self._address_limits = RateLimits("address", access.rate_limit_per_address, counter)

    def check(self) -> None:
        """Check the current request. It is a `before_request` function.

        Raises:
            InvalidKey, KeyRequired, RoleRequired, TooManyRequests, KeysUnavailable
        """
        if request.url_rule is None:  # Flask answers with 404 or 405
            return
        needed = required_role(request.method, request.url_rule.rule)
        if needed is None:
            return
        caller = self.counted_caller()
        if not caller.may(needed):
            raise self._refusal(caller, needed)
        g.caller = caller

    def is_open(self) -> bool:
        """Whether the current request, which was checked, needed no key because the server is open."""
        caller: Caller = g.caller
        return caller.is_open

    def reads_are_public(self) -> bool:
        """Whether anyone would have got the answer to the current request, which was checked."""
        return self._anonymous is Role.READ or self.is_open()

    def counted_caller(self) -> Caller:
        """The caller of the current request, which is counted towards the limit of its key or address.

        Raises:
            InvalidKey, TooManyRequests, KeysUnavailable
        """
        try:
            caller = self._caller()
        except InvalidKey:
            self._count_address()
            raise
        if caller.key_id:
            self._key_limits.check(caller.key_id)
        elif not caller.is_open:
            self._count_address()
        return caller

    def _caller(self) -> Caller:
        if self._may_be_open and _is_direct() and self._keys.none_exist():
            return Caller(Role.OPERATE, is_open=True)
        text = _presented_key()
        if text is None:
            return Caller(self._anonymous)
        key = self._keys.holder(text)
        if key is None:
            raise InvalidKey
        return Caller(key.role, key.id)

    def _count_address(self) -> None:
        self._address_limits.check(counted_address(request.remote_addr or ""))

    def _refusal(self, caller: Caller, needed: Role) -> KeyRequired | RoleRequired:
        if caller.key_id:
            found = caller.role.label if caller.role else "none"
            return RoleRequired(f"the API key has the role {found}, this needs {needed.label}")
        if self._may_be_open and not _is_direct():
            return KeyRequired(
                "this server has no API keys, and so answers only requests that this machine sends to "
                "localhost, not those of a proxy; `nitamono keys create` creates a key"
            )
        return KeyRequired(
            f"this needs an API key with the role {needed.label}, sent as `Authorization: Bearer KEY`"
        )


def _presented_key() -> str | None:
    """The key of the current request: "" if the header has none, None without the header.

    Browsers ask for a password, which is the key, and send it with every request to this server, also with
    those that other sites cause. So passwords count only where nothing is changed.
    """
    if "Authorization" not in request.headers:
        return None
    given = request.authorization
    if given is not None and given.type == "bearer":
        return given.token or ""
    if given is not None and given.type == "basic" and request.method in _SAFE:
        return given.password or ""
    return ""


def _is_direct() -> bool:
    """Whether this machine sent the current request to this machine, and no proxy passed it on.

    A page of any site can make a browser send requests here under a name of its own (DNS rebinding).
    """
    return (
        is_loopback(request.remote_addr or "")
        and is_loopback(request.environ.get("HTTP_HOST", "localhost"))
        and _FORWARDED.isdisjoint(request.environ)
    )
