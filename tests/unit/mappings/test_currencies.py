"""The currencies of listings, compared with a library that is made from the publications of ISO 4217."""

from __future__ import annotations

import iso4217

from mappings.currencies import CURRENCIES

NOT_IN_CIRCULATION = {
    *("XAG", "XAU", "XPD", "XPT"),  # metals
    *("XBA", "XBB", "XBC", "XBD", "XAD", "XDR", "XSU", "XUA"),  # units of account
    "XTS",  # for tests
}


def test_the_currencies_are_those_of_iso_4217() -> None:
    """A newer list, which a newer `iso4217` has, fails here: then `mappings.currencies` follows."""
    current = {currency.code for currency in iso4217.Currency}
    assert current - CURRENCIES == NOT_IN_CIRCULATION
    assert CURRENCIES - current == set()
