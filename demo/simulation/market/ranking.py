"""The ranking of production over everything on sale, for many query items at once.

Formula, price bands and their widening are those of `query`. The search is exact, where Elasticsearch
re-ranks a window of the nearest photos.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from demo.simulation.columns import NOTHING, Floats, Rows, Seconds
from demo.simulation.market.rankers import Ranker
from demo.simulation.market.stock import Shelf, Stock
from query.search.price_band import DEFAULT_RATIO, widening_bands
from query.search.terms.term import Columns

CHUNK = 64
"""Query items at once, of similar prices, so that their bands overlap."""


def rank(ranker: Ranker, stock: Stock, shelf: Shelf, queries: Rows, *, size: int, depth: int) -> Rows:
    """Return the best rows of the stock for each query row, then NOTHING: (Q, depth) int64.

    The band is the narrowest that holds `size` others, as in production; `depth` is how many are returned.
    """
    answers = np.full((len(queries), depth), NOTHING, dtype=np.int64)
    if len(queries) == 0:
        return answers
    low, high = bands(stock.price[queries], np.isin(queries, shelf.rows).astype(np.int64), shelf.price, size)
    order = np.argsort(stock.price[queries], kind="stable")
    on_shelf = columns_of(ranker, stock, shelf.rows)
    for chunk in (order[start : start + CHUNK] for start in range(0, len(order), CHUNK)):
        asked = queries[chunk]
        first, last = int(low[chunk].min()), int(high[chunk].max())
        scores = ranker.calibration.scores(columns_of(ranker, stock, asked), on_shelf[first:last])
        place = np.arange(first, last)
        scores[(place < low[chunk, None]) | (place >= high[chunk, None])] = -np.inf
        scores[shelf.rows[first:last] == asked[:, None]] = -np.inf
        best = highest(scores, depth)
        answers[chunk] = np.where(
            best == NOTHING, NOTHING, shelf.rows[first + best] if last > first else best
        )
    return answers


def bands(price: Seconds, on_shelf: Rows, shelf: Seconds, size: int) -> tuple[Rows, Rows]:
    """Return places [low, high) on the shelf of the narrowest band that fills a slate: (Q,) int64 each.

    on_shelf: (Q,) 1 where the query item itself is on the shelf, and so no answer, else 0.
    """
    steps = np.array([_bounds(value) for value in price.tolist()]).reshape(len(price), -1, 2)
    low = np.searchsorted(shelf, steps[:, :, 0], side="left")
    high = np.searchsorted(shelf, steps[:, :, 1], side="right")
    found = high - low - on_shelf[:, None]
    enough = found >= np.minimum(size, found.max(axis=1, keepdims=True, initial=0))
    step = enough.argmax(axis=1)
    each = np.arange(len(price))
    return low[each, step], high[each, step]


@lru_cache(maxsize=65_536)
def _bounds(price: float) -> tuple[tuple[float, float], ...]:
    return tuple((band.low, band.high) for band in widening_bands(price, DEFAULT_RATIO))


def columns_of(ranker: Ranker, stock: Stock, rows: Rows) -> Columns:
    """Return what the ranking terms read of rows (n,) of the stock, as float32 vectors."""
    return Columns(
        vectors=ranker.vectors[stock.base[rows]],
        categories=stock.catalogue.categories,
        category=stock.kind[rows],
        price=stock.price[rows],
        created=stock.listed_at[rows],
    )


def highest(scores: Floats, depth: int) -> Rows:
    """Return columns of the highest finite scores of each row, highest first, then NOTHING: (Q, depth) int64.

    Uses np.partition, because np.argpartition takes ten times as long.
    """
    columns = scores.shape[1]
    found = np.full((len(scores), depth), NOTHING, dtype=np.int64)
    if columns == 0:
        return found
    kept = min(depth, columns)
    least = np.partition(scores, columns - kept, axis=1)[:, columns - kept]
    row, column = np.nonzero((scores >= least[:, None]) & np.isfinite(scores))
    # Equal scores at the end of a slate may exceed its length: the rest is dropped.
    order = np.lexsort((column, -scores[row, column], row))
    row, column = row[order], column[order]
    place = np.arange(len(row)) - np.searchsorted(row, row, side="left")
    fits = place < depth
    found[row[fits], place[fits]] = column[fits]
    return found
