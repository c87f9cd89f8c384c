"""URLs of photos: which are allowed, how they are sent, and where redirects lead."""

from __future__ import annotations

from urllib.parse import SplitResult, quote, quote_from_bytes, urljoin, urlsplit

import httpcore

from indexer.errors import PhotoRefused

# What RFC 3986 allows in a path. `%` is kept, since references are percent-encoded already.
URL_SAFE = "/%:@!$&'()*+,;=~-._"
PRINTABLE_ASCII = "".join(map(chr, range(0x21, 0x7F)))


def checked_url(url: str) -> SplitResult:
    """Return the parts of an http(s) URL.

    Raises:
        PhotoRefused: it has another scheme, no host, a user name, or an invalid port.
    """
    try:
        parts = urlsplit(url.strip())
        host = parts.hostname or ""
        # getaddrinfo would end the name at a NUL.
        usable = bool(host) and host.isprintable() and parts.username is None and parts.port != 0
    except ValueError as error:
        raise PhotoRefused("photo_url_malformed", f"{url[:200]!r}: {error}") from error
    if parts.scheme not in {"http", "https"}:
        raise PhotoRefused("photo_scheme_not_allowed", f"{url[:200]!r}; expected http or https")
    if not usable:
        raise PhotoRefused(
            "photo_url_malformed", f"{url[:200]!r}; expected a host, no user name and a port above 0"
        )
    return parts


def request_url(parts: SplitResult) -> httpcore.URL:
    """Return the URL as it is sent: the host in its ASCII form (IDNA), the rest percent-encoded.

    Raises:
        PhotoRefused: the host has no ASCII form, or the path has half a surrogate pair.
    """
    try:
        host = (parts.hostname or "").encode("idna")
        target = quote(parts.path or "/", safe=URL_SAFE)
        if parts.query:
            target += "?" + quote(parts.query, safe=URL_SAFE + "?")
    except UnicodeError as error:
        raise PhotoRefused("photo_url_malformed", f"{parts.geturl()[:200]!r}: {error}") from error
    return httpcore.URL(scheme=parts.scheme.encode(), host=host, port=parts.port, target=target.encode())


def location_text(value: bytes) -> str:
    """Return the URL of a `Location` header. It should be percent-encoded; many hosts send UTF-8, which
    browsers accept. Bytes in another encoding are percent-encoded one by one, so that the host gets the same.
    """
    try:
        return value.decode()
    except UnicodeDecodeError:
        return quote_from_bytes(value, safe=PRINTABLE_ASCII)


def redirect_target(url: str, location: str) -> str:
    """Return the URL that a redirect from `url` leads to.

    Raises:
        PhotoRefused: it leads from https to http, where the photo could be replaced; or it is not a URL.
    """
    try:
        target = urljoin(url, location)
    except ValueError as error:
        raise PhotoRefused("photo_url_malformed", f"redirect to {location[:200]!r}: {error}") from error
    if checked_url(url).scheme == "https" and checked_url(target).scheme != "https":
        raise PhotoRefused(
            "photo_insecure_redirect", f"{url[:200]} redirects to {target[:200]}; expected https"
        )
    return target
