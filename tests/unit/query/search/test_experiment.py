"""How arms become a way of answering, and what is told when one fails."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from typing import Any, cast

import pytest
from elasticsearch import Elasticsearch

import experiments.assignment.kill_switch
from events.user_ids import user_hash
from experiments.assignment.assign import Assignment, arm_array
from experiments.assignment.definition import Experiment
from experiments.assignment.kill_switch import Switches
from mappings.identity import EncoderIdentity
from query.api.errors import InvalidParameters, NoLiveIndex, SearchUnavailable, UnknownItem
from query.api.parameters import SlateParameters
from query.api.settings import QuerySettings
from query.search.experiment import SlateService, way_of, why_off
from query.search.ranking import DEFAULT_WEIGHTS, Weights
from query.search.reader import Allowance, Found
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
    asked_of: Weights | None = None

    @property
    def reader(self) -> Index:
        return self

    def allowance(self) -> Allowance:
        return Allowance(10)

    def find(self, item_id: str, _allowance: Allowance) -> Found:
        if self.failure:
            raise self.failure
        return Found(cast(Any, item_id), self.name)

    def identity(self, _index: str, _allowance: Allowance) -> EncoderIdentity:
        return make_identity(encoder_id=self.encoder_id)

    def live(self, allowance: Allowance) -> tuple[str, EncoderIdentity]:
        if self.failure:
            raise self.failure
        return self.name, self.identity(self.name, allowance)

    def similar_to(
        self, found: Found, _parameters: object, allowance: Allowance, weights: Weights = DEFAULT_WEIGHTS
    ) -> SimilarItems:
        self.asked_of = weights
        return SimilarItems(found, *[cast(Any, None)] * 5, (), (), allowance)


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


def make_service(own: Index, arm: Index, *defined: Experiment) -> SlateService:
    """Of experiments whose arms may read the prefix `arm`."""
    return SlateService(
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


def test_arms_of_several_layers_make_one_way() -> None:
    """Each sets what is its own; what none sets stays the deployment's."""
    encoder = Assignment(with_arm(), with_arm().arms[1])
    weights = make_experiment(
        name="new-weights",
        layer="ranking",
        arms=({"name": "control"}, {"name": "price", "price_weight": 0.5}),
    )
    way = way_of((encoder, Assignment(weights, weights.arms[1])), NOTHING)
    assert way.labels == ("new-encoder:siglip", "new-weights:price")
    assert (way.prefix, way.weights) == ("arm", replace(DEFAULT_WEIGHTS, price=0.5))
    assert (way.shuffle, way.override, way.reason) == (0, False, None)


def test_one_of_two_experiments_stopped_leaves_the_other() -> None:
    """And the reason is told beside the arm that is left."""
    weights = make_experiment(
        name="new-weights",
        layer="ranking",
        arms=({"name": "control"}, {"name": "price", "price_weight": 0.5}),
    )
    assigned = (Assignment(with_arm(), with_arm().arms[1]), Assignment(weights, weights.arms[1]))
    way = way_of(assigned, frozenset({"new-encoder"}), override=True)
    assert (way.labels, way.prefix, way.weights.price) == (("new-weights:price",), None, 0.5)
    assert (way.override, way.reason) == (True, "stopped")


def test_controls_shuffle_ends_with_the_experiment() -> None:
    """A random order has no use where nobody measures."""
    experiment = make_experiment(
        arms=({"name": "control", "shuffle": 1, "price_weight": 0}, {"name": "b", "shuffle": 1})
    )
    assigned = (Assignment(experiment, experiment.arms[1]),)
    way = way_of(assigned, frozenset({"new-encoder"}))
    assert (way.labels, way.shuffle, way.weights.price) == ((), 0, 0)


def test_while_switches_are_unknown_nobody_is_told_an_arm(stopped: dict[str, Any]) -> None:
    """The experiment may have been stopped for a good reason just before this process started."""
    stopped["names"] = experiments.assignment.kill_switch.TransportError("away")
    own, arm = Index("own"), Index("arm")
    service = make_service(own, arm, with_arm())
    items, exposure = service.slate("m1", SlateParameters(user=user_in(1)))
    assert (items.found.index, exposure.arms, exposure.reason) == ("own", (), "switches_unknown")
    ((_, state, _),) = service.states(Allowance(10))
    assert state == "switches_unknown"
    assert service.switches_age_s() is None


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (UnknownItem("m1"), "item_not_in_arm"),
        (NoLiveIndex("no such index"), "arm_index_missing"),
        (SearchUnavailable("Elasticsearch answers 503"), "arm_unavailable"),
    ],
)
def test_a_failing_arm_is_the_deployments_answer_without_an_arm(
    stopped: dict[str, Any], failure: Exception, reason: str
) -> None:
    """Never control's: nobody's. Control itself does not notice."""
    own, arm = Index("own"), Index("arm", failure=failure)
    service = make_service(own, arm, with_arm(price_weight=0.5))
    items, exposure = service.slate("m1", SlateParameters(user=user_in(1)))
    assert (items.found.index, exposure.arms, exposure.reason) == ("own", (), reason)
    assert own.asked_of == DEFAULT_WEIGHTS
    items, exposure = service.slate("m1", SlateParameters(user=user_in(0)))
    assert (items.found.index, exposure.arms, exposure.reason) == ("own", ("new-encoder:control",), None)


@pytest.mark.parametrize("failure", [UnknownItem("m1"), NoLiveIndex("…"), SearchUnavailable("…")])
def test_failures_of_the_deployments_own_index_stay_what_they_are(
    stopped: dict[str, Any], failure: Exception
) -> None:
    """For control, and for an arm whose own index fails too."""
    service = make_service(Index("own", failure=failure), Index("arm", failure=NoLiveIndex("…")), with_arm())
    for user in (user_in(0), user_in(1)):
        with pytest.raises(type(failure)):
            service.slate("m1", SlateParameters(user=user))


def test_the_encoder_of_the_own_index_is_checked_too(stopped: dict[str, Any]) -> None:
    """Control may say which encoder the deployment has, so that a swap of it ends the comparison."""
    experiment = make_experiment(arms=({"name": "control", "encoder": "colour-1"}, {"name": "b"}))
    own = Index("own", encoder_id="colour-2")
    service = make_service(own, Index("arm"), experiment)
    assert service.slate("m1", SlateParameters(user=user_in(0)))[1].reason == "arm_encoder_mismatch"
    assert service.slate("m1", SlateParameters(user=user_in(1)))[1].arms == ("new-encoder:b",)
    ((_, state, problems),) = service.states(Allowance(10))
    assert (state, problems) == ("running", ("arm control needs the encoder colour-1, own has colour-2",))


def test_one_users_arms_are_the_same_on_every_item(stopped: dict[str, Any]) -> None:
    """And each slate has an id of its own."""
    service = make_service(Index("own"), Index("arm"), with_arm())
    slates = [service.slate(item, SlateParameters(user=user_in(1)))[1] for item in ("m1", "m2", "m1")]
    assert {slate.arms for slate in slates} == {("new-encoder:siglip",)}
    assert len({slate.slate_id for slate in slates}) == 3


def test_a_disabled_experiment_cannot_even_be_asked_for(stopped: dict[str, Any]) -> None:
    """Its file is history."""
    service = make_service(Index("own"), Index("arm"), make_experiment(enabled=False))
    with pytest.raises(InvalidParameters, match="no experiment is enabled"):
        service.slate("m1", SlateParameters(arm=("new-encoder:control",)))
    ((name, state, problems),) = service.states(Allowance(10))
    assert (name, state, problems) == ("new-encoder", "disabled", ())


def test_the_missing_setting_is_named(tmp_path: Any) -> None:
    """The folder first, as without it nobody asked for experiments."""
    assert why_off(QuerySettings()) == "NITAMONO_EXPERIMENTS is not set"
    assert why_off(QuerySettings(experiments=tmp_path)) == "NITAMONO_USER_SALT is not set"
    assert why_off(QuerySettings(experiments=tmp_path, user_salt="s")) is None


def test_an_id_is_not_in_what_python_prints_of_the_parameters() -> None:
    """Tracebacks and debuggers print it."""
    assert "secret-person" not in repr(SlateParameters(user="secret-person"))
