"""The words and links on the pages."""

from __future__ import annotations

import pytest
from flask import Flask

from query.api.parameters import ListingParameters, ShownStatus
from query.web.pages import crumbs, home_link, price_label, text_language


@pytest.mark.parametrize(
    ("price", "currency", "label"),
    [
        (1290, "JPY", "¥1,290"),
        (12.5, "USD", "$12.50"),
        (1234.5, "EUR", "€1,234.50"),
        (12.5, "CHF", "CHF 12.50"),
        (900, "VND", "VND 900"),
        (0, "JPY", "Free"),
        (None, "XXX", "No price"),
    ],
)
def test_prices_are_written_as_people_write_them(price: float | None, currency: str, label: str) -> None:
    """Yen have no decimals; a currency without a sign of its own is named."""
    assert price_label(price, currency) == label


@pytest.mark.parametrize(
    ("text", "language"), [("赤いスカート", "ja"), ("Nike スニーカー", "ja"), ("Red skirt", "en")]
)
def test_titles_tell_their_language(text: str, language: str) -> None:
    """So that a screen reader reads Japanese as Japanese."""
    assert text_language(text) == language


def test_crumbs_lead_to_each_level() -> None:
    """Names for people, paths for links."""
    assert crumbs(["Apparel", "Skirts"]) == [("Apparel", "Apparel"), ("Skirts", "Apparel > Skirts")]


@pytest.mark.parametrize(
    ("changes", "link"),
    [
        ({"page": 3}, "/?q=red+skirt&status=sold_out&page=3"),
        ({"category": "A > B"}, "/?q=red+skirt&category=A+%3E+B&status=sold_out"),
        ({"q": "", "status": ShownStatus.ON_SALE}, "/"),
    ],
)
def test_links_keep_the_search_and_begin_at_its_first_page(changes: dict[str, object], link: str) -> None:
    """Another category of page 2 would be somewhere in its middle."""
    app = Flask(__name__)
    app.add_url_rule("/", "pages.home")
    parameters = ListingParameters(q="red skirt", status=ShownStatus.SOLD_OUT, page=2)
    with app.test_request_context():
        assert home_link(parameters, **changes) == link
