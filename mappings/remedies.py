"""What to do about a reason for which a listing is rejected or has no vector."""

from __future__ import annotations

from typing import Final

_BY_REASON: Final = {
    "price_wrong_type": "Pass --locale for numbers such as 1,290 or 1.290,50; leave out units and signs.",
    "popularity_wrong_type": "Pass --locale for numbers such as 1,290 or 1.290,50.",
    "category_wrong_type": "Write levels as A > B > C, or pass --category-separator.",
    "category_too_many": "Give at most five levels, from the root to the leaf.",
    "category_has_separator": "Give levels as a list, or as A > B > C.",
    "status_unknown": "Map each word to a status under [status] in a file for --map; --guess proposes one.",
    "currency_missing": 'Add a column, or `currency = "JPY"` under [constants] in a file for --map.',
    "currency_unknown": "Use a code of ISO 4217, such as JPY.",
    "currency_malformed": "Use a code of ISO 4217, such as JPY.",
    "images_too_many": "Give at most 20 photos.",
    "invalid_csv": "Close the quote, or write a quote inside of a field twice.",
    "wrong_field_count": "Write as many fields as the header has; quote a field that contains the delimiter.",
    "invalid_json": "Write each listing as one JSON object.",
    "invalid_utf8": "Pass --encoding, or save the file as UTF-8.",
    "line_too_long": "Shorten the row: no listing has as many characters.",
    "row_unreadable": "Correct the value of this row, such as text that is not UTF-8.",
    "no_photo": "Add a photo.",
    "photo_not_found": "Check the path: relative ones start from --root, or from the folder of the file.",
    "photo_outside_roots": "Pass --root with a folder that contains the photo.",
    "op_unknown": "Leave it out for a complete listing, or give update or remove.",
    "item_unknown": "Send the complete listing; the change is kept and applied then.",
    "item_removed": "Send the complete listing to restore it; the change is kept and applied then.",
    "photo_bucket_not_allowed": "Add its bucket to NITAMONO_PHOTO_BUCKETS of the workers, then replay.",
    "photo_bucket_denied": "Give the workers credentials that may read the bucket, then replay.",
    "photo_placeholder": "Replace the photo; if it is one of the item, an operator may mark it as fine.",
    "photo_blank": "Send a photo that shows the item.",
    "no_valid_listing": "`nitamono index --dry-run` says more.",
    "removed": "A removed listing has no photo; there is nothing to do.",
    "photo_gone": "Send the listing again with a photo that exists.",
}
_BY_SUFFIX: Final = {
    "_no_timezone": "Pass --timezone, such as Asia/Tokyo, for local times; a day needs a time of day.",
    "_at_wrong_type": "Give ISO 8601, or epoch seconds (ten digits) or milliseconds (thirteen).",
    "_at_malformed": "Give ISO 8601, such as 2026-01-31T09:30:00Z.",
    "_in_future": "Check the clock and the time zone of the producer.",
    "_missing": "Add it, or map a column to it in a file for --map; --guess proposes one.",
    "_too_long": "Shorten it.",
}
_OF_PHOTOS: Final = "Replace the photo, then send the listing again."
_OTHERWISE: Final = "Correct the value; docs/listing-schema.md has the form of each field."


def remedy(reason: str) -> str:
    """Return what to do about a reason code."""
    if reason in _BY_REASON:
        return _BY_REASON[reason]
    found = (text for suffix, text in _BY_SUFFIX.items() if reason.endswith(suffix))
    return next(found, _OF_PHOTOS if reason.startswith("photo_") else _OTHERWISE)
