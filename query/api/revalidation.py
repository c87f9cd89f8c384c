"""ETag, `Cache-Control` and 304 of responses that browsers and CDNs may keep."""

from __future__ import annotations

import hashlib

from flask import Request, Response


def revalidated(answer: Response, content: bytes, request: Request, max_age_s: int) -> Response:
    """The response with an ETag over its content, or 304 without a body where the client has that already.

    content: the body, without what is new in each response.
    max_age_s: seconds for which any cache may show a copy without asking; 0 for asking each time.
    """
    answer.set_etag(hashlib.blake2b(content, digest_size=12).hexdigest(), weak=True)
    control = answer.cache_control
    if max_age_s:
        control.public, control.max_age = True, max_age_s
    else:
        control.private, control.no_cache = True, True
    answer.make_conditional(request)
    return answer
