"""A contact sheet: query items down the left, their most similar items beside them, as one picture."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
from elasticsearch import Elasticsearch
from PIL import Image, ImageDraw, ImageFont, ImageOps

from demo.services.progress import Progress
from demo.services.system import System
from mappings.client import ElasticsearchSettings, connect
from mappings.listing import ListingDocument, Status
from mappings.names import read_alias
from mappings.photos import ImageRoots
from query.params import SimilarParameters
from query.reader import IndexReader
from query.similar import SimilarService

THUMBNAIL = 128  # pixels a side
CAPTION = 34  # pixels below a thumbnail: two lines
GAP = 8
FONT_SIZE = 11
INK, PAPER, QUERY_FRAME = "#222222", "#ffffff", "#2f6db3"
PATIENCE_S = 10.0


@dataclass(frozen=True)
class Row:
    """A query item and what was found for it, most similar first."""

    query: ListingDocument
    similar: tuple[ListingDocument, ...]


@click.command()
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="Picture to write."
)
@click.option("--rows", type=click.IntRange(1, 100), default=12, show_default=True, help="Query items.")
@click.option("--columns", type=click.IntRange(1, 24), default=6, show_default=True, help="Similar ones.")
def contact_sheet(*, out: Path, rows: int, columns: int) -> None:
    """Draw queries of the live index beside their most similar items, as one picture."""
    system = System.open(os.environ, Progress())
    settings = ElasticsearchSettings.from_environ(system.environment)
    with connect(settings) as es:
        found = find_rows(es, settings.prefix, rows=rows, columns=columns)
    if not found:
        raise click.ClickException(
            "no listing with a photo is for sale; index some first, such as by `make demo`"
        )
    draw_contact_sheet(found, ImageRoots.from_environ(system.environment)).save(out, quality=85)
    click.echo(f"{out}: {len(found)} queries")


def find_rows(es: Elasticsearch, prefix: str, *, rows: int, columns: int) -> list[Row]:
    """Rows for the newest listing of each of the `rows` most common leaf categories."""
    reader = IndexReader(es, prefix, PATIENCE_S)
    service = SimilarService(reader)
    parameters = SimilarParameters(size=columns)
    return [_row(service, item_id, parameters) for item_id in _newest_by_category(es, prefix, rows)]


def draw_contact_sheet(rows: Sequence[Row], roots: ImageRoots) -> Image.Image:
    """The sheet, RGB: the query item framed at the left of each row, price and category below each photo."""
    columns = 1 + max(len(row.similar) for row in rows)
    width = columns * (THUMBNAIL + GAP) + 2 * GAP
    sheet = Image.new("RGB", (width, len(rows) * (THUMBNAIL + CAPTION + GAP) + GAP), PAPER)
    for number, row in enumerate(rows):
        top = GAP + number * (THUMBNAIL + CAPTION + GAP)
        for column, document in enumerate((row.query, *row.similar)):
            left = GAP + column * (THUMBNAIL + GAP) + (GAP if column else 0)
            _draw_item(sheet, (left, top), document, roots, framed=column == 0)
    return sheet


def _row(service: SimilarService, item_id: str, parameters: SimilarParameters) -> Row:
    answer = service.similar(item_id, parameters)
    return Row(answer.query.item, tuple(hit.document for hit in answer.hits))


def _newest_by_category(es: Elasticsearch, prefix: str, count: int) -> Iterator[str]:
    """Ids of listings for sale whose photo could be encoded."""
    shown = [{"term": {"status": Status.ON_SALE.value}}, {"exists": {"field": "vector"}}]
    leaves = {"terms": {"field": "category", "size": 1000}}
    found = es.search(
        index=read_alias(prefix), size=0, query={"bool": {"filter": shown}}, aggs={"names": leaves}
    )
    seen: set[str] = set()
    for bucket in found["aggregations"]["names"]["buckets"]:
        hits = es.search(
            index=read_alias(prefix),
            query={"bool": {"filter": [*shown, {"term": {"category": bucket["key"]}}]}},
            sort=[{"created_at": "desc"}, {"item_id": "asc"}],
            size=1,
            source={"includes": ["item_id", "category"]},
        )["hits"]["hits"]
        source = hits[0]["_source"]
        if source["category"][-1] == bucket["key"] and len(seen) < count and source["item_id"] not in seen:
            seen.add(source["item_id"])
            yield source["item_id"]


def _draw_item(
    sheet: Image.Image, corner: tuple[int, int], document: ListingDocument, roots: ImageRoots, *, framed: bool
) -> None:
    left, top = corner
    with Image.open(_photo(document, roots)) as photo:
        sheet.paste(
            ImageOps.fit(ImageOps.exif_transpose(photo).convert("RGB"), (THUMBNAIL, THUMBNAIL)), corner
        )
    pen = ImageDraw.Draw(sheet)
    if framed:
        pen.rectangle(
            (left - 3, top - 3, left + THUMBNAIL + 2, top + THUMBNAIL + 2), outline=QUERY_FRAME, width=3
        )
    font = ImageFont.load_default(FONT_SIZE)
    price = f"{document.price:,.0f} {document.currency}"
    pen.text((left, top + THUMBNAIL + 4), price, INK, font)
    pen.text((left, top + THUMBNAIL + 18), document.category[-1], INK, font)


def _photo(document: ListingDocument, roots: ImageRoots) -> Path:
    return roots.resolve(document.images[0])
