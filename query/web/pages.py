"""Pages: a search box over a grid of listings, and a listing with those that look like it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlencode

from flask import Blueprint, Response, make_response, render_template, request, url_for

from mappings.listing import category_paths
from query.api.listing_ids import ListingIdConverter
from query.api.parameters import ListingParameters, Parameters, VisitorParameters, known_id, parse
from query.api.responses import ProblemDetails, detail, listing_page, similar_answer
from query.search.browse import ListingService
from query.search.errors import UnusableCursor
from query.search.experiment_aware import ExperimentAwareSearch
from query.web.visitor import remember, visitor_of

_SYMBOLS = {"JPY": "¥", "USD": "$", "EUR": "€", "GBP": "£", "KRW": "₩"}

# Currencies without a minor unit (ISO 4217): ¥1,290 and not ¥1,290.00.
_WHOLE_CURRENCIES = {"JPY", "KRW", "VND", "CLP", "ISK"}

_STATUS_LABELS = {"on_sale": "For sale", "reserved": "Reserved", "sold_out": "Sold", "removed": "Removed"}

_JAPANESE = re.compile("[\u3040-\u30ff\u3400-\u9fff]")

P = TypeVar("P", bound=Parameters)


def pages_blueprint(
    listings: ListingService, slates: ExperimentAwareSearch, *, with_events: Callable[[], bool]
) -> Blueprint:
    """The pages. They work without JavaScript, except for the rendered description of the API.

    with_events: whether the page of a request gives its visitor a random id and sends events.
    """
    pages = Blueprint("pages", __name__)
    pages.record_once(lambda state: state.app.url_map.converters.update(listing_id=ListingIdConverter))
    for name, function in _FILTERS.items():
        pages.add_app_template_filter(function, name)

    @pages.get("/")
    def home() -> str:
        parameters = _parameters(ListingParameters)
        page = listings.page(parameters.request())
        parameters = parameters.model_copy(update={"category": page.request.category})
        return render_template(
            "home.html",
            parameters=parameters,
            page=listing_page(page),
            categories=page.subcategories(),
            index_empty=page.index_empty,
        )

    @pages.get("/items/<listing_id:item_id>")
    def item(item_id: str) -> Response:
        visitor = visitor_of(request) if with_events() else None
        asked = _parameters(VisitorParameters).model_copy(update={"user_id": visitor})
        try:
            items, exposure = slates.slate(known_id(item_id), asked.visitor_request())
        except UnusableCursor:  # an old link, or one of a visitor who sees another arm
            asked = asked.model_copy(update={"cursor": None})
            items, exposure = slates.slate(known_id(item_id), asked.visitor_request())
        answer = similar_answer(items, exposure)
        page = make_response(
            render_template(
                "item.html", item=detail(items.found), answer=answer, parameters=asked, visitor=visitor
            )
        )
        return remember(page, visitor, request) if visitor else page

    @pages.get("/docs")
    def docs() -> str:
        return render_template("docs.html")

    return pages


def swagger_blueprint() -> Blueprint:
    """Swagger UI's files, from its Python package; nothing is loaded from another host."""
    folder = Path(str(resources.files("flask_openapi3_swagger"))) / "templates" / "swagger"
    return Blueprint("swagger", __name__, static_folder=folder, static_url_path="/docs/swagger")


def problem_page(details: ProblemDetails) -> str:
    """The page of a failure."""
    return render_template("problem.html", details=details)


def placeholder_svg() -> bytes:
    """The image shown where a photo is missing."""
    return resources.files("query.web").joinpath("static", "placeholder.svg").read_bytes()


def price_label(price: float | None, currency: str) -> str:
    """Format a price: `¥1,290`, `$12.50`, `CHF 12.50`, `Free`, `No price`."""
    if not price:
        return "No price" if price is None else "Free"
    amount = f"{price:,.0f}" if currency in _WHOLE_CURRENCIES else f"{price:,.2f}"
    return f"{_SYMBOLS[currency]}{amount}" if currency in _SYMBOLS else f"{currency} {amount}"


def crumbs(category: Sequence[str]) -> list[tuple[str, str]]:
    """Each level of a category: its name, and the path that leads to it."""
    return list(zip(category, category_paths(tuple(category)), strict=True))


def text_language(text: str) -> str:
    """The language of a text for screen readers: Japanese if any of it is."""
    return "ja" if _JAPANESE.search(text) else "en"


def home_link(parameters: ListingParameters, **changes: object) -> str:
    """The address of the listings with some parameters changed; another search begins at page 1."""
    kept = parameters.model_copy(update={"page": 1, **changes}).model_dump(mode="json", exclude_defaults=True)
    return url_for("pages.home") + (f"?{urlencode(kept)}" if kept else "")


def item_link(item_id: str, parameters: VisitorParameters, **changes: object) -> str:
    """The address of an item's page with some parameters changed."""
    kept = parameters.model_copy(update=changes).model_dump(
        mode="json", exclude_defaults=True, exclude={"user_id"}
    )
    query = urlencode(kept, doseq=True)
    return url_for("pages.item", item_id=item_id) + (f"?{query}" if query else "") + "#similar"


_FILTERS: dict[str, Callable[..., object]] = {
    "price_label": price_label,
    "status_label": _STATUS_LABELS.__getitem__,
    "crumbs": crumbs,
    "text_language": text_language,
    "home_link": home_link,
    "item_link": item_link,
}


def _parameters(model: type[P]) -> P:
    """The parameters that a page has. Others, such as those that campaigns add to links, are ignored."""
    given = request.args.to_dict(flat=False)
    return parse(model, {name: values for name, values in given.items() if name in model.model_fields})
