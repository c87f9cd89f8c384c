"""Hostile references of photos, and hosts that answer as none should."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Final

from tests.photo_server import (
    Answer,
    broken_off,
    drip_body,
    drip_headers,
    endless_body,
    redirect,
    serve,
    silence,
)

PRIVATE, PORT = "photo_private_address", "photo_port_not_allowed"
SCHEME, MALFORMED, ROOTS = "photo_scheme_not_allowed", "photo_url_malformed", "photo_outside_roots"
UNRESOLVED = "photo_unavailable"
"""A resolver may take a form for a name that it does not know."""

ADDRESSES: Final = (
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "0",
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "017700000001",
    "0177.0.0.1",
    "0x7f.0x0.0x0.0x1",
    "127.0.0.1.",
    "127。0。0。1",
    "①②⑦.⓪.⓪.①",
    "LOCALHOST",
    "localhost.",
    "10.0.0.1",
    "172.31.255.255",
    "192.168.0.1",
    "169.254.169.254",
    "0xa9fea9fe",
    "100.100.100.200",
    "192.0.0.192",
    "198.18.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "[::]",
    "[::1]",
    "[0000:0000:0000:0000:0000:0000:0000:0001]",
    "[::127.0.0.1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:a9fe:a9fe]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b:1::7f00:1]",
    "[2002:7f00:1::]",
    "[2001:0:4136:e378:8000:63bf:3fff:fdd2]",
    "[fe80::1]",
    "[fe80::1%25eth0]",
    "[fc00::1]",
    "[fd00:ec2::254]",
    "[ff02::1]",
    "[2001:db8::1]",
    "[fec0::1]",
)
"""Addresses that are not public: private ones, clouds' metadata; mapped, translated, octal, hexadecimal."""

OTHER_URLS: Final[dict[str, tuple[str, ...]]] = {
    "http://8.8.8.8:22/": (PORT,),
    "http://8.8.8.8:25/": (PORT,),
    "https://8.8.8.8:6379/": (PORT,),
    "http://8.8.8.8:9200/_search": (PORT,),
    "http://8.8.8.8:0/": (MALFORMED,),
    "http://8.8.8.8:65536/": (MALFORMED,),
    "http://8.8.8.8:-1/": (MALFORMED,),
    "http://8.8.8.8:http/": (MALFORMED,),
    "http://192.0.2.1@127.0.0.1/": (MALFORMED,),
    "http://user:password@8.8.8.8/": (MALFORMED,),
    "http://@8.8.8.8/": (MALFORMED,),
    "http://127.0.0.1\\@192.0.2.1/": (MALFORMED, PRIVATE),
    "http://127.0.0.1#@192.0.2.1/": (PRIVATE,),
    "http://127.0.0.1?@192.0.2.1/": (PRIVATE,),
    "http://192.0.2.1%2f@127.0.0.1/": (MALFORMED,),
    "http://127.0.0.1/\r\nHost: example.com": (PRIVATE,),
    "http://127.0.0.1\r\n.example.com/": (PRIVATE, MALFORMED, UNRESOLVED),
    "http://192.0.2.1/%0d%0aX-Injected:%201": (PRIVATE,),
    "http://127.0.0.1/\x00": (PRIVATE, MALFORMED),
    "http://127.0.0.1\x00.example.com/": (MALFORMED, UNRESOLVED),
    "http://192.0.2.1/\ud800": (MALFORMED, PRIVATE),
    "http://[::1/a": (MALFORMED,),
    "http://[v1.a]/": (MALFORMED, UNRESOLVED),
    "http://a..invalid/": (MALFORMED,),
    f"http://{'a' * 70}.invalid/": (MALFORMED,),
    f"http://{'a.' * 200}invalid/": (MALFORMED, UNRESOLVED),
    "http://xn--a.invalid/": (MALFORMED, UNRESOLVED),
    "http://\u2100.invalid/": (MALFORMED,),
    "http:///etc/passwd": (MALFORMED,),
    "http:/127.0.0.1/a": (MALFORMED,),
    "http:127.0.0.1": (MALFORMED,),
    "http://": (MALFORMED,),
    "https:\\\\127.0.0.1\\a": (MALFORMED,),
    "file:///etc/passwd": (SCHEME,),
    "FILE:/etc/passwd": (SCHEME,),
    "gopher://127.0.0.1:6379/_FLUSHALL": (SCHEME,),
    "ftp://127.0.0.1/a.jpg": (SCHEME,),
    "dict://127.0.0.1:11211/stat": (SCHEME,),
    "ldap://127.0.0.1/": (SCHEME,),
    "data:image/png;base64,AAAA": (SCHEME,),
    "javascript:alert(1)": (SCHEME,),
    "jar:http://127.0.0.1/a.jar!/a": (SCHEME,),
    "unix:/var/run/docker.sock": (SCHEME,),
    "//127.0.0.1/a.jpg": (ROOTS,),
    "/etc/passwd": (ROOTS,),
    "../../etc/passwd": (ROOTS, "photo_not_found"),
    "/proc/self/environ": (ROOTS,),
    "\\\\127.0.0.1\\share\\a.jpg": (ROOTS, "photo_not_found"),
}
"""References that are refused before anything is sent."""


def hostile_urls() -> dict[str, tuple[str, ...]]:
    """Return the reasons for which each reference may be refused."""
    return {f"http://{address}/a.jpg": (PRIVATE, UNRESOLVED) for address in ADDRESSES} | OTHER_URLS


def raw(data: bytes) -> Answer:
    """The bytes, whatever they are, and then the connection closes."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(data)
        handler.close_connection = True

    return answer


def repeated(first: bytes, part: bytes, most: int = 10_000) -> Answer:
    """The first bytes, and then a part as often as it is taken."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(first)
        for _ in range(most):
            handler.wfile.write(part)
        handler.close_connection = True

    return answer


HEAD: Final = b"HTTP/1.1 200 OK\r\n"
LOST, TIMEOUT, LARGE = "photo_unavailable", "photo_timeout", "photo_too_large"
REFUSED, REDIRECTS = "photo_refused_by_server", "photo_too_many_redirects"
SENT: Final = "sent"
"""The body is fetched; whether it is a photo, decoding finds out."""

Expected = tuple[str, ...]

HOSTS: Final[dict[str, tuple[Answer, Expected]]] = {
    "silence": (silence, (LOST,)),
    "slow headers": (drip_headers, (TIMEOUT,)),
    "slow body": (drip_body, (TIMEOUT,)),
    "endless body": (endless_body, (LARGE,)),
    "body cut off": (broken_off, (LOST,)),
    "large body announced": (serve(b"", Content_Length=str(10**12)), (LARGE,)),
    "no answer": (raw(b""), (LOST,)),
    "no HTTP": (raw(b"SSH-2.0-OpenSSH_9.6\r\n"), (LOST,)),
    "HTTP 0.9": (raw(b"<html>hello</html>"), (LOST,)),
    "a status of 999": (raw(b"HTTP/1.1 999 No\r\nContent-Length: 0\r\n\r\n"), (LOST, REFUSED)),
    "a status of 206": (serve(b"half", 206), (REFUSED,)),
    "a status of 304": (serve(b"", 304), (REFUSED,)),
    "a status of 402": (serve(b"", 402), (REFUSED,)),
    "endless informational answers": (repeated(b"", b"HTTP/1.1 102 Wait\r\n\r\n", 10**9), (TIMEOUT, LOST)),
    "an endless header": (repeated(HEAD + b"X: ", b"x" * 1_000), (LOST,)),
    "endless headers": (repeated(HEAD, b"X: y\r\n" * 100), (LOST,)),
    "a negative length": (raw(HEAD + b"Content-Length: -1\r\n\r\nphoto"), (LOST,)),
    "a length that is no number": (raw(HEAD + b"Content-Length: ten\r\n\r\nphoto"), (LOST,)),
    "two lengths": (raw(HEAD + b"Content-Length: 5\r\nContent-Length: 9\r\n\r\nphoto"), (LOST,)),
    "more than its length": (raw(HEAD + b"Content-Length: 5\r\n\r\nphotographs"), (SENT,)),
    "less than its length": (raw(HEAD + b"Content-Length: 50\r\n\r\nphoto"), (LOST,)),
    "a malformed chunk": (raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nphoto\r\n"), (LOST,)),
    "a chunk of 16 EB": (
        repeated(HEAD + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n", b"x" * 10_000),
        (LARGE,),
    ),
    "endless tiny chunks": (
        repeated(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * 1_000),
        (LARGE, TIMEOUT),
    ),
    "a compressed body": (serve(gzip.compress(bytes(10**6)), Content_Encoding="gzip"), (SENT,)),
    "another type": (serve(b"<html>", Content_Type="text/html"), (SENT,)),
    "a redirect to itself": (lambda handler: redirect(handler.path)(handler), (REDIRECTS,)),
    "a redirect to a file": (redirect("file:///etc/passwd"), (SCHEME,)),
    "a redirect to gopher": (redirect("gopher://127.0.0.1:6379/_FLUSHALL"), (SCHEME,)),
    "a redirect to metadata": (redirect("http://169.254.169.254/latest/"), (PRIVATE,)),
    "a redirect to IPv6": (redirect("http://[::1]/"), (PRIVATE,)),
    "a redirect to a decimal address": (redirect("http://2130706434/"), (PRIVATE, LOST)),
    "a redirect to a port": (redirect("http://8.8.8.8:22/"), (PORT,)),
    "a redirect to a user": (redirect("http://user@8.8.8.8/"), (MALFORMED,)),
    "a redirect to no URL": (redirect("http://[::1"), (MALFORMED,)),
    "a redirect to nowhere": (redirect(""), (REFUSED,)),
    "a redirect of a megabyte": (redirect("/" + "a" * 10**6), (LOST, REDIRECTS)),
}
"""What a host on an allowed address answers, and the reasons for which its photo may be refused."""


def names_that_change(first: str, then: str) -> Callable[..., list[tuple[object, ...]]]:
    """A resolver that gives one address first and then another (DNS rebinding)."""
    answers = [first]

    def getaddrinfo(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        address = answers.pop() if answers else then
        return [(2, 1, 6, "", (address, port))]

    return getaddrinfo
