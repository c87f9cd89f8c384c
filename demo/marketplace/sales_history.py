"""What becomes of listings after the year in which they were listed."""

from collections.abc import Iterable, Iterator
from random import Random

from demo.marketplace.listings import DAY, LISTED_UNTIL, LOWEST_YEN, ListingEvent, Status, timestamp
from demo.marketplace.random_source import Purpose, check_seed, stream
from demo.marketplace.titles import reserved_title

LIFE_UNTIL = LISTED_UNTIL + 30 * DAY
CHANGES: dict[Status, float] = {"on_sale": 0.45, "reserved": 0.7, "sold_out": 0.05, "removed": 0.05}
"""How likely something more happens to a listing of this status within days: the last two are relisted."""


def events(listings: Iterable[ListingEvent], seed: int) -> Iterator[ListingEvent]:
    """What becomes of listings in the 30 days after, oldest first: price drops, sales, removals, relistings.

    Each event is the whole listing, changed, with a later `updated_at`; no two of one listing share a time.
    """
    check_seed(seed)
    later = [event for listing in listings for event in life(listing, seed)]
    return iter(sorted(later, key=lambda event: (event["updated_at"], event["item_id"])))


def life(listing: ListingEvent, seed: int) -> list[ListingEvent]:
    """The later events of one listing, oldest first."""
    chance = stream(seed, Purpose.LIFE, int(listing["item_id"][1:]))
    moment, happened, now = LISTED_UNTIL, [], listing
    while chance.random() < CHANGES[now["status"]]:
        moment += DAY // 2 + int(chance.random() * 12 * DAY)
        if moment > LIFE_UNTIL:
            break
        now = _next(now, moment, chance)
        happened.append(now)
    return happened


def _next(listing: ListingEvent, moment: int, chance: Random) -> ListingEvent:
    """What happens next to a listing in this state."""
    changed: ListingEvent = {**listing, "updated_at": timestamp(moment)}
    draw = chance.random()
    match listing["status"]:
        case "on_sale" if draw < 0.5:
            lower = int(listing["price"] * (0.75 + 0.2 * chance.random())) // 10 * 10
            changed["price"] = max(LOWEST_YEN, lower)
        case "on_sale" if draw < 0.59:
            changed["status"], changed["title"] = "reserved", reserved_title(chance)
        case "on_sale":
            changed["status"] = "sold_out" if draw < 0.94 else "removed"
        case "reserved":
            changed["status"] = "sold_out" if draw < 0.7 else "on_sale"
        case _:
            changed["status"] = "on_sale"
    return changed
