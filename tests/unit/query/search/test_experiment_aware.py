"""How arms become a way of answering, and what is told when one fails."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Any, cast

import pytest
from elasticsearch import Elasticsearch, TransportError

import experiments.assignment.kill_switch
from events.user_ids import user_hash
from experiments.assignment.assign import Assignment, arm_array
from experiments.assignment.definition import Experiment
from experiments.assignment.kill_switch import Switches
from mappings.identity import EncoderIdentity
from query.api.experiments import why_off
from query.api.parameters import VisitorParameters
from query.api.settings import QuerySettings
from query.search.errors import InvalidParameters, NoLiveIndex, SearchUnavailable, UnknownItem
from query.search.experiment_aware import ExperimentAwareSearch, serving_config
from query.search.ranking import Ranking
from query.search.reader import Found, RequestDeadline
from query.search.request import VisitorRequest
from query.search.similar import SimilarItems, SimilarService
from tests.factories import make_experiment, make_identity

SALT = "a salt"
NOTHING: frozenset[str] = frozenset()
TODAY = date(2026, 11, 9)


@dataclass
class Index:
    """Stands for an index with its reader and service: finds every item, or fails as told."""

    name: str
    encoder_id: str = "colour-1"
    failure: Exception | None = None
    asked_of: Ranking | None = None
    ranking: Ranking = field(default_factory=Ranking)

    @property
    def reader(self) -> Index:
        return self

    def deadline(self) -> RequestDeadline:
        return RequestDeadline(10)

    def find(self, item_id: str, _allowance: RequestDeadline) -> Found:
        if self.failure:
            raise self.failure
        return Found(cast(Any, item_id), self.name)

    def identity(self, _index: str, _allowance: RequestDeadline) -> EncoderIdentity:
        return make_identity(encoder_id=self.encoder_id)

    def live(self, deadline: RequestDeadline) -> tuple[str, EncoderIdentity]:
        if self.failure:
            raise self.failure
        return self.name, self.identity(self.name, deadline)

    def similar_to(
        self, found: Found, _parameters: object, deadline: RequestDeadline, ranking: Ranking | None = None
    ) -> SimilarItems:
        self.asked_of = ranking
        return SimilarItems(found, *[cast(Any, None)] * 5, (), (), deadline)


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> dict[str, frozenset[str] | Exception]:
    """What Elasticsearch says is stopped: nothing, unless a test changes it."""
    said: dict[str, frozenset[str] | Exception] = {"names": NOTHING}

    def read(*_: object) -> frozenset[str]:
        names = said["names"]
        if isinstance(names, Exception):
            raise names
        return names

    monkeypatch.setattr(experiments.assignment.kill_switch, "read_stopped", read)
    return said


def make_service(own: Index, arm: Index, *defined: Experiment) -> ExperimentAwareSearch:
    """Of experiments whose arms may read the prefix `arm`."""
    return ExperimentAwareSearch(
        cast(SimilarService, own),
        {"arm": cast(SimilarService, arm)},
        defined,
        Switches(Elasticsearch("http://127.0.0.1:1"), "shop"),
        salt=SALT,
        today=lambda: TODAY,
    )


def with_arm(**changes: Any) -> Experiment:
    """An experiment whose second arm reads the prefix `arm`."""
    return make_experiment(arms=({"name": "control"}, {"name": "siglip", "prefix": "arm", **changes}))


def user_in(arm: int) -> str:
    """Id of a user in control (0) or in the other arm (1)."""
    users = [f"u{number}" for number in range(50)]
    hashed = [user_hash(SALT, user) for user in users]
    return users[list(arm_array(make_experiment(), hashed)).index(arm)]


def test_arms_of_several_layers_make_one_configuration() -> None:
    """What no arm sets keeps its default."""
    encoder = Assignment(with_arm(), with_arm().arms[1])
    weights = make_experiment(
        name="new-weights",
        layer="ranking",
        arms=({"name": "control"}, {"name": "price", "ranking_weights": {"price": 0.5}}),
    )
    config = serving_config((encoder, Assignment(weights, weights.arms[1])), NOTHING)
    assert config.labels == ("new-encoder:siglip", "new-weights:price")
    assert (config.prefix, config.weights) == ("arm", {"price": 0.5})
    assert (config.shuffle, config.override, config.reason) == (0, False, None)


def test_one_of_two_experiments_stopped_leaves_the_other() -> None:
    """The reason is given beside the remaining arm."""
    weights = make_experiment(
        name="new-weights",
        layer="ranking",
        arms=({"name": "control"}, {"name": "price", "ranking_weights": {"price": 0.5}}),
    )
    assigned = (Assignment(with_arm(), with_arm().arms[1]), Assignment(weights, weights.arms[1]))
    config = serving_config(assigned, frozenset({"new-encoder"}), override=True)
    assert (config.labels, config.prefix, config.weights["price"]) == (("new-weights:price",), None, 0.5)
    assert (config.override, config.reason) == (True, "stopped")


def test_controls_shuffle_ends_with_the_experiment() -> None:
    """A random order has no use where nobody measures."""
    experiment = make_experiment(
        arms=({"name": "control", "shuffle": 1, "ranking_weights": {"price": 0}}, {"name": "b", "shuffle": 1})
    )
    assigned = (Assignment(experiment, experiment.arms[1]),)
    config = serving_config(assigned, frozenset({"new-encoder"}))
    assert (config.labels, config.shuffle, config.weights["price"]) == ((), 0, 0)


def test_without_the_kill_switch_nobody_is_in_an_arm(stopped: dict[str, Any]) -> None:
    """The experiment may have been stopped for a good reason just before this process started."""
    stopped["names"] = TransportError("away")
    own, arm = Index("own"), Index("arm")
    service = make_service(own, arm, with_arm())
    items, exposure = service.slate("m1", VisitorRequest(user_id=user_in(1)))
    assert (items.found.index, exposure.arms, exposure.reason) == ("own", (), "kill_switch_unavailable")
    (status,) = service.states(RequestDeadline(10))
    assert status.state == "kill_switch_unavailable"
    assert service.switches_age_s() is None


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (UnknownItem("m1"), "item_not_in_arm"),
        (NoLiveIndex("no such index"), "arm_index_missing"),
        (SearchUnavailable("Elasticsearch answers 503"), "arm_unavailable"),
        (InvalidParameters(()), "arm_unavailable"),  # a filter value that the arm's index has not yet
    ],
)
def test_a_failing_arm_is_the_deployments_answer_without_an_arm(
    stopped: dict[str, Any], failure: Exception, reason: str
) -> None:
    """Never control's: nobody's. Control itself does not notice."""
    own, arm = Index("own"), Index("arm", failure=failure)
    service = make_service(own, arm, with_arm(ranking_weights={"price": 0.5}))
    items, exposure = service.slate("m1", VisitorRequest(user_id=user_in(1)))
    assert (items.found.index, exposure.arms, exposure.reason) == ("own", (), reason)
    assert own.asked_of is None
    items, exposure = service.slate("m1", VisitorRequest(user_id=user_in(0)))
    assert (items.found.index, exposure.arms, exposure.reason) == ("own", ("new-encoder:control",), None)


@pytest.mark.parametrize("failure", [UnknownItem("m1"), NoLiveIndex("…"), SearchUnavailable("…")])
def test_failures_of_the_deployments_own_index_stay_what_they_are(
    stopped: dict[str, Any], failure: Exception
) -> None:
    """For control, and for an arm whose own index fails too."""
    service = make_service(Index("own", failure=failure), Index("arm", failure=NoLiveIndex("…")), with_arm())
    for user in (user_in(0), user_in(1)):
        with pytest.raises(type(failure)):
            service.slate("m1", VisitorRequest(user_id=user))


def test_the_encoder_of_the_own_index_is_checked_too(stopped: dict[str, Any]) -> None:
    """Control may say which encoder the deployment has, so that a swap of it ends the comparison."""
    experiment = make_experiment(arms=({"name": "control", "encoder": "colour-1"}, {"name": "b"}))
    own = Index("own", encoder_id="colour-2")
    service = make_service(own, Index("arm"), experiment)
    assert service.slate("m1", VisitorRequest(user_id=user_in(0)))[1].reason == "arm_encoder_mismatch"
    assert service.slate("m1", VisitorRequest(user_id=user_in(1)))[1].arms == ("new-encoder:b",)
    (status,) = service.states(RequestDeadline(10))
    assert (status.state, status.problems) == (
        "running",
        ("arm control needs the encoder colour-1, own has colour-2",),
    )


def test_one_users_arms_are_the_same_on_every_item(stopped: dict[str, Any]) -> None:
    """And each slate has an id of its own."""
    service = make_service(Index("own"), Index("arm"), with_arm())
    slates = [service.slate(item, VisitorRequest(user_id=user_in(1)))[1] for item in ("m1", "m2", "m1")]
    assert {slate.arms for slate in slates} == {("new-encoder:siglip",)}
    assert len({slate.slate_id for slate in slates}) == 3


def test_a_disabled_experiment_cannot_even_be_asked_for(stopped: dict[str, Any]) -> None:
    """Its file is history."""
    service = make_service(Index("own"), Index("arm"), make_experiment(enabled=False))
    with pytest.raises(InvalidParameters, match="no experiment is enabled"):
        service.slate("m1", VisitorRequest(arm=("new-encoder:control",)))
    (status,) = service.states(RequestDeadline(10))
    assert (status.name, status.state, status.problems) == ("new-encoder", "disabled", ())


def test_the_ranking_of_each_arm_is_shown(stopped: dict[str, Any]) -> None:
    """A ranking file of the deployment does not apply to an arm whose index has another encoder."""
    ranking = Ranking(name="ours-1b2c3d4e", encoder_id="colour-1", otherwise=Ranking())
    arm = Index("arm", encoder_id="shape-2", ranking=ranking)
    (status,) = make_service(Index("own", ranking=ranking), arm, with_arm()).states(RequestDeadline(10))
    control, siglip = status.arms
    assert (control.index, control.ranking, control.ranking_problem) == ("own", "ours-1b2c3d4e", None)
    assert (siglip.index, siglip.ranking, status.problems) == ("arm", "default", ())
    assert siglip.ranking_problem == ranking.objection("arm", make_identity(encoder_id="shape-2"))
    arm.failure = NoLiveIndex("no such index")
    (status,) = make_service(Index("own"), arm, with_arm()).states(RequestDeadline(10))
    assert (status.arms[1].index, status.arms[1].ranking) == (None, None)
    assert status.problems == ("arm siglip: no such index",)


def test_the_missing_setting_is_named(tmp_path: Any) -> None:
    """The folder first, as without it nobody asked for experiments."""
    assert why_off(QuerySettings()) == "NITAMONO_EXPERIMENTS_DIR is not set"
    assert why_off(QuerySettings(experiments=tmp_path)) == "NITAMONO_USER_SALT is not set"
    assert why_off(QuerySettings(experiments=tmp_path, user_salt="s")) is None


def test_an_id_is_not_in_what_python_prints_of_the_parameters() -> None:
    """Tracebacks and debuggers print it."""
    for asked in (VisitorParameters(user_id="secret-person"), VisitorRequest(user_id="secret-person")):
        assert "secret-person" not in repr(asked)
