"""The facts of one experiment, computed from the raw tables of a log in SQL.

Ids become 64-bit hashes, a quarter of their size: among ten million ids, the chance of a collision is 3e-6.
Times become TIMESTAMP through `epoch_us`, so they are in UTC whatever DuckDB's time zone is.
"""

# ruff: noqa: S608  # SQL is built from constants, and names that a definition has checked

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

import duckdb
import pyarrow as pa

from experiments.analysis.log.exclusions import Exclusion, Reason, Rules
from experiments.assignment.assign import NO_ARM, arm_array
from experiments.assignment.definition import Experiment

BY_USER: Final = (Reason.OVERRIDE, Reason.TWO_ARMS, Reason.BOT)
"""Reasons that exclude users with all of their events."""
OTHER_TABLES: Final = {
    "taps": "taps",
    "item_views": "views",
    "purchases": "purchases",
    "complaints": "complaints",
}
"""Raw table, other than impressions, to the table made here."""
LARGEST_AMOUNT: Final = 1e12
"""Yen or milliseconds: more than the price of any item, and more than thirty years."""
KINDS: Final = ("slate", "tap", "view", "purchase", "complaint")


def amount(column: str) -> str:
    """SQL for a price or a number of milliseconds; NULL where the value is out of range.

    An infinite, negative or implausibly large value would dominate every sum. NaN needs its own check:
    parquet statistics leave it out, so DuckDB assumes that a range of all other values holds it too.
    """
    return f"(CASE WHEN isfinite({column}) AND {column} BETWEEN 0 AND {LARGEST_AMOUNT:g} THEN {column} END)"


@dataclass(frozen=True)
class Window:
    """The period in which events count: instants in UTC without a time zone, as DuckDB expects them."""

    pre_start: datetime
    start: datetime
    end: datetime
    """Exclusive."""

    @classmethod
    def of(cls, experiment: Experiment, until: date | None, now: datetime) -> Window:
        """From the pre-period to the end of the day `until`, but not beyond now."""
        start, end = datetime.combine(experiment.start, time()), now.astimezone(UTC).replace(tzinfo=None)
        if until is not None:
            end = min(end, datetime.combine(until + timedelta(days=1), time()))
        return cls(start - timedelta(days=experiment.pre_period_days), start, end)


def clean_tables(
    db: duckdb.DuckDBPyConnection, experiment: Experiment, window: Window, rules: Rules
) -> tuple[Exclusion, ...]:
    """Create the tables `users`, `facts` and `unassigned` from the raw log; return what is excluded.

    users: user, arm (from 1), first (exposure), bot. facts: one row for each event of such a user, with `pre`
    (before the start) or since the first exposure. unassigned: one row for each slate that lacks the arm of
    its user; that arm.
    """
    db.execute(f"CREATE TYPE reason AS ENUM ({_literals(*Reason)})")
    db.execute(f"CREATE TYPE kind AS ENUM ({_literals(*KINDS)})")
    db.execute(
        "CREATE TYPE root AS ENUM (SELECT coalesce(query_category[1], 'unknown') FROM raw.impressions "
        "UNION SELECT 'unknown')"
    )
    _make_slates(db, experiment, window)
    for raw, name in OTHER_TABLES.items():
        _make_events(db, raw, name, window, rules)
    _mark_repeated_taps(db)
    _make_users(db, rules)
    _make_facts(db, window)
    _mark_missing_arms(db, experiment, window)
    return _count_exclusions(db)


def _make_slates(db: duckdb.DuckDBPyConnection, experiment: Experiment, window: Window) -> None:
    """Create `slates`, one row for each impression; `taken`: the shown items and positions that were tapped.

    Items shown are most of a log, so they are read only once, to find empty slates and tapped items.
    """
    arms = _literals(*(f"{experiment.name}:{arm.name}" for arm in experiment.arms))
    db.execute(f"""
        CREATE TABLE slates AS
        WITH tapped AS (
            SELECT hash(slate_id) AS slate, list(DISTINCT hash(item_id, position)) AS tapped_items
            FROM raw.taps WHERE slate_id IS NOT NULL GROUP BY slate
        ), own AS (
            SELECT i.*, tapped.tapped_items, make_timestamp(epoch_us(time)) AS instant,
                   list_filter(arms, lambda arm: starts_with(arm, '{experiment.name}:')) AS own,
                   list_transform(own, lambda arm: list_position([{arms}], arm)) AS numbers
            FROM raw.impressions i LEFT JOIN tapped ON hash(i.slate_id) = tapped.slate
        )
        SELECT row, hash(event_id) AS event, hash(slate_id) AS slate, hash(user_id) AS user_id,
               instant AS time,
               nullif(list_min(numbers), 0)::UTINYINT AS arm,
               nullif(list_max(numbers), 0)::UTINYINT AS other_arm,
               coalesce(query_category[1], 'unknown')::root AS category,
               {amount("query_price")}::FLOAT AS price, {amount("took_ms")} AS took_ms,
               coalesce(len(items), 0) = 0 AS empty,
               CASE WHEN tapped_items IS NOT NULL
                    THEN list_intersect(
                        tapped_items, list_transform(items, lambda i: hash(i.item_id, i.position)))
               END AS taken,
               CASE WHEN event_id IS NULL OR slate_id IS NULL OR user_id IS NULL OR time IS NULL
                        THEN 'incomplete'
                    WHEN instant >= {_instant(window.end)} THEN 'future'
                    WHEN instant < {_instant(window.pre_start)} THEN 'too_old'
                    WHEN NOT list_has_all([{arms}], own) THEN 'unknown_arm'
                    WHEN len(own) > 0 AND instant < {_instant(window.start)} THEN 'arm_before_start'
                    WHEN len(own) > 0 AND override THEN 'override'
               END::reason AS reason
        FROM own
        """)
    _mark_repeated(db, "slates", "event", Reason.REPEATED_EVENT)
    _mark_repeated(db, "slates", "slate", Reason.REPEATED_SLATE)


def _make_events(db: duckdb.DuckDBPyConnection, raw: str, name: str, window: Window, rules: Rules) -> None:
    """Create a table of one kind of event, with the columns needed from the slate that it came from.

    unlinked: it names a slate that was never logged. Such a tap is excluded; a view, purchase or complaint
    still counts.
    """
    tap, purchase = name == "taps", name == "purchases"
    seller = "CASE WHEN seller_id IS NOT NULL THEN hash(seller_id) END" if purchase else "NULL::UBIGINT"
    db.execute(f"""
        CREATE TABLE {name} AS
        WITH events AS (
            SELECT hash(event_id) AS event, hash(user_id) AS user_id, make_timestamp(epoch_us(time)) AS time,
                   CASE WHEN slate_id IS NOT NULL THEN hash(slate_id) END AS slate, hash(item_id) AS item,
                   {"hash(item_id, position)" if tap else "NULL::UBIGINT"} AS place,
                   {amount("price") if purchase else "NULL::DOUBLE"} AS amount,
                   {seller} AS seller,
                   event_id IS NULL OR item_id IS NULL OR user_id IS NULL OR time IS NULL
                       {"OR slate_id IS NULL OR position IS NULL" if tap else ""} AS incomplete
            FROM raw.{raw}
        ), known AS (
            SELECT * FROM slates
            WHERE reason IS NULL OR reason NOT IN ('incomplete', 'repeated_event', 'repeated_slate')
        )
        SELECT e.*, s.arm, s.category, s.price, s.time AS slate_time,
               e.slate IS NOT NULL AND s.slate IS NULL AS unlinked,
               CASE WHEN incomplete THEN 'incomplete'
                    WHEN e.time >= {_instant(window.end)} THEN 'future'
                    WHEN e.time < {_instant(window.pre_start)} THEN 'too_old'
                    WHEN unlinked AND {tap} THEN 'unknown_slate'
                    WHEN s.reason = 'override' THEN 'override'
                    WHEN s.reason IS NOT NULL THEN 'slate_excluded'
                    WHEN s.user_id <> e.user_id THEN 'other_user'
                    WHEN e.time < s.time - INTERVAL '{rules.clock_skew.total_seconds()} seconds'
                        THEN 'before_impression'
                    WHEN NOT coalesce(list_contains(taken, place), place IS NULL) THEN 'not_shown'
               END::reason AS reason
        FROM events e LEFT JOIN known s ON e.slate = s.slate
        """)
    _mark_repeated(db, name, "event", Reason.REPEATED_EVENT)


def _mark_repeated(db: duckdb.DuckDBPyConnection, table: str, key: str, reason: Reason) -> None:
    """Exclude all but the first, by time, of the rows that share a key."""
    among = "reason IS NULL OR reason NOT IN ('incomplete', 'repeated_event')"
    db.execute(f"""
        CREATE OR REPLACE TABLE repeated AS
        SELECT {key} AS key FROM {table} WHERE {among} GROUP BY {key} HAVING count(*) > 1
        """)
    db.execute(f"""
        UPDATE {table} SET reason = '{reason}' WHERE rowid IN (
            SELECT unnest(list(rowid ORDER BY time, rowid)[2:]) FROM {table}
            WHERE ({among}) AND {key} IN (SELECT key FROM repeated) GROUP BY {key})
        """)


def _mark_repeated_taps(db: duckdb.DuckDBPyConnection) -> None:
    """Exclude all but the first, by time, of one slate's taps on one item."""
    db.execute("""
        UPDATE taps SET reason = 'repeated_tap' WHERE rowid IN (
            SELECT unnest(list(rowid ORDER BY time, rowid)[2:]) FROM taps
            WHERE reason IS NULL GROUP BY slate, item HAVING count(*) > 1)
        """)


def _make_users(db: duckdb.DuckDBPyConnection, rules: Rules) -> None:
    """Create `users`, one row for each user who was shown an arm; `excluded` is the reason if any."""
    db.execute(f"""
        CREATE TABLE bots AS
        SELECT user_id FROM slates WHERE reason IS NULL GROUP BY user_id, time::DATE
        HAVING count(*) > {rules.bot_slates_a_day}
        UNION
        SELECT user_id FROM taps WHERE reason IS NULL OR reason = 'repeated_tap'
        GROUP BY user_id, date_trunc('minute', time) HAVING count(*) > {rules.bot_taps_a_minute}
        """)
    db.execute("""
        CREATE TABLE users AS
        WITH seen AS (
            SELECT user_id, min(arm) AS arm, max(other_arm) AS other_arm, min(time) AS first,
                   bool_or(coalesce(reason = 'override', false)) AS tester,
                   bool_or(arm <> other_arm) AS split
            FROM slates WHERE arm IS NOT NULL AND (reason IS NULL OR reason = 'override') GROUP BY user_id
        )
        SELECT user_id, arm, first, user_id IN (SELECT user_id FROM bots) AS bot,
               CASE WHEN tester THEN 'override'
                    WHEN arm <> other_arm OR split THEN 'two_arms' END::reason AS excluded
        FROM seen
        """)


def _make_facts(db: duckdb.DuckDBPyConnection, window: Window) -> None:
    """Create `facts`: the clean events of users in one arm, before the start or since the first exposure.

    A slate counts with its arm; a tap with its slate. Views, purchases and complaints of any origin count
    since the first exposure, and those from a slate of the arm even if a clock says they came before it.
    amount: milliseconds of a slate, price of a purchase. flag: an empty slate; a purchase that
    originates from a tap. day: of the event, never before that of the exposure.
    """
    start = _instant(window.start)
    since = "(e.arm IS NOT NULL OR e.time >= u.first)"
    from_tap = (
        "e.arm IS NOT NULL AND (e.slate, e.item) IN (SELECT (slate, item) FROM taps WHERE reason IS NULL)"
    )
    others = " UNION ALL ".join(
        f"""
        SELECT u.user_id, u.arm, u.bot, '{kind}'::kind, NOT {since},
               CASE WHEN {since} THEN greatest(e.time, u.first) ELSE e.time END::DATE, u.first::DATE,
               e.category, e.price, e.amount, {flag}
        FROM {name} e JOIN included u USING (user_id)
        WHERE e.reason IS NULL AND ({condition})
        """
        for name, kind, condition, flag in (
            ("taps", "tap", f"e.arm IS NOT NULL OR greatest(e.time, e.slate_time) < {start}", "false"),
            ("views", "view", f"{since} OR e.time < {start}", "false"),
            ("purchases", "purchase", f"{since} OR e.time < {start}", from_tap),
            ("complaints", "complaint", f"{since} OR e.time < {start}", "false"),
        )
    )
    db.execute(f"""
        CREATE TABLE facts AS
        WITH included AS (SELECT * FROM users WHERE excluded IS NULL)
        SELECT u.user_id, u.arm, u.bot, 'slate'::kind AS kind, s.arm IS NULL AS pre, s.time::DATE AS day,
               u.first::DATE AS first_day, s.category, s.price, s.took_ms AS amount, s.empty AS flag
        FROM slates s JOIN included u USING (user_id)
        WHERE s.reason IS NULL AND (s.arm IS NOT NULL OR s.time < {start})
        UNION ALL {others}
        """)


def _mark_missing_arms(db: duckdb.DuckDBPyConnection, experiment: Experiment, window: Window) -> None:
    """Create `unassigned`: slates without their user's arm, from the start to the last slate with an arm.

    If the index of an arm lacks items, more of its slates have no arm, and those that remain are its better
    ones. Excluded users and suspected bots are left out.
    """
    db.execute(f"""
        CREATE TABLE armless AS
        SELECT row, user_id, time::DATE AS day FROM slates
        WHERE reason IS NULL AND arm IS NULL AND time >= {_instant(window.start)}
          AND time <= (SELECT max(time) FROM slates WHERE arm IS NOT NULL AND reason IS NULL)
          AND user_id NOT IN (SELECT user_id FROM bots)
          AND user_id NOT IN (SELECT user_id FROM users WHERE excluded IS NOT NULL)
        """)
    days = [day for (day,) in db.execute("SELECT DISTINCT day FROM armless").fetchall()]
    names = db.execute("""
        SELECT DISTINCT user_id AS name FROM raw.impressions
        WHERE hash(user_id) IN (SELECT user_id FROM armless)
        """).fetchnumpy()["name"]
    running = experiment.model_copy(update={"enabled": True})  # as when its arms were shown
    shares = {day: running.share_on(day) for day in days}
    db.execute("CREATE TABLE unassigned (row UBIGINT, arm UTINYINT)")
    for share in set(shares.values()):
        arms = arm_array(running, names, share)
        takes_part = arms != NO_ARM
        db.register("members", pa.table({"name": names[takes_part], "arm": arms[takes_part] + 1}))
        of_share = ", ".join(f"DATE '{day}'" for day in days if shares[day] == share)
        db.execute(f"""
            INSERT INTO unassigned SELECT row, m.arm FROM armless a JOIN members m ON a.user_id = hash(m.name)
            WHERE day IN ({of_share})
            """)
        db.unregister("members")
    db.execute("UPDATE slates SET reason = 'arm_missing' WHERE row IN (SELECT row FROM unassigned)")


def _count_exclusions(db: duckdb.DuckDBPyConnection) -> tuple[Exclusion, ...]:
    """One exclusion for each reason that occurs, in the order of `Reason`."""
    tables = {"slates": "false"} | dict.fromkeys(OTHER_TABLES.values(), "e.unlinked")
    events = " UNION ALL ".join(
        f"""
        SELECT CASE WHEN e.reason IS NULL OR e.reason = 'override' THEN
                        coalesce(u.excluded, CASE WHEN u.bot THEN 'bot'::reason END, e.reason,
                                 CASE WHEN {unlinked} THEN 'unknown_slate'::reason END)
                    ELSE e.reason END AS reason, e.user_id, e.event
        FROM {table} e LEFT JOIN users u USING (user_id)
        WHERE e.reason IS NOT NULL OR u.excluded IS NOT NULL OR u.bot OR {unlinked}
        """
        for table, unlinked in tables.items()
    )
    counted = db.execute(f"""
        SELECT reason, count(*), count(DISTINCT user_id), min(event), min(user_id) FROM ({events})
        GROUP BY reason ORDER BY reason
        """).fetchall()
    excluded = [
        (Reason(reason), count, users, user if Reason(reason) in BY_USER else event)
        for reason, count, users, event, user in counted
    ]
    names = _names(db, "event_id", [event for reason, *_, event in excluded if reason not in BY_USER])
    names |= _names(db, "user_id", [user for reason, *_, user in excluded if reason in BY_USER])
    return tuple(
        Exclusion(reason, count, users, names.get(key, "")) for reason, count, users, key in excluded
    )


def _names(db: duckdb.DuckDBPyConnection, column: str, hashes: list[int]) -> dict[int, str]:
    """Hash to the id or name that was hashed, looked up in all raw tables."""
    if not hashes:
        return {}
    tables = " UNION ALL ".join(
        f'SELECT "{column}" AS name FROM raw.{table}' for table in ("impressions", *OTHER_TABLES)
    )
    found = db.execute(
        f"SELECT hash(name), min(name) FROM ({tables}) WHERE hash(name) IN ({', '.join(map(str, hashes))}) "
        "AND name IS NOT NULL GROUP BY 1"
    ).fetchall()
    return dict(found)


def _instant(value: datetime) -> str:
    return f"TIMESTAMP '{value.isoformat(sep=' ')}'"


def _literals(*names: str) -> str:
    """Names, either constants or checked by a definition, quoted for SQL."""
    return ", ".join(f"'{name}'" for name in names)
