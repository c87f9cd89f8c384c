"""What is cut out of logs."""

from __future__ import annotations

from telemetry.secrets import redacted
from tests.keys import make_key


def test_every_key_is_cut_out_whole_or_not() -> None:
    """Index names that begin alike stay."""
    first, second = make_key()[0], make_key()[0]
    text = redacted(f"GET /v1/{first}?k={second[:30]} by nitamono_listings")
    assert text == "GET /v1/nitamono_[redacted]?k=nitamono_[redacted] by nitamono_listings"


def test_passwords_of_urls_are_cut_out() -> None:
    """Host and port stay, and so do URLs without one."""
    assert redacted("no answer: redis://:s3cret@redis:6379/0") == "no answer: redis://[redacted]@redis:6379/0"
    assert redacted("https://elastic:p%40ss@es:9200 fails") == "https://[redacted]@es:9200 fails"
    plain = "https://shop.example/a@b:c?d=http://e.example:80/@me"
    assert redacted(plain) == plain
