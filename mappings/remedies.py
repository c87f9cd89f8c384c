"""What to do about a reason for which a listing is rejected or has no vector."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from mappings.changes import OPERATIONS
from mappings.listing import Status
from mappings.problems import one_of

FOR_ALL: Final = {
    "category_too_many": "Give at most five levels, from the root to the leaf.",
    "category_has_separator": "Give levels as a list, or as A > B > C.",
    "currency_unknown": "Use a code of ISO 4217, such as JPY.",
    "currency_malformed": "Use a code of ISO 4217, such as JPY.",
    "images_too_many": "Give at most 20 photos.",
    "no_photo": "Add a photo.",
    "op_unknown": f"Give {one_of(OPERATIONS)}, or leave it out for a complete listing.",
    "item_unknown": "Send the complete listing; the change is kept and applied then.",
    "item_removed": "Send the complete listing to restore it; the change is kept and applied then.",
    "photo_placeholder": "Replace the photo; if it is one of the item, an operator may mark it as fine.",
    "photo_blank": "Send a photo that shows the item.",
    "photo_gone": "Send the listing again with a photo that exists.",
    "elasticsearch_unavailable": "Send the event again later; nothing is wrong with it.",
    "worker_lost": "Send the event again later; if it fails again, the log of the workers says why.",
    "task_failed": "Send the event again later; if it fails again, the log of the workers says why.",
    "out_of_memory": "Send the event again later; if it fails again, the log of the workers says why.",
    "_at_wrong_type": "Give ISO 8601, or epoch seconds (ten digits) or milliseconds (thirteen).",
    "_at_malformed": "Give ISO 8601, such as 2026-01-31T09:30:00Z.",
    "_in_future": "Check the clock and the time zone of the producer.",
    "_too_long": "Shorten it.",
    "_too_large": "Shorten it.",
}
"""By reason, or by the end of one, which begins with `_`."""

OF_FILES: Final = {
    "price_wrong_type": "Pass --locale for numbers such as 1,290 or 1.290,50; leave out units and signs.",
    "popularity_wrong_type": "Pass --locale for numbers such as 1,290 or 1.290,50.",
    "category_wrong_type": "Write levels as A > B > C, or pass --category-separator.",
    "status_unknown": "Map each word to a status under [status] in a file for --map; --guess proposes one.",
    "currency_missing": 'Add a column, or `currency = "JPY"` under [constants] in a file for --map.',
    "invalid_csv": "Close the quote, or write a quote inside of a field twice.",
    "wrong_field_count": "Write as many fields as the header has; quote a field that contains the delimiter.",
    "invalid_json": "Write each listing as one JSON object.",
    "invalid_utf8": "Pass --encoding, or save the file as UTF-8.",
    "line_too_long": "Shorten the row: no listing has as many characters.",
    "row_unreadable": "Correct the value of this row, such as text that is not UTF-8.",
    "photo_not_found": "Check the path: relative ones start from --root, or from the folder of the file.",
    "photo_outside_roots": "Pass --root with a folder that contains the photo.",
    "photo_bucket_not_allowed": "Add its bucket to NITAMONO_PHOTO_BUCKETS of the workers, then replay.",
    "photo_bucket_denied": "Give the workers credentials that may read the bucket, then replay.",
    "no_valid_listing": "`nitamono index --dry-run` says more.",
    "removed": "A removed listing has no photo; there is nothing to do.",
    "_no_timezone": "Pass --timezone, such as Asia/Tokyo, for local times; a day needs a time of day.",
    "_missing": "Add it, or map a column to it in a file for --map; --guess proposes one.",
    "": "Correct the value; docs/listing-schema.md has the form of each field.",
}
"""For those who run `nitamono index` and the workers."""

OVER_HTTP: Final = {
    "price_wrong_type": "Send a number, or text of digits such as 1290 or 12.5.",
    "popularity_wrong_type": "Send a number, or text of digits such as 1290 or 12.5.",
    "category_wrong_type": "Send the levels as a list, or as A > B > C.",
    "status_unknown": f"Send {one_of(Status)}.",
    "currency_missing": "Add a code of ISO 4217, such as JPY; a listing without a price needs none.",
    "invalid_json": "Send the body, or each line of a batch, as JSON in UTF-8; it has no NaN or Infinity.",
    "listings_missing": "Send one listing or more.",
    "photo_not_found": "Send a URL, or the path of a photo that exists where the workers run.",
    "photo_outside_roots": "Send a URL, or ask the operator to allow its folder (NITAMONO_IMAGE_ROOTS).",
    "photo_bucket_not_allowed": "Send a URL, or ask the operator to allow it (NITAMONO_PHOTO_BUCKETS).",
    "photo_bucket_denied": "Send a URL, or ask the operator to let the workers read its bucket.",
    "_mismatch": "Leave it out, or send it as the request has it.",
    "_no_timezone": "Add a time zone, such as Z or +09:00; a day needs a time of day.",
    "_missing": "Add it.",
    "_unknown": "Correct its name, or leave it out.",
    "": "Correct the value; /schemas/listing.json has the form of each field.",
}
"""For those who send listings, and see neither our files nor our commands."""

_OF_PHOTOS: Final = "Replace the photo, then send the listing again."


def remedy(reason: str) -> str:
    """Return what whoever runs `nitamono index` and the workers can do about a reason code."""
    return _found(reason, OF_FILES)


def remedy_over_http(reason: str) -> str:
    """Return what a client of the API can do about a reason code."""
    return _found(reason, OVER_HTTP)


def _found(reason: str, own: Mapping[str, str]) -> str:
    texts = {**FOR_ALL, **own}
    if reason in texts:
        return texts[reason]
    ends = (text for end, text in texts.items() if end.startswith("_") and reason.endswith(end))
    return next(ends, _OF_PHOTOS if reason.startswith("photo_") else own[""])
