"""The experiments that this server runs, from its settings."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from elasticsearch import Elasticsearch

from experiments.assignment.definition import Experiment, read_experiments
from experiments.assignment.kill_switch import Switches
from experiments.errors import InvalidDefinition
from query.api.settings import QuerySettings
from query.search.experiment_aware import ExperimentAwareSearch
from query.search.ranking import Ranking, UnknownTerm, weights_with
from query.search.ranking_file import UnusableRanking, read_ranking
from query.search.reader import IndexReader
from query.search.similar import SimilarService

logger = logging.getLogger(__name__)


def experiment_aware_search(
    settings: QuerySettings, es: Elasticsearch, own: SimilarService
) -> ExperimentAwareSearch:
    """Create the search with the experiments of the settings, and a reader for each prefix that an arm names.

    Raises:
        InvalidDefinition: a file of the folder cannot be used.
    """
    off = why_off(settings)
    if off and settings.experiments:
        logger.warning("no experiment runs: %s", off)
    experiments, rankings = experiments_and_rankings(settings)
    timeout_s = settings.elasticsearch.timeout_s
    prefixes = {arm.prefix for experiment in experiments for arm in experiment.arms if arm.prefix}
    return ExperimentAwareSearch(
        own,
        {
            prefix: SimilarService(
                IndexReader(es, prefix, timeout_s), policy=settings.policy, ranking=own.ranking
            )
            for prefix in prefixes
        },
        experiments,
        Switches(es, settings.elasticsearch.prefix),
        rankings=rankings,
        salt=settings.user_salt or "",
        off=off,
    )


def experiments_and_rankings(settings: QuerySettings) -> tuple[tuple[Experiment, ...], dict[str, Ranking]]:
    """Read the experiments that this server runs, and the ranking files of their arms, by name.

    Raises:
        InvalidDefinition: a file of the folder cannot be used.
    """
    if settings.experiments is None or why_off(settings):
        return (), {}
    experiments = read_experiments(settings.experiments)
    rankings = {}
    for experiment, arm in ((each, arm) for each in experiments for arm in each.arms):
        try:
            weights_with(arm.ranking_weights)
            if arm.ranking_file:
                rankings[arm.ranking_file] = read_ranking(settings.experiments / arm.ranking_file)
        except (UnknownTerm, UnusableRanking) as error:
            raise InvalidDefinition(f"{experiment.name}, arm {arm.name}: {error}") from error
    return experiments, rankings


def checked_settings(environ: Mapping[str, str]) -> QuerySettings:
    """Read the settings of the API, and check the files that they name, as its start does.

    Raises:
        InvalidSetting, InvalidDefinition, UnusableRanking
    """
    settings = QuerySettings.from_environ(environ)
    settings.ranking()
    experiments_and_rankings(settings)
    return settings


def why_off(settings: QuerySettings) -> str | None:
    """The setting that experiments need and that is missing, or None."""
    if settings.experiments is None:
        return "NITAMONO_EXPERIMENTS_DIR is not set"
    return None if settings.user_salt else "NITAMONO_USER_SALT is not set"
