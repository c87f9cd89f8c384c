"""Responses of the API. The same models make the schemas of `/openapi.json`."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, Final
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field

from cache.answers import CacheCounts, CacheState
from experiments.assignment.kill_switch import STALE_AFTER_S
from mappings.errors import Problem
from mappings.identity import EncoderIdentity
from mappings.image_roots import is_remote
from mappings.listing import NO_CURRENCY, AttributeValue, ListingDocument, Status, place_of_photo
from mappings.remedies import remedy_over_http
from query.search.browse import Page
from query.search.experiment_aware import ExperimentStatus, Exposure
from query.search.hits import RankedHit
from query.search.missing import Reason, explain_missing
from query.search.price_band import WIDER_RATIOS, PriceBand
from query.search.reader import Found, RequestDeadline
from query.search.similar import FALLBACK_NOT_ENCODED, FALLBACK_REMOVED, SimilarItems

STAGES: Final = ("index", "item", "filters", "counts", "search", "wider", "explanation")

Milliseconds = Annotated[float, Field(ge=0)]


class Model(BaseModel):
    """Part of an answer."""

    model_config = ConfigDict(frozen=True)


class Photo(Model):
    """One photo of a listing."""

    url: Annotated[str, Field(description="Where to load it from: a path on this server, or its own URL.")]


class ListingSummary(Model):
    """A listing as it appears among others."""

    item_id: str
    title: Annotated[str | None, Field(description="Null for a removed listing.")]
    category: Annotated[tuple[str, ...], Field(description="From the root to the leaf.")]
    price: Annotated[float | None, Field(description="0 for a giveaway; null if it is unknown.")]
    currency: str
    seller_id: str
    status: Status
    photos: tuple[Photo, ...]


class ListingDetail(ListingSummary):
    """A single listing, with all that the API shows of it."""

    attributes: dict[str, AttributeValue]
    popularity: float | None
    created_at: datetime
    updated_at: datetime
    indexed_at: datetime
    encoded: Annotated[bool, Field(description="Whether similar items can be found by its picture.")]
    photo_problem: Annotated[str | None, Field(description="Why its photo could not be encoded, as a code.")]
    index: str


class ListingPage(Model):
    """One page of listings, newest first."""

    listings: tuple[ListingSummary, ...]
    total: Annotated[int, Field(description="How many match in all.")]
    page: int
    size: int
    took_ms: Milliseconds


class Explanation(Model):
    """How an item's score was computed."""

    terms: Annotated[
        dict[str, float],
        Field(description="Each ranking term by name, such as `similarity`. The score is their sum."),
    ]
    facts: Annotated[
        dict[str, int | float],
        Field(
            description="What the terms follow from: `shared_depth`, the category levels in common; "
            "`learned_similarity`, that of the categories from taps; `price_ratio`, the price relative to "
            "that of the item asked about; `age_days`; `popularity`."
        ),
    ]
    rank: Annotated[int, Field(ge=1)]
    rank_by_similarity: Annotated[
        int | None,
        Field(ge=1, description="The rank by similarity alone; null in a fallback."),
    ]
    matched_queries: Annotated[
        tuple[str, ...], Field(description="The category levels that Elasticsearch says matched.")
    ]
    photo: Annotated[
        int | None,
        Field(
            ge=0,
            description="Where several photos of a listing are searched: the place in `photos`, from 0, of "
            "the one that is most similar, whose similarity counts. Null elsewhere, and in a fallback.",
        ),
    ]


class SimilarItem(ListingSummary):
    """One of the items similar to another."""

    score: float
    similarity: Annotated[float | None, Field(description="Cosine of the two vectors; null in a fallback.")]
    stands_for: Annotated[
        int, Field(ge=0, description="The number of listings with nearly the same photo behind this one.")
    ]
    explanation: Annotated[Explanation | None, Field(description="Given where `explain` was asked for.")]


class Band(Model):
    """The prices that items were taken from, rounded outward to steps of 25 %."""

    requested_ratio: float
    applied_ratio: Annotated[float, Field(description="Above `requested_ratio` if too few items remained.")]
    low: float
    high: float
    currency: str
    steps_widened: Annotated[int, Field(ge=0)]


class Fallback(Model):
    """Why the answer is by category and date, not by the item's photo."""

    reason: Annotated[
        str,
        Field(description="`not_encoded`, `removed`, or a `photo_…` code of what is wrong with it."),
    ]
    message: str


class Filter(Model):
    """A rule that left items out of the answer."""

    field: str
    kept: Annotated[str, Field(description="The value that a listing must have.")]
    why: str


class MissingItem(Model):
    """Why an item that was asked about is not in the answer."""

    item_id: str
    reason: Annotated[str, Field(description=f"One of {', '.join(f'`{each}`' for each in Reason)}.")]
    message: str
    figures: Annotated[
        dict[str, int | float | str],
        Field(description="What the reason follows from, such as `similarity` and `floor`."),
    ]


class SimilarContent(Model):
    """The part of an answer that is the same each time, and that the cache keeps."""

    item: ListingSummary
    items: tuple[SimilarItem, ...]
    encoder_id: str
    index: str
    ranking: Annotated[
        str,
        Field(description="What ranked the items: the name of a ranking file with its hash, or `default`."),
    ]
    band: Annotated[Band | None, Field(description="Null for an item that is free or has no price.")]
    no_band: Annotated[str | None, Field(description="Why there is no band; null where there is one.")]
    fallback: Fallback | None
    filters: tuple[Filter, ...]
    removed: Annotated[
        dict[str, int],
        Field(
            description="The number of candidates that each rule removed: `min_similarity`, "
            "`duplicate_of_item`, `collapse_duplicates`, `seller_cap`."
        ),
    ]
    short: Annotated[
        str | None, Field(description="Why there are fewer items than `size`; null if there are not.")
    ]
    missing: Annotated[tuple[MissingItem, ...], Field(description="The items of `explain_missing`.")]
    index_changed: Annotated[
        bool | None,
        Field(
            description="Whether the index may have changed since the first page: then an item of this page "
            "may belong on an earlier one. Null on the first page, or without the privilege `monitor`."
        ),
    ]
    next_cursor: Annotated[str | None, Field(description="For the next page; null where there is none.")]


class Delivery(Model):
    """The part of an answer that belongs to one delivery of it."""

    took_ms: Annotated[float, Field(ge=0, description="In total, in this server.")]
    elasticsearch_ms: Annotated[
        float, Field(ge=0, description="Milliseconds spent waiting for Elasticsearch.")
    ]
    stages_ms: Annotated[
        dict[str, float],
        Field(
            description="The same by stage: waiting for Elasticsearch for "
            f"{', '.join(f'`{each}`' for each in STAGES)}, and `other`, the work of this server."
        ),
    ]
    cached: Annotated[bool, Field(description="Whether the items are those of an earlier, equal request.")]
    slate_id: Annotated[str, Field(description="Id of this answer. Send it with events.")]
    arms: Annotated[
        tuple[str, ...],
        Field(
            description="Arms that this answer is attributed to, as `experiment:arm`. Send them with events."
        ),
    ]
    arms_reason: Annotated[
        str | None,
        Field(
            description=(
                "Why an assigned arm is missing from `arms`: `stopped`, `kill_switch_unavailable`, "
                "`item_not_in_arm`, `arm_index_missing`, `arm_unavailable`, `arm_encoder_mismatch`."
            )
        ),
    ]
    override: Annotated[bool, Field(description="Whether `arm` chose the arms, and not the user.")]
    randomised: Annotated[bool, Field(description="Whether the order is random, so as to measure positions.")]


class SimilarAnswer(Delivery, SimilarContent):
    """The items similar to one, best first, or in random order if `randomised` is true."""


class ParameterProblem(Model):
    """One thing wrong with one parameter."""

    field: str
    reason: str
    found: str
    expected: str

    @classmethod
    def of(cls, problem: Problem) -> ParameterProblem:
        """Convert the problem of a search to a part of a response."""
        return cls(field=problem.field, reason=problem.reason, found=problem.found, expected=problem.expected)


class ListingProblem(ParameterProblem):
    """One thing wrong with one field of a listing."""

    remedy: Annotated[str, Field(description="What to do about it.")]

    @classmethod
    def of(cls, problem: Problem) -> ListingProblem:
        """Convert the problem of a listing to a part of a response."""
        return cls(**dict(ParameterProblem.of(problem)), remedy=remedy_over_http(problem.reason))


class ProblemDetails(Model):
    """An error, as RFC 9457 has it."""

    type: Annotated[str, Field(description="Stable, for programs.")]
    title: str
    status: int
    detail: str
    instance: Annotated[str, Field(description="The path that was asked for.")]
    problems: Annotated[
        tuple[ListingProblem | ParameterProblem, ...],
        Field(description="Each parameter, or field of a listing or an event, that cannot be used."),
    ] = ()


class Health(Model):
    """Health of the process."""

    status: Annotated[str, Field(description="`ok`, or `ready`.")]


class RankingState(Model):
    """What ranks the answers of this process from the live index."""

    name: Annotated[str, Field(description="The name of the ranking file with its hash, or `default`.")]
    in_use: Annotated[
        str, Field(description="The same for what ranks the live index: `default` if the file cannot.")
    ]
    problem: Annotated[
        str | None,
        Field(description="Why it cannot rank the live index, which the default ranks until then."),
    ]


class ArmState(Model):
    """The index of an arm, and what ranks its answers."""

    arm: str
    index: Annotated[str | None, Field(description="The index that it reads; null if there is none.")]
    ranking: Annotated[
        str | None, Field(description="The name of the ranking file that ranks this index, or `default`.")
    ]
    ranking_problem: Annotated[
        str | None,
        Field(
            description="Why the ranking file of the arm, or else of the deployment, does not apply to it."
        ),
    ]


class ExperimentState(Model):
    """State of an experiment in this process."""

    name: str
    state: Annotated[
        str,
        Field(description="`running`, `not_started`, `disabled`, `stopped` or `kill_switch_unavailable`."),
    ]
    problems: Annotated[
        tuple[str, ...], Field(description="Arms that cannot be served; their users get no arm.")
    ]
    arms: tuple[ArmState, ...]


class CacheReadiness(Model):
    """The cache of answers, as this process saw it last."""

    state: Annotated[
        CacheState,
        Field(
            description="`on`; `off`, by its setting; `unavailable`, without Redis; `no_worker`, until a "
            "worker of listings has started."
        ),
    ]
    hits: Annotated[int, Field(ge=0, description="Requests that were answered from it, by this process.")]
    misses: Annotated[int, Field(ge=0, description="Requests that it had no answer to, by this process.")]


class Coverage(Model):
    """How many listings can be found by photo."""

    on_sale: Annotated[int, Field(ge=0, description="Listings for sale in the live index.")]
    with_vector: Annotated[
        float | None, Field(ge=0, le=1, description="The share of them with a vector; null without any.")
    ]


class Readiness(Health):
    """Readiness of the process to answer requests."""

    index: str
    encoder_id: str
    coverage: Coverage
    ranking: RankingState
    experiments: tuple[ExperimentState, ...]
    switches_age_s: Annotated[
        float | None,
        Field(
            description="Seconds since the kill switch was last read; null: never. "
            f"From {STALE_AFTER_S:g} on it counts as stale, and nobody is in an arm."
        ),
    ]
    experiments_off: Annotated[str | None, Field(description="Why there are no experiments here.")]
    cache: CacheReadiness


def coverage(on_sale: int, encoded: int) -> Coverage:
    """Convert the numbers of listings for sale, and of those with a vector, to a response."""
    return Coverage(on_sale=on_sale, with_vector=round(encoded / on_sale, 4) if on_sale else None)


def readiness(
    index: str,
    encoder: EncoderIdentity,
    ranking: RankingState,
    experiments: Iterable[ExperimentStatus],
    switches_age_s: float | None,
    experiments_off: str | None,
    cache: CacheCounts,
    counts: tuple[int, int],
) -> Readiness:
    """Readiness of the process; an arm that cannot be served does not make it unready."""
    return Readiness(
        status="ready",
        index=index,
        encoder_id=encoder.encoder_id,
        coverage=coverage(*counts),
        ranking=ranking,
        experiments=tuple(
            ExperimentState(
                name=each.name,
                state=each.state,
                problems=each.problems,
                arms=tuple(ArmState.model_validate(arm, from_attributes=True) for arm in each.arms),
            )
            for each in experiments
        ),
        switches_age_s=None if switches_age_s is None else round(switches_age_s, 1),
        experiments_off=experiments_off,
        cache=CacheReadiness(state=cache.state, hits=cache.hits, misses=cache.misses),
    )


def summary(document: ListingDocument) -> ListingSummary:
    """Convert a document to a listing as it appears among others."""
    return ListingSummary(**_summary_fields(document))


def detail(found: Found) -> ListingDetail:
    """Convert a document to a single listing."""
    document = found.document
    return ListingDetail(
        **_summary_fields(document),
        attributes=document.attributes,
        popularity=document.popularity,
        created_at=document.created_at,
        updated_at=document.updated_at,
        indexed_at=document.indexed_at,
        encoded=document.vector is not None,
        photo_problem=document.photo_problem,
        index=found.index,
    )


def listing_page(page: Page) -> ListingPage:
    """Convert a page of the search to a response."""
    return ListingPage(
        listings=tuple(summary(hit.document) for hit in page.answer.hits),
        total=page.answer.total or 0,
        page=page.request.page,
        size=page.request.size,
        took_ms=_millis(page.took_s),
    )


def similar_answer(found: SimilarItems, exposure: Exposure | None = None) -> SimilarAnswer:
    """The response of the API; without an exposure it is part of no experiment."""
    content, delivered = similar_content(found), delivery(found.deadline, exposure or Exposure())
    return SimilarAnswer(**dict(content), **dict(delivered))


def delivery(deadline: RequestDeadline, exposure: Exposure, *, cached: bool = False) -> Delivery:
    """The part of an answer that is new each time, as of now."""
    return Delivery(
        took_ms=_millis(deadline.elapsed_s()),
        elasticsearch_ms=_millis(deadline.waited_s),
        stages_ms=stages(deadline),
        cached=cached,
        slate_id=exposure.slate_id,
        arms=exposure.arms,
        arms_reason=exposure.reason,
        override=exposure.override,
        randomised=exposure.randomised,
    )


def similar_content(found: SimilarItems) -> SimilarContent:
    """The part of an answer that is the same each time."""
    query = found.query
    return SimilarContent(
        item=summary(query.item),
        items=similar_items(found),
        encoder_id=found.encoder.encoder_id,
        index=found.found.index,
        ranking=found.ranking.name,
        band=band_applied(found),
        no_band=no_band(found),
        fallback=fallback(found.fallback_reason),
        filters=filters_applied(found),
        removed=found.selection.counts(),
        short=short_because(found),
        missing=tuple(
            MissingItem(item_id=each.item_id, reason=each.reason, message=each.message, figures=each.figures)
            for each in explain_missing(found)
        ),
        index_changed=found.index_changed,
        next_cursor=found.next_cursor,
    )


def band_applied(found: SimilarItems) -> Band | None:
    """The prices that items were taken from; None if those of all."""
    band = found.band
    if band.unpriced:
        return None
    return Band(
        requested_ratio=found.query.request.price_ratio,
        applied_ratio=band.ratio,
        low=band.low,
        high=band.high,
        currency=found.query.item.currency,
        steps_widened=found.steps_widened,
    )


def no_band(found: SimilarItems) -> str | None:
    """Why an answer has no price band; None if it has one."""
    if not found.band.unpriced:
        return None
    own = "has no price" if found.query.item.price is None else "is free"
    currency = found.query.item.currency
    kept = "without a currency" if currency == NO_CURRENCY else f"of every price in {currency}"
    return f"The item {own}, so items {kept} are shown."


def stages(deadline: RequestDeadline) -> dict[str, float]:
    """Milliseconds by stage of an answer."""
    waited = {name: _millis(seconds) for name, seconds in deadline.waited_by_stage_s.items()}
    return waited | {"other": _millis(deadline.elapsed_s() - deadline.waited_s)}


def similar_items(found: SimilarItems) -> tuple[SimilarItem, ...]:
    """The hits as items, with explanations of their scores where requested."""
    explain = found.query.request.explain
    ranks = {item_id: rank for rank, item_id in enumerate(found.by_similarity, start=1)}
    items = []
    for rank, hit in enumerate(found.hits, start=found.query.shown_before + 1):
        items.append(
            SimilarItem(
                **_summary_fields(hit.document),
                score=hit.score,
                similarity=hit.similarity,
                stands_for=found.selection.stands_for.get(hit.document.item_id, 0),
                explanation=explanation(found, hit, rank, ranks.get(hit.document.item_id))
                if explain
                else None,
            )
        )
    return tuple(items)


def explanation(
    found: SimilarItems, hit: RankedHit, rank: int, rank_by_similarity: int | None
) -> Explanation:
    """The terms of a hit's score."""
    return Explanation(
        terms=dict(hit.terms),
        facts=found.query.calibration.facts(found.query.item, hit.document),
        rank=rank,
        rank_by_similarity=rank_by_similarity,
        matched_queries=hit.matched,
        photo=photo_matched(found, hit),
    )


def photo_matched(found: SimilarItems, hit: RankedHit) -> int | None:
    """The place of the photo that a hit was found by, where the index has several of a listing."""
    if found.query.photos == 1 or hit.similarity is None:
        return None
    return place_of_photo(hit.photo, hit.document.unused_photos)


def filters_applied(found: SimilarItems) -> tuple[Filter, ...]:
    """Filters that left items out of an answer."""
    asked, band, currency = found.query.request, found.band, found.query.item.currency
    always = [
        Filter(field="status", kept=Status.ON_SALE.value, why="only what can be bought is shown"),
        Filter(
            field="currency",
            kept="none" if currency == NO_CURRENCY else currency,
            why="prices in another currency cannot be compared",
        ),
        *([] if band.unpriced else [_price_filter(band)]),
        Filter(field="item_id", kept="any other", why="the item is not similar to itself"),
    ]
    asked_for = [
        *((("category", f"below {asked.category}"),) if asked.category else ()),
        *(("attribute", " or ".join(asked.spellings.get(each, (each,)))) for each in asked.attribute),
        *(("exclude_seller", f"not {seller}") for seller in asked.exclude_seller),
    ]
    return (*always, *(Filter(field=name, kept=kept, why="asked for") for name, kept in asked_for))


def _price_filter(band: PriceBand) -> Filter:
    return Filter(
        field="price",
        kept=f"{band.low:.2f} to {band.high:.2f}",
        why=f"prices about {band.ratio:g} times lower or higher, in whole steps of 25 %",
    )


def short_because(found: SimilarItems) -> str | None:
    """Why an answer has fewer items than were asked for; None if it has not."""
    size = found.query.request.size
    if len(found.hits) >= size:
        return None
    widest = max(found.query.request.price_ratio, *WIDER_RATIOS)
    even = "" if found.band.unpriced else f", even up to {widest:g} times the price"
    removed = ", ".join(f"{count} by {rule}" for rule, count in found.selection.counts().items() if count)
    return (
        f"{len(found.hits)} of {size}: no other listing for sale passes the filters and rules{even} "
        f"(removed: {removed or 'none'})"
    )


def fallback(reason: str | None) -> Fallback | None:
    """The reason code, with a sentence that explains it."""
    if reason is None:
        return None
    why = {
        FALLBACK_NOT_ENCODED: "Its photo has not been encoded yet",
        FALLBACK_REMOVED: "The listing was removed, and its photo with it",
    }.get(reason, f"Its photo cannot be used ({reason})")
    message = f"{why}; these are the newest of its category, then of those above."
    return Fallback(reason=reason, message=message)


def photo_url(item_id: str, number: int, reference: str) -> str:
    """URL of the photo for a browser: its own, or one of this server."""
    return reference if is_remote(reference) else f"/photos/{quote(item_id, safe='')}/{number}"


def _summary_fields(document: ListingDocument) -> dict[str, Any]:
    photos = (
        Photo(url=photo_url(document.item_id, number, reference))
        for number, reference in enumerate(document.images)
    )
    return {
        "item_id": document.item_id,
        "title": document.title,
        "category": document.category,
        "price": document.price,
        "currency": document.currency,
        "seller_id": document.seller_id,
        "status": document.status,
        "photos": tuple(photos),
    }


def _millis(seconds: float) -> float:
    return round(seconds * 1000, 2)
