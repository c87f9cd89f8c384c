"""`nitamono similar`: the API's answer in a terminal."""

from __future__ import annotations

import os

import click

from console.table import table
from mappings.client import connect
from mappings.errors import Problem
from query.api.parameters import SimilarParameters, known_id, parse
from query.api.responses import Band, SimilarAnswer, SimilarItem, similar_answer
from query.api.settings import QuerySettings
from query.search.errors import InvalidParameters
from query.search.price_band import DEFAULT_RATIO
from query.search.reader import IndexReader
from query.search.request import DEFAULT_SIZE
from query.search.similar import SimilarService
from query.web.pages import price_label

HEAD = ("", "item", "similarity", "price", "category", "title")


@click.command(name="similar")
@click.argument("item_id")
@click.option(
    "--size", default=str(DEFAULT_SIZE), metavar="INTEGER", show_default=True, help="Most items to print."
)
@click.option(
    "--price-ratio",
    default=f"{DEFAULT_RATIO:g}",
    metavar="NUMBER",
    show_default=True,
    help="Prices from the item's divided by this to times this, rounded outward to steps of 25 %.",
)
@click.option("--category", help="Only items below this category: its path, or a part that no other has.")
@click.option("--attribute", multiple=True, metavar="NAME:VALUE", help="Only items with this attribute.")
@click.option("--exclude-seller", multiple=True, metavar="SELLER", help="No items of this seller.")
@click.option("--min-similarity", metavar="NUMBER", help="Least similarity, 0 for any.")
@click.option("--seller-cap", metavar="INTEGER", help="Most items of one seller in 24, 0 for any number.")
@click.option("--diversity", metavar="NUMBER", help="From 0, by score, to 1, as unlike as possible.")
@click.option("--attribute-boost", metavar="NUMBER", help="Factor on gender, colour and brand, 0 for none.")
@click.option("--freshness", metavar="NUMBER", help="Weight of new listings, in spreads of similarity.")
@click.option("--popularity", metavar="NUMBER", help="Weight of popular listings, in spreads of similarity.")
@click.option(
    "--collapse-duplicates/--no-collapse-duplicates",
    default=None,
    help="Whether only the best of listings with nearly the same photo is shown.",
)
@click.option(
    "--explain-missing",
    multiple=True,
    metavar="ITEM",
    help="Say why this item is not among the similar ones.",
)
@click.option("--cursor", metavar="CURSOR", help="The next page: the cursor that this command printed.")
@click.option("--explain", is_flag=True, help="With --json: add how each score is computed.")
@click.option("--json", "as_json", is_flag=True, help="Print the API's answer as JSON.")
def similar_command(item_id: str, *, as_json: bool, explain: bool, **given: object) -> None:
    """Print items for sale that look like ITEM_ID and cost about as much."""
    if explain and not as_json:
        raise click.UsageError("--explain needs --json")
    try:
        answer = _answer(item_id, {**given, "explain": explain or None})
    except InvalidParameters as error:
        raise click.UsageError(" ".join(map(_of_option, error.problems))) from error
    click.echo(answer.model_dump_json() if as_json else answer_text(answer))
    if answer.next_cursor and not as_json:
        click.echo(f"\nNext page: the same command with --cursor {answer.next_cursor}")


def answer_text(answer: SimilarAnswer) -> str:
    """Return the answer for a terminal: the item, the price band, and a table of similar items."""
    item = answer.item
    about = f"{item.item_id}  {price_label(item.price, item.currency)}  {item.title or '(no title)'}"
    lines = [about, _band_line(answer.band) if answer.band else str(answer.no_band)]
    if answer.fallback:
        reason, message = f"({answer.fallback.reason})", answer.fallback.message
        lines.append(message if reason in message else f"{message} {reason}")
    lines += [f"{each.item_id}: {each.message} ({each.reason})" for each in answer.missing]
    rows = [_row(rank, found) for rank, found in enumerate(answer.items, start=1)]
    shown = (
        ["", table(HEAD, rows, right=("", "similarity", "price"))]
        if rows
        else ["No similar item is for sale."]
    )
    return "\n".join([*lines, *shown, *([answer.short] if answer.short else [])])


def _answer(item_id: str, given: dict[str, object]) -> SimilarAnswer:
    settings = QuerySettings.from_environ(os.environ)
    parameters = parse(SimilarParameters, _as_query_string(given))
    with connect(settings.elasticsearch) as es:
        reader = IndexReader(es, settings.elasticsearch.prefix, settings.elasticsearch.timeout_s)
        service = SimilarService(reader, policy=settings.policy, ranking=settings.ranking())
        return similar_answer(service.similar(known_id(item_id), parameters.request()))


def _of_option(problem: Problem) -> str:
    """Return the problem of a parameter under the name of its option."""
    option = f"--{problem.field.replace('_', '-')}"
    return f"Option `{option}`: found {problem.found}, expected {problem.expected}."


def _as_query_string(given: dict[str, object]) -> dict[str, list[str]]:
    """Return the options as query parameters, so that the API's rules apply."""
    values = {name: value if isinstance(value, tuple) else (value,) for name, value in given.items()}
    return {
        name: [str(value) for value in several]
        for name, several in values.items()
        if several not in {(), (None,)}
    }


def _band_line(band: Band) -> str:
    low, high = price_label(band.low, band.currency), price_label(band.high, band.currency)
    if not band.steps_widened:
        return f"For sale from {low} to {high}"
    widened = f"widened from {band.requested_ratio:g} to {band.applied_ratio:g} times its price"
    return f"For sale from {low} to {high}: {widened}"


def _row(rank: int, item: SimilarItem) -> tuple[str, ...]:
    return (
        str(rank),
        item.item_id,
        "" if item.similarity is None else f"{item.similarity:.3f}",
        price_label(item.price, item.currency),
        item.category[-1],
        (item.title or "") + (f" (+{item.stands_for} with this photo)" if item.stands_for else ""),
    )
