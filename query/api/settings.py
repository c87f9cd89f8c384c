"""The settings of the API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

from annotated_types import Ge, Le

from cache.protocol import MAX_TTL_S
from events.user_ids import UserSalt, user_salt
from mappings.client import ElasticsearchSettings
from mappings.image_roots import ImageRoots
from query.api.middleware.client_address import is_loopback
from query.api.middleware.settings import AccessSettings
from query.search.ranking import Ranking
from query.search.ranking_file import UnusableRanking, read_ranking
from query.search.request import MAX_SIZE
from query.search.result_policy import ResultPolicy
from query.search.terms.freshness import Freshness
from query.search.terms.popularity import Popularity
from queues.broker import DEFAULT_REDIS_URL, RedisUrl
from settings.environment import Port, RankingWeight, Share, Variable, Whole, read_settings
from telemetry.settings import LogSettings

Count = Annotated[Whole, Ge(1), Le(64)]
CacheTtl = Annotated[Whole, Ge(1), Le(MAX_TTL_S)]


@dataclass(frozen=True)
class QuerySettings:
    """Address, services, folders and logging of the API."""

    elasticsearch: ElasticsearchSettings = field(default_factory=ElasticsearchSettings)
    image_roots: ImageRoots = field(default_factory=ImageRoots)
    access: AccessSettings = field(default_factory=AccessSettings)
    host: Annotated[
        str, Variable("NITAMONO_API_HOST", "The address that the API listens on; `0.0.0.0` is all of them.")
    ] = "127.0.0.1"
    port: Annotated[Port, Variable("NITAMONO_API_PORT", "The port that the API listens on.")] = 8000
    workers: Annotated[Count, Variable("NITAMONO_API_WORKERS", "gunicorn's worker processes.")] = 2
    threads: Annotated[Count, Variable("NITAMONO_API_THREADS", "Threads in each of them.")] = 4
    logs: LogSettings = field(default_factory=LogSettings)
    access_log: Annotated[
        Whole, Ge(0), Le(1), Variable("NITAMONO_API_ACCESS_LOG", "1 writes a line for each request.")
    ] = 0
    collapse_duplicates: Annotated[
        Whole,
        Ge(0),
        Le(1),
        Variable(
            "NITAMONO_COLLAPSE_DUPLICATES", "1 shows only the best of listings with nearly the same photo."
        ),
    ] = int(ResultPolicy.collapse_duplicates)
    seller_cap: Annotated[
        Whole,
        Ge(0),
        Le(MAX_SIZE),
        Variable("NITAMONO_SELLER_CAP", "The most items of one seller in 24; 0 allows any number."),
    ] = ResultPolicy.seller_cap
    min_similarity: Annotated[
        Share | None,
        Variable(
            "NITAMONO_MIN_SIMILARITY",
            "The least similarity of an item that is shown; 0 shows any.",
            default="calibrated for the encoder",
        ),
    ] = None
    diversity: Annotated[
        Share,
        Variable("NITAMONO_DIVERSITY", "0 orders by score, 1 makes the items as unlike as possible."),
    ] = ResultPolicy.diversity
    ranking_file: Annotated[
        Path | None,
        Variable(
            "NITAMONO_RANKING_FILE",
            "The [ranking file](result-policy.md#ranking-files). Without one, the weights of "
            "[decision 151](decisions/151-ranking-weights.md) rank.",
            used_by="API, `nitamono similar`, `nitamono query calibrate`",
        ),
    ] = None
    attribute_boost: Annotated[
        RankingWeight,
        Variable(
            "NITAMONO_ATTRIBUTE_BOOST", "The factor on the weights of gender, colour and brand; 0 is off."
        ),
    ] = ResultPolicy.attribute_boost
    freshness: Annotated[
        RankingWeight | None,
        Variable(
            "NITAMONO_FRESHNESS",
            "The weight of new listings, in spreads of similarity.",
            default="that of the ranking file, else 0",
        ),
    ] = None
    popularity: Annotated[
        RankingWeight | None,
        Variable(
            "NITAMONO_POPULARITY",
            "The weight of popular listings, in spreads of similarity.",
            default="that of the ranking file, else 0",
        ),
    ] = None
    redis_url: RedisUrl = field(default=DEFAULT_REDIS_URL, repr=False)
    cache_answers: Annotated[
        Whole,
        Ge(0),
        Le(1_000_000),
        Variable(
            "NITAMONO_CACHE_ANSWERS",
            "The most answers that the [cache](answer-cache.md) in Redis keeps; 0 turns it off.",
        ),
    ] = 10_000
    cache_ttl_s: Annotated[
        CacheTtl,
        Variable(
            "NITAMONO_CACHE_TTL_S",
            "Seconds for which an answer is kept, and so until a new listing can enter it.",
        ),
    ] = 30
    max_age_s: Annotated[
        Whole,
        Ge(0),
        Le(3600),
        Variable(
            "NITAMONO_HTTP_MAX_AGE_S",
            "Seconds for which browsers and CDNs may show a [copy](answer-cache.md) without asking.",
        ),
    ] = 0
    queue_limit: Annotated[
        Whole,
        Ge(1),
        Le(1_000_000),
        Variable(
            "NITAMONO_QUEUE_LIMIT",
            "The most messages of [listings](http-ingest.md#backpressure) that wait for a worker; above, the "
            "API answers 429. A message has up to 64 listings.",
        ),
    ] = 5_000
    experiments: Annotated[
        Path | None,
        Variable(
            "NITAMONO_EXPERIMENTS_DIR",
            "The folder of the [experiment files](experiments.md). If it is not set, the API runs no "
            "experiment, and `nitamono experiment` reads those of `make demo`.",
            used_by="API, `nitamono experiment`",
        ),
    ] = None
    user_salt: UserSalt = field(default=None, repr=False)
    reports: Annotated[
        Path | None,
        Variable(
            "NITAMONO_REPORTS_DIR",
            "The folder of the reports that `/reports` shows. Without it there are none.",
        ),
    ] = None

    @property
    def is_reachable(self) -> bool:
        """Whether other machines reach the API, directly or by a proxy."""
        return not is_loopback(self.host) or bool(self.access.trusted_proxies)

    @property
    def policy(self) -> ResultPolicy:
        """The rules of every answer whose request does not say otherwise."""
        return ResultPolicy(
            bool(self.collapse_duplicates),
            self.seller_cap,
            self.min_similarity,
            self.diversity,
            self.attribute_boost,
        )

    def ranking(self) -> Ranking:
        """Read the ranking file; the weights that are set replace its own.

        Raises:
            UnusableRanking: the file cannot be used.
        """
        weights = {Freshness.name: self.freshness, Popularity.name: self.popularity}
        given = {name: weight for name, weight in weights.items() if weight is not None}
        return self._ranking_of_file().with_weights(given)

    def _ranking_of_file(self) -> Ranking:
        if self.ranking_file is None:
            return Ranking()
        try:
            return read_ranking(self.ranking_file)
        except UnusableRanking as error:
            raise UnusableRanking(f"NITAMONO_RANKING_FILE: {error}") from error

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> QuerySettings:
        """Read the settings from the variables that the fields name; the salt may be that of `make up`.

        Raises:
            InvalidSetting: naming the variable, what was found and what is expected.
        """
        return replace(read_settings(cls, environ), user_salt=user_salt(environ))
