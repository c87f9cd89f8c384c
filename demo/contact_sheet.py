"""A contact sheet: query items at the left, each with its most similar items, as one image."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
from elasticsearch import Elasticsearch
from PIL import Image, ImageDraw, ImageFont

from console.number_types import WholeNumber
from demo.local_services.progress import Progress
from demo.local_services.system import System
from mappings.client import ElasticsearchSettings, connect
from mappings.errors import UnsafePhotoPath
from mappings.image_roots import ImageRoots
from mappings.listing import ListingDocument, Status
from mappings.names import read_alias
from ml.inference.preprocess import UnusablePhoto, decode_photo
from query.search.reader import IndexReader
from query.search.request import SimilarRequest
from query.search.similar import SimilarService

THUMBNAIL = 128  # pixels a side
CAPTION = 34  # pixels below a thumbnail: two lines
GAP = 8
FONT_SIZE = 11
INK, PAPER, QUERY_FRAME, NO_PHOTO = "#222222", "#ffffff", "#2f6db3", "#d8d8d8"
FORMATS = (".jpg", ".jpeg", ".png")
PATIENCE_S = 10.0


@dataclass(frozen=True)
class Row:
    """A query item and what was found for it, most similar first."""

    query: ListingDocument
    similar: tuple[ListingDocument, ...]


def _require_format(_context: click.Context, _option: click.Parameter, out: Path) -> Path:
    if out.suffix.lower() not in FORMATS:
        raise click.BadParameter(f"{out} should end in {', '.join(FORMATS[:-1])} or {FORMATS[-1]}.")
    return out


@click.command()
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    callback=_require_format,
    help="Image to write, a JPEG or a PNG.",
)
@click.option(
    "--rows", type=WholeNumber(1, 100), default=12, show_default=True, help="Number of query items."
)
@click.option(
    "--columns", type=WholeNumber(1, 24), default=6, show_default=True, help="Number of similar items each."
)
def contact_sheet(*, out: Path, rows: int, columns: int) -> None:
    """Draw listings of the live index with their most similar ones, as one image."""
    environment = System.open(os.environ, Progress()).environment
    settings = ElasticsearchSettings.from_environ(environment)
    with connect(settings) as es:
        found = find_rows(es, settings.prefix, rows=rows, columns=columns)
    if not found:
        raise click.ClickException(
            "no listing with a photo is for sale; index some first, such as by `make demo`"
        )
    sheet = draw_contact_sheet(found, ImageRoots.from_environ(environment))
    try:
        sheet.save(out, quality=85)
    except OSError as error:
        raise click.ClickException(f"{out} cannot be written: {error.strerror or error}") from error
    click.echo(f"{out}: {len(found)} queries")


def find_rows(es: Elasticsearch, prefix: str, *, rows: int, columns: int) -> list[Row]:
    """Return rows for the newest listing of each of the `rows` most common leaf categories."""
    reader = IndexReader(es, prefix, PATIENCE_S)
    service = SimilarService(reader)
    request = SimilarRequest(size=columns)
    return [_row(service, item_id, request) for item_id in _newest_by_category(es, prefix, rows)]


def draw_contact_sheet(rows: Sequence[Row], roots: ImageRoots) -> Image.Image:
    """Return the sheet, RGB: a row for each query item, framed, with price and category below each photo."""
    columns = 1 + max(len(row.similar) for row in rows)
    width = columns * (THUMBNAIL + GAP) + 2 * GAP
    sheet = Image.new("RGB", (width, len(rows) * (THUMBNAIL + CAPTION + GAP) + GAP), PAPER)
    for number, row in enumerate(rows):
        top = GAP + number * (THUMBNAIL + CAPTION + GAP)
        for column, document in enumerate((row.query, *row.similar)):
            left = GAP + column * (THUMBNAIL + GAP) + (GAP if column else 0)
            _draw_item(sheet, (left, top), document, roots, framed=column == 0)
    return sheet


def _row(service: SimilarService, item_id: str, request: SimilarRequest) -> Row:
    answer = service.similar(item_id, request)
    return Row(answer.query.item, tuple(hit.document for hit in answer.hits))


def _newest_by_category(es: Elasticsearch, prefix: str, count: int) -> list[str]:
    """Return ids of listings for sale whose photo is encoded, one for each common leaf category."""
    shown = [{"term": {"status": Status.ON_SALE.value}}, {"exists": {"field": "vector"}}]
    order = [{"created_at": "desc"}, {"item_id": "asc"}]
    newest = {"top_hits": {"size": 1, "sort": order, "_source": ["item_id", "category"]}}
    names = {"terms": {"field": "category", "size": 1000}, "aggs": {"newest": newest}}
    query = {"bool": {"filter": shown}}
    found = es.search(index=read_alias(prefix), size=0, query=query, aggs={"names": names})
    buckets = found["aggregations"]["names"]["buckets"]
    sources = ((bucket["key"], bucket["newest"]["hits"]["hits"][0]["_source"]) for bucket in buckets)
    ids = [source["item_id"] for leaf, source in sources if source["category"][-1] == leaf]
    return list(dict.fromkeys(ids))[:count]


def _draw_item(
    sheet: Image.Image, corner: tuple[int, int], document: ListingDocument, roots: ImageRoots, *, framed: bool
) -> None:
    left, top = corner
    sheet.paste(_thumbnail(document, roots), corner)
    pen = ImageDraw.Draw(sheet)
    if framed:
        pen.rectangle(
            (left - 3, top - 3, left + THUMBNAIL + 2, top + THUMBNAIL + 2), outline=QUERY_FRAME, width=3
        )
    font = ImageFont.load_default(FONT_SIZE)
    price = "no price" if document.price is None else f"{document.price:,.0f} {document.currency}"
    pen.text((left, top + THUMBNAIL + 4), price, INK, font)
    pen.text((left, top + THUMBNAIL + 18), document.category[-1], INK, font)


def _thumbnail(document: ListingDocument, roots: ImageRoots) -> Image.Image:
    """Return the first photo, cropped to a square, or a grey square if it cannot be read here."""
    grey = Image.new("RGB", (THUMBNAIL, THUMBNAIL), NO_PHOTO)
    if not document.images:
        return grey
    try:
        data = roots.resolve(document.images[0]).read_bytes()
        return Image.fromarray(decode_photo(data, THUMBNAIL, crop=1.0))
    except (UnsafePhotoPath, UnusablePhoto, OSError):
        return grey
