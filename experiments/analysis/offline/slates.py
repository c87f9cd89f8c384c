"""The tapped slates of a log as arrays, and how often items were shown and tapped at each position."""

# ruff: noqa: S608  # SQL is built from constants and numbers

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from typing import Final, Self

import duckdb
import numpy as np
from numpy.typing import NDArray

from experiments.analysis.log.cleaning import amount
from experiments.analysis.log.exclusions import Rules
from ml.evaluation.slices import price_band

Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]
Texts = NDArray[np.str_]

BLOCKS: Final = 20
"""Parts of the users, left out in turn to estimate the error of propensities (jackknife)."""


@dataclass(frozen=True)
class Slates:
    """Slates with a tap, ordered by time; s slates of up to n items."""

    item_ids: list[str]
    """By code, as used in `query` and `items`."""
    query: Integers
    """(s,) int64: code of the query item."""
    user: Integers
    """(s,) int64: from 0, without gaps before `part`."""
    day: Texts
    """(s,) str: UTC, as 2026-11-02."""
    category: Texts
    """(s,) str: the first two levels of the query item's category, "" where unknown."""
    price: Texts
    """(s,) str: the band of the query item's price, "" where unknown."""
    randomised: Flags
    """(s,) bool: whether the order was shuffled."""
    items: Integers
    """(s, n) int64: codes in the order shown; -1 beyond the slate's end."""
    positions: Integers
    """(s, n) int64: from 1; 0 beyond the slate's end."""
    tapped: Flags
    """(s, n) bool."""
    bought: Flags
    """(s, n) bool: tapped, and then bought from this slate by the same user."""
    popularity: Integers
    """(s, n) int64: taps on the item, from any slate, before this slate was shown."""

    def __len__(self) -> int:
        return len(self.query)

    def part(self, kept: Flags) -> Self:
        """The slates for which kept (s,) bool is true."""
        arrays = [each.name for each in fields(self) if each.name != "item_ids"]
        return replace(self, **{name: getattr(self, name)[kept] for name in arrays})


@dataclass(frozen=True)
class Exposures:
    """How often items were shown and tapped: e cells, one for each block of users, group and position.

    Within a group, the items at all positions are equally relevant on average.
    """

    block: Integers
    """(e,) int64 from 0, below BLOCKS."""
    group: Integers
    """(e,) int64 from 0."""
    position: Integers
    """(e,) int64 from 1."""
    shown: Integers
    """(e,) int64."""
    tapped: Integers
    """(e,) int64."""

    def without(self, block: int) -> Exposures:
        """The exposures without one block of users."""
        kept = self.block != block
        return Exposures(*(getattr(self, each.name)[kept] for each in fields(self)))


@dataclass(frozen=True)
class Counts:
    """The slates logged, by what excluded them."""

    logged: int
    incomplete: int
    """Without an id, a user, a time or a query item."""
    repeated: int
    """Logged before under the same slate_id or event_id; the first by time counts."""
    override: int
    """Slates of testers who chose the arm."""
    bots: int
    """Slates of suspected bots: see experiments.analysis.log.exclusions.Rules."""
    untapped: int
    future: int = 0
    """After the time of the evaluation."""
    without_vector: int = 0
    """Some encoder has no vector of the query item or of an item shown."""
    used: int = 0

    @property
    def left_out(self) -> str:
        """The numbers of unused slates by reason, in words; "" if all were used."""
        reasons = {
            "without a tap": self.untapped,
            "with an item that lacks a vector": self.without_vector,
            "of testers who chose their arm": self.override,
            "of users who look like bots": self.bots,
            "logged again": self.repeated,
            "from the future": self.future,
            "without an id, a user, a time or a query item": self.incomplete,
        }
        return ", ".join(f"{count:,} {reason}" for reason, count in reasons.items() if count)


class TappedLog:
    """A log of which the tables are views raw.impressions, raw.taps and raw.purchases of a database."""

    def __init__(
        self,
        db: duckdb.DuckDBPyConnection,
        rules: Rules = Rules(),  # noqa: B008  # frozen
        *,
        now: datetime = datetime.max.replace(tzinfo=UTC),  # noqa: B008  # a constant
    ) -> None:
        """now: later events are excluded; by default none are."""
        self._db = db
        limits = {
            "slates": rules.bot_slates_a_day,
            "taps": rules.bot_taps_a_minute,
            "skew": rules.clock_skew // timedelta(microseconds=1),
            "now": (now - datetime.fromtimestamp(0, UTC)) // timedelta(microseconds=1),
        }
        for statement in (_COMPLETE, _BOTS, _SLATES, _TAPS, _TAPPED, _CODES):
            db.execute(statement.format(**limits))

    def counts(self) -> Counts:
        """The counts before slates without vectors are excluded."""
        ((logged, complete, timely, single, override, slates, tapped),) = self._db.execute(_COUNTS).fetchall()
        return Counts(
            logged=logged,
            incomplete=logged - complete,
            future=complete - timely,
            repeated=timely - single,
            override=override,
            bots=single - override - slates,
            untapped=slates - tapped,
            used=tapped,
        )

    def slates(self) -> Slates:
        """All slates with a tap on an item that they showed."""
        db = self._db
        heads = db.execute(_HEADS).fetchnumpy()
        cells = db.execute(_CELLS).fetchnumpy()
        ids = [item_id for (item_id,) in db.execute("SELECT item_id FROM codes ORDER BY code").fetchall()]
        shape = len(heads["query"]), int(cells["place"].max(initial=-1)) + 1

        def padded(name: str, filler: int = 0) -> Integers:
            array = np.full(shape, filler, dtype=np.int64)
            array[cells["slate"], cells["place"]] = cells[name]
            return array

        return Slates(
            item_ids=ids,
            query=heads["query"].astype(np.int64),
            user=heads["user_id"].astype(np.int64),
            day=heads["day"].astype(np.str_),
            category=heads["category"].astype(np.str_),
            price=np.array([_band(float(each)) for each in heads["price"]], dtype=np.str_),
            randomised=heads["randomised"].astype(np.bool_),
            items=padded("code", -1),
            positions=padded("position"),
            tapped=padded("tapped").astype(np.bool_),
            bought=padded("bought").astype(np.bool_),
            popularity=padded("popularity"),
        )

    def shuffled(self) -> Exposures:
        """Exposures of shuffled slates; a group is all slates of one length."""
        return self._exposures(_SHUFFLED)

    def swapped(self) -> Exposures:
        """Exposures of slates in production order; a group is an item shown for one query item."""
        return self._exposures(_SWAPPED)

    def _exposures(self, query: str) -> Exposures:
        cells = self._db.execute(query.format(blocks=BLOCKS)).fetchnumpy()
        _, group = np.unique(cells["group"], return_inverse=True)
        block, position, shown, tapped = (
            cells[name].astype(np.int64) for name in ("block", "position", "shown", "tapped")
        )
        return Exposures(block, group.astype(np.int64), position, shown, tapped)


def _band(price: float) -> str:
    return price_band(None if np.isnan(price) else price)


_COMPLETE: Final = """
    CREATE VIEW complete AS
        SELECT * FROM raw.impressions
        WHERE event_id IS NOT NULL AND slate_id IS NOT NULL AND user_id IS NOT NULL AND time IS NOT NULL
          AND query_item_id IS NOT NULL;
    CREATE VIEW timely AS SELECT * FROM complete WHERE epoch_us(time) <= {now}
    """

# Distinct event ids are counted, so that a duplicate does not turn a user into a bot.
_BOTS: Final = """
    CREATE TABLE bots AS
    SELECT user_id FROM timely
    GROUP BY user_id, epoch_us(time) // 86400000000 HAVING count(DISTINCT hash(event_id)) > {slates}
    UNION
    SELECT user_id FROM raw.taps WHERE user_id IS NOT NULL
    GROUP BY user_id, epoch_us(time) // 60000000 HAVING count(DISTINCT hash(event_id)) > {taps}
    """

# The windows run only over the few repeated slates: over all slates they would hold the log in memory.
_SLATES: Final = """
    CREATE TABLE again AS SELECT hash(event_id) AS event FROM timely GROUP BY event HAVING count(*) > 1;
    CREATE TABLE repeated AS
        SELECT slate_id FROM timely GROUP BY slate_id HAVING count(*) > 1
        UNION SELECT slate_id FROM timely WHERE hash(event_id) IN (FROM again);
    CREATE VIEW single AS
        SELECT * FROM timely WHERE slate_id NOT IN (FROM repeated)
        UNION ALL
        SELECT * FROM timely WHERE slate_id IN (FROM repeated)
        QUALIFY row_number() OVER (PARTITION BY slate_id ORDER BY time, event_id) = 1
            AND row_number() OVER (PARTITION BY event_id ORDER BY time, slate_id) = 1;
    CREATE VIEW slates AS
        SELECT slate_id, user_id, time, query_item_id, query_category, query_price,
               coalesce(randomised, false) AS randomised, items
        FROM single WHERE NOT coalesce(override, false) AND user_id NOT IN (FROM bots)
    """

_TAPS: Final = """
    CREATE TABLE taps AS
    SELECT t.slate_id, t.item_id, t.user_id, min(t.time) AS time
    FROM (SELECT DISTINCT ON (event_id) * FROM raw.taps WHERE event_id IS NOT NULL ORDER BY event_id, time) t
    JOIN slates s ON s.slate_id = t.slate_id AND s.user_id = t.user_id
    WHERE epoch_us(t.time) BETWEEN epoch_us(s.time) - {skew} AND {now}
    GROUP BY ALL
    """

_COUNTS: Final = """
    SELECT (SELECT count(*) FROM raw.impressions), (SELECT count(*) FROM complete),
           (SELECT count(*) FROM timely), (SELECT count(*) FROM single),
           (SELECT count(*) FROM single WHERE override), (SELECT count(*) FROM slates),
           (SELECT count(*) FROM tapped)
    """

# Taps are counted per item up to each moment; ASOF takes the last moment before the slate's own.
_TAPPED: Final = """
    CREATE TABLE shown AS
        SELECT s.slate_id, s.time, unnest(s.items, recursive := true), s.user_id
        FROM slates s WHERE slate_id IN (SELECT slate_id FROM taps);
    CREATE TABLE bought AS
        SELECT p.slate_id, p.item_id, p.user_id
        FROM raw.purchases p JOIN taps t
          ON t.slate_id = p.slate_id AND t.item_id = p.item_id AND t.user_id = p.user_id
        WHERE epoch_us(p.time) BETWEEN epoch_us(t.time) - {skew} AND {now} GROUP BY ALL;
    CREATE TABLE marked AS
        SELECT shown.slate_id, shown.time, shown.item_id, position, t.item_id IS NOT NULL AS tapped,
               b.item_id IS NOT NULL AS bought
        FROM shown LEFT JOIN taps t
          ON t.slate_id = shown.slate_id AND t.item_id = shown.item_id AND t.user_id = shown.user_id
        LEFT JOIN bought b
          ON b.slate_id = shown.slate_id AND b.item_id = shown.item_id AND b.user_id = shown.user_id
        WHERE position >= 1 AND shown.item_id IS NOT NULL;
    CREATE TABLE tapped AS
        SELECT *, row_number() OVER (ORDER BY time, slate_id) - 1 AS slate,
               dense_rank() OVER (ORDER BY user_id) - 1 AS user_code
        FROM slates WHERE slate_id IN (SELECT slate_id FROM marked WHERE tapped);
    CREATE TABLE taps_until AS
        SELECT item_id, time, sum(count(*)) OVER (PARTITION BY item_id ORDER BY time) AS taps
        FROM taps GROUP BY item_id, time
    """

_CODES: Final = """
    CREATE TABLE codes AS
    SELECT item_id, row_number() OVER (ORDER BY item_id) - 1 AS code FROM (
        SELECT query_item_id AS item_id FROM tapped
        UNION
        SELECT item_id FROM marked WHERE slate_id IN (SELECT slate_id FROM tapped))
    """

_HEADS: Final = f"""
    SELECT codes.code AS query, user_code AS user_id,
           strftime(make_timestamp(epoch_us(time)), '%Y-%m-%d') AS day,
           coalesce(array_to_string(query_category[:2], ' › '), '') AS category,
           coalesce({amount("query_price")}, 'nan'::DOUBLE) AS price, randomised
    FROM tapped JOIN codes ON codes.item_id = query_item_id ORDER BY slate
    """

_CELLS: Final = """
    SELECT tapped.slate, codes.code, marked.position, marked.tapped, marked.bought,
           coalesce(taps_until.taps, 0) AS popularity,
           row_number() OVER (PARTITION BY tapped.slate ORDER BY marked.position, codes.code) - 1 AS place
    FROM marked
    JOIN tapped USING (slate_id)
    JOIN codes ON codes.item_id = marked.item_id
    ASOF LEFT JOIN taps_until ON taps_until.item_id = marked.item_id AND marked.time > taps_until.time
    """

_SHUFFLED: Final = """
    WITH shown AS (
        SELECT slate_id, user_id, len(items) AS length, unnest(items, recursive := true)
        FROM slates WHERE randomised
    )
    SELECT hash(shown.user_id) % {blocks} AS block, length AS "group", position, count(*) AS shown,
           count(t.item_id) AS tapped
    FROM shown LEFT JOIN taps t
      ON t.slate_id = shown.slate_id AND t.item_id = shown.item_id AND t.user_id = shown.user_id
    WHERE position >= 1 GROUP BY ALL
    """

# Pairs without a tap carry no information about positions, and are most of what is shown.
_SWAPPED: Final = """
    WITH pairs AS (
        SELECT DISTINCT hash(query_item_id, item_id) AS pair
        FROM marked JOIN tapped USING (slate_id) WHERE marked.tapped AND NOT randomised
    ), shown AS (
        SELECT slate_id, user_id, query_item_id, unnest(items, recursive := true)
        FROM slates WHERE NOT randomised
    ), of_pairs AS (
        SELECT slate_id, user_id, item_id, position, pair
        FROM shown JOIN pairs ON pair = hash(query_item_id, item_id) WHERE position >= 1
    ), cells AS (
        SELECT hash(s.user_id) % {blocks} AS block, s.pair AS "group", s.position, count(*) AS shown,
               count(t.item_id) AS tapped
        FROM of_pairs s LEFT JOIN taps t
          ON t.slate_id = s.slate_id AND t.item_id = s.item_id AND t.user_id = s.user_id
        GROUP BY ALL
    )
    SELECT * FROM cells
    QUALIFY min(position) OVER (PARTITION BY "group") < max(position) OVER (PARTITION BY "group")
    """
