"""Visitors of an experiment, on two real indices of two encoders: what they see and what they are told.

By the deployment's own encoder the red item is the most alike, by that of the arm `siglip` the round one.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner, Result
from elasticsearch import Elasticsearch
from flask.testing import FlaskClient

from cli import main
from events.user_ids import user_hash
from experiments.assignment.assign import assign, hash_bucket
from experiments.assignment.definition import Experiment, read_experiments
from experiments.assignment.kill_switch import resume, stop
from experiments.errors import InvalidDefinition
from indexer.worker.pipeline.documents import EncodedPhoto, to_document
from mappings.aliases import swap_aliases
from mappings.client import ElasticsearchSettings
from mappings.creation import create_index
from mappings.lifecycle import drop_index
from query.api.app import create_app
from query.api.settings import QuerySettings
from query.search.result_policy import NO_RULES
from tests.factories import make_identity, make_listing

SALT = "a salt of the tests"
NOW = date(2026, 11, 9)
NOW_TIME = datetime(2026, 11, 9, tzinfo=UTC)

DEFINITION = """\
name = "new-encoder"
hypothesis = "Items by the new encoder are tapped more often."
start = {start}
planned_weeks = 2
minimum_detectable_effect = 0.05

[[arms]]
name = "control"
{control}

[[arms]]
name = "siglip"
{siglip}
"""


@dataclass
class Market:
    """Two prefixes that a test fills, and an API with the experiments of a folder over them."""

    es: Elasticsearch
    settings: QuerySettings
    own_index: str
    arm_prefix: str
    arm_index: str

    def add(
        self, item_id: str, own: tuple[float, float], arm: tuple[float, float] | None, **changes: Any
    ) -> None:
        """A skirt of 1,000 yen by both encoders, or by the deployment's own alone."""
        listing = make_listing(**{"item_id": item_id, "price": 1000, **changes})
        for index, vector, encoder in ((self.own_index, own, "colour-1"), (self.arm_index, arm, "shape-2")):
            if vector is not None:
                document = to_document(listing, EncodedPhoto((*vector, 0.0, 0.0), "0" * 16), encoder)
                self.es.index(index=index, id=item_id, document=document.to_source(), refresh=True)

    def define(
        self, *, start: str = "2026-01-01", control: str = "", siglip: str | None = None
    ) -> Experiment:
        """The experiment of a file; its second arm reads the other prefix unless told otherwise."""
        assert self.settings.experiments is not None
        siglip = f'prefix = "{self.arm_prefix}"' if siglip is None else siglip
        text = DEFINITION.format(start=start, control=control, siglip=siglip)
        (self.settings.experiments / "new-encoder.toml").write_text(text)
        (experiment,) = read_experiments(self.settings.experiments)
        return experiment

    def api(self, **changes: Any) -> FlaskClient:
        """A client of the API as it starts now."""
        return create_app(replace(self.settings, **changes), self.es).test_client()


@pytest.fixture
def market(es: Elasticsearch, index_prefix: str, elasticsearch_url: str, tmp_path: Path) -> Market:
    """Three skirts, and nobody's experiment yet."""
    arm_prefix = f"{index_prefix}-shape"
    indices = []
    for prefix, encoder in ((index_prefix, "colour-1"), (arm_prefix, "shape-2")):
        indices.append(create_index(es, prefix, make_identity(encoder_id=encoder, similarity_spread=0.1)))
        swap_aliases(es, prefix, indices[-1])
    settings = QuerySettings(
        ElasticsearchSettings((elasticsearch_url,), prefix=index_prefix), experiments=tmp_path, user_salt=SALT
    )
    market = Market(es, settings, indices[0], arm_prefix, indices[1])
    market.add("asked", (1.0, 0.0), (1.0, 0.0))
    market.add("red", (0.8, 0.6), (0.0, 1.0))
    market.add("round", (0.0, 1.0), (0.8, 0.6))
    return market


def user_in(experiment: Experiment, arm: str) -> str:
    """Id of a user whom the experiment assigns to an arm."""
    for number in range(1000):
        chosen = assign(experiment, user_hash(SALT, f"u{number}"), NOW)
        if chosen is not None and chosen.name == arm:
            return f"u{number}"
    raise AssertionError(f"nobody in {arm}")


def answer(api: FlaskClient, item_id: str = "asked", **asked: Any) -> dict[str, Any]:
    got = api.get(f"/v1/listings/{item_id}/similar", query_string={**NO_RULES, **asked})
    assert got.status_code == 200, got.text
    body: dict[str, Any] = got.json
    return body


def ids(body: dict[str, Any]) -> list[str]:
    return [item["item_id"] for item in body["items"]]


def told(body: dict[str, Any]) -> tuple[list[str], str | None, bool, bool]:
    """What an answer says of its arms, and why it says no more."""
    return body["arms"], body["arms_reason"], body["override"], body["randomised"]


def wait_for(condition: Callable[[], bool], seconds: float) -> float:
    """How long it took until the condition held; fails once it has taken longer than it may."""
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < seconds, "not in time"
        time.sleep(0.05)
    return time.monotonic() - start


def test_each_user_sees_the_items_of_the_own_arm(market: Market) -> None:
    """Control by the deployment's encoder, the other arm by its own; the answer says which."""
    experiment = market.define()
    api = market.api()
    control = answer(api, user_id=user_in(experiment, "control"))
    siglip = answer(api, user_id=user_in(experiment, "siglip"))
    assert (ids(control), control["encoder_id"]) == (["red", "round"], "colour-1")
    assert told(control) == (["new-encoder:control"], None, False, False)
    assert (ids(siglip), siglip["encoder_id"], siglip["index"]) == (
        ["round", "red"],
        "shape-2",
        market.arm_index,
    )
    assert told(siglip) == (["new-encoder:siglip"], None, False, False)
    assert len({control["slate_id"], siglip["slate_id"], answer(api)["slate_id"]}) == 3


def test_a_visitor_without_an_id_takes_part_in_nothing(market: Market) -> None:
    """As before there were experiments."""
    market.define()
    body = answer(market.api())
    assert (ids(body), told(body)) == (["red", "round"], ([], None, False, False))


def test_the_header_names_the_user_as_the_parameter_does(market: Market) -> None:
    """Also in Japanese; both at once are one too many."""
    experiment = market.define()
    user = next(
        user
        for user in (f"利用者{number}" for number in range(1000))
        if (arm := assign(experiment, user_hash(SALT, user), NOW)) and arm.name == "siglip"
    )
    api = market.api()
    path, header = "/v1/listings/asked/similar", {"X-User-Id": user.encode().decode("latin-1")}
    by_header = api.get(path, headers=header).json
    assert by_header is not None
    assert by_header["arms"] == answer(api, user_id=user)["arms"] == ["new-encoder:siglip"]
    both = api.get(path, headers={"X-User-Id": "u1"}, query_string={"user_id": "u1"})
    assert both.status_code == 400
    assert both.get_json(force=True)["problems"][0]["reason"] == "user_id_repeated"


@pytest.mark.parametrize("missing", ["NITAMONO_USER_SALT", "NITAMONO_EXPERIMENTS_DIR"])
def test_without_salt_or_folder_there_are_no_experiments(market: Market, missing: str) -> None:
    """Everybody is answered as before, and readiness says which setting is missing."""
    user = user_in(market.define(), "siglip")
    changes = {"NITAMONO_USER_SALT": {"user_salt": None}, "NITAMONO_EXPERIMENTS_DIR": {"experiments": None}}
    api = market.api(**changes[missing])
    body = answer(api, user_id=user)
    assert (ids(body), told(body)) == (["red", "round"], ([], None, False, False))
    ready = api.get("/readyz").json
    assert ready is not None
    assert (ready["experiments"], ready["experiments_off"]) == ([], f"{missing} is not set")


def test_an_item_that_the_arm_lacks_is_answered_by_the_deployment(market: Market) -> None:
    """No arm is told, as it is not that arm's answer; nor is one for an item that nobody has."""
    user = user_in(market.define(), "siglip")
    market.add("new", (1.0, 0.0), None)
    api = market.api()
    body = answer(api, "new", user_id=user)
    assert (ids(body)[-1], body["encoder_id"]) == ("round", "colour-1")
    assert told(body) == ([], "item_not_in_arm", False, False)
    assert api.get("/v1/listings/nobody/similar", query_string={"user_id": user}).status_code == 404


def test_an_arm_without_an_index_is_logged_once_and_never_served(
    market: Market, caplog: pytest.LogCaptureFixture
) -> None:
    """Its users get the deployment's own answer; readiness and one line of the log name the arm."""
    user = user_in(market.define(), "siglip")
    drop_index(market.es, market.arm_index, force=True)
    api = market.api()
    with caplog.at_level(logging.ERROR, "query.search.experiment_aware"):
        bodies = [answer(api, user_id=user) for _ in range(3)]
    assert [(ids(body), told(body)) for body in bodies] == [
        (["red", "round"], ([], "arm_index_missing", False, False))
    ] * 3
    assert len(caplog.records) == 1
    assert market.arm_prefix in caplog.text
    ready = api.get("/readyz")
    assert ready.status_code == 200
    assert ready.json is not None
    ((state),) = ready.json["experiments"]
    assert (state["name"], state["state"]) == ("new-encoder", "running")
    assert len(state["problems"]) == 1
    assert f"arm siglip: no index or alias {market.arm_prefix}-read" in state["problems"][0]


def test_an_arm_whose_index_has_another_encoder_is_refused(
    market: Market, caplog: pytest.LogCaptureFixture
) -> None:
    """Lest an experiment measures what its file does not say."""
    user = user_in(market.define(siglip=f'prefix = "{market.arm_prefix}"\nencoder = "shape-3"'), "siglip")
    api = market.api()
    with caplog.at_level(logging.ERROR, "query.search.experiment_aware"):
        bodies = [answer(api, user_id=user) for _ in range(2)]
    assert told(bodies[0]) == told(bodies[1]) == ([], "arm_encoder_mismatch", False, False)
    assert ids(bodies[0]) == ["red", "round"]
    sentence = f"arm siglip needs the encoder shape-3, {market.arm_index} has shape-2"
    assert [record.getMessage().partition(": ")[2] for record in caplog.records] == [sentence]
    ready = api.get("/readyz").json
    assert ready is not None
    assert ready["experiments"][0]["problems"] == [sentence]
    assert told(answer(api, user_id=user_in(market.define(), "control")))[0] == ["new-encoder:control"]


def test_the_named_encoder_is_taken(market: Market) -> None:
    """When it is the one of the index."""
    user = user_in(market.define(siglip=f'prefix = "{market.arm_prefix}"\nencoder = "shape-2"'), "siglip")
    assert answer(market.api(), user_id=user)["arms"] == ["new-encoder:siglip"]


def test_a_stopped_experiment_is_left_within_five_seconds(market: Market) -> None:
    """Everybody goes control's way, testers too, and no arm is told; resumed, all are back in their arms."""
    user = user_in(market.define(), "siglip")
    api = market.api()
    assert answer(api, user_id=user)["arms"] == ["new-encoder:siglip"]
    stop(market.es, market.settings.elasticsearch.prefix, "new-encoder", NOW_TIME)
    wait_for(lambda: answer(api, user_id=user)["arms"] == [], seconds=5)
    body = answer(api, user_id=user)
    assert (ids(body), told(body)) == (["red", "round"], ([], "stopped", False, False))
    assert told(answer(api, arm="new-encoder:siglip")) == ([], "stopped", False, False)
    ready = api.get("/readyz").json
    assert ready is not None
    assert ready["experiments"][0]["state"] == "stopped"
    assert 0 <= ready["switches_age_s"] < 5
    resume(market.es, market.settings.elasticsearch.prefix, "new-encoder", NOW_TIME)
    wait_for(lambda: answer(api, user_id=user)["arms"] == ["new-encoder:siglip"], seconds=5)


def test_controls_way_is_that_of_control(market: Market) -> None:
    """Where control itself differs from the deployment, the users of a stopped experiment get that."""
    experiment = market.define(control=f'prefix = "{market.arm_prefix}"', siglip="")
    api = market.api()
    assert ids(answer(api, user_id=user_in(experiment, "siglip"))) == ["red", "round"]
    stop(market.es, market.settings.elasticsearch.prefix, "new-encoder", NOW_TIME)
    body = answer(market.api(), user_id=user_in(experiment, "siglip"))
    assert (ids(body), told(body)) == (["round", "red"], ([], "stopped", False, False))


def test_a_tester_sees_any_arm_even_before_the_start(market: Market) -> None:
    """Told as such, so that no report counts it."""
    market.define(start="2999-01-01")
    api = market.api()
    body = answer(api, arm="new-encoder:siglip", user_id="u1")
    assert (ids(body), told(body)) == (["round", "red"], (["new-encoder:siglip"], None, True, False))
    page = api.get("/items/asked?arm=new-encoder:siglip&min_similarity=0").text
    assert page.index('href="/items/round"') < page.index('href="/items/red"')
    assert told(answer(api, user_id="u1")) == ([], None, False, False)


@pytest.mark.parametrize(
    ("arms", "reason"),
    [
        (["new-encoder:nobody"], "arm_unknown_value"),
        (["other:control"], "arm_unknown_value"),
        (["control"], "arm_malformed"),
        (["new-encoder:control", "new-encoder:siglip"], "arm_conflicting"),
    ],
)
def test_an_arm_that_cannot_be_had_is_a_bad_request(market: Market, arms: list[str], reason: str) -> None:
    """With the arms that can."""
    market.define()
    got = market.api().get("/v1/listings/asked/similar", query_string={"arm": arms})
    assert got.status_code == 400
    (problem,) = got.get_json(force=True)["problems"]
    assert problem["reason"] == reason
    if reason == "arm_unknown_value":
        assert problem["expected"] == "one of new-encoder:control, new-encoder:siglip"


def test_shuffled_slates_are_random_and_say_so(market: Market) -> None:
    """The same items, in an order that follows from the slate's id, for the share that the arm says."""
    market.define(control="shuffle = 0.5", siglip="shuffle = 0.5")
    for number in range(4):
        market.add(f"more-{number}", (0.5, 0.75**0.5), None)
    api = market.api()
    usual = ids(answer(api))
    bodies = [answer(api, arm="new-encoder:siglip") for _ in range(60)]
    for body in bodies:
        assert body["randomised"] == (hash_bucket("shuffle", body["slate_id"]) < 0.5)
        key = f"order/{body['slate_id']}"
        expected = sorted(usual, key=lambda each: hash_bucket(key, each)) if body["randomised"] else usual
        assert ids(body) == expected
    shuffled = [ids(body) for body in bodies if body["randomised"]]
    assert 10 < len(shuffled) < 50
    assert len(set(map(tuple, shuffled))) > 5


def test_an_arm_may_weigh_category_and_price_anew(market: Market) -> None:
    """To nothing, here: what is left of the score is the picture."""
    market.define(siglip="ranking_weights = { category = 0, price = 0, colour = 0 }")
    market.add("vase", (0.9, 0.19**0.5), None, category=["Home", "Vases"], price=1500)
    api = market.api()
    assert ids(answer(api))[0] == "red"
    body = answer(api, arm="new-encoder:siglip", explain=True)
    assert ids(body) == ["vase", "red", "round"]
    assert [item["score"] for item in body["items"]] == pytest.approx([0.9, 0.8, 0.0], abs=1e-5)
    assert {item["explanation"]["terms"]["category"] for item in body["items"]} == {0}


def test_an_arm_may_name_a_ranking_file(market: Market) -> None:
    """Its weights rank the arm's answers; a file for another encoder is no answer of the arm."""
    assert market.settings.experiments is not None
    path = market.settings.experiments / "ours.json"
    weights = {"category": 0, "price": 0, "colour": 0}
    path.write_text(json.dumps({"version": 1, "encoder_id": "colour-1", "weights": weights}))
    market.define(siglip='ranking_file = "ours.json"')
    market.add("vase", (0.9, 0.19**0.5), None, category=["Home", "Vases"], price=1500)
    api = market.api()
    assert ids(answer(api))[0] == "red"
    body = answer(api, arm="new-encoder:siglip")
    assert ids(body) == ["vase", "red", "round"]
    assert body["ranking"].startswith("ours-")
    path.write_text(json.dumps({"version": 1, "encoder_id": "shape-2", "weights": weights}))
    body = answer(market.api(), arm="new-encoder:siglip")
    assert (body["arms"], body["arms_reason"]) == ([], "arm_encoder_mismatch")
    path.write_text(json.dumps({"version": 1, "encoder_id": "colour-1", "weights": {"freshnes": 1}}))
    with pytest.raises(InvalidDefinition, match=r"arm siglip: .*freshnes"):
        market.api()


def test_a_price_weight_of_nothing_leaves_the_category_its_own(market: Market) -> None:
    """What shares no level with the item gets nothing, and not Elasticsearch's 1 for weights of 0."""
    market.define(siglip="ranking_weights = { price = 0, colour = 0 }")
    market.add("vase", (0.95, 0.0975**0.5), None, category=["Home", "Vases"])
    body = answer(market.api(), arm="new-encoder:siglip")
    assert ids(body) == ["red", "vase", "round"]
    assert [item["score"] for item in body["items"]] == pytest.approx([1.6, 0.95, 0.8], abs=1e-5)


def test_answers_with_arms_are_as_described(market: Market) -> None:
    """By the schema of `/openapi.json`."""
    user = user_in(market.define(), "siglip")
    api = market.api()
    description = json.loads(api.get("/openapi.json").text)
    for path, body in (
        ("/v1/listings/{item_id}/similar", answer(api, user_id=user)),
        ("/readyz", api.get("/readyz").json),
    ):
        reference = description["paths"][path]["get"]["responses"]["200"]["content"]["application/json"][
            "schema"
        ]
        schema = reference | {"components": description["components"]}
        jsonschema.validate(body, schema, jsonschema.Draft202012Validator)


def test_an_id_is_in_no_log(market: Market, caplog: pytest.LogCaptureFixture) -> None:
    """Not even where the request fails."""
    market.define()
    for index in (market.own_index, market.arm_index):
        drop_index(market.es, index, force=True)
    with caplog.at_level(logging.DEBUG):
        api = market.api()
        for asked in (
            {"query_string": {"user_id": "secret-person"}},
            {"headers": {"X-User-Id": "secret-person"}},
        ):
            got = api.get("/v1/listings/asked/similar", **asked)
            assert got.status_code == 503
            assert "secret-person" not in got.text
    assert caplog.text
    assert "secret-person" not in caplog.text


def command(market: Market, *words: str) -> Result:
    """What `nitamono experiment` says of the market's experiments."""
    elasticsearch = market.settings.elasticsearch
    environ = {
        "ELASTICSEARCH_URL": elasticsearch.urls[0],
        "NITAMONO_INDEX_PREFIX": elasticsearch.prefix,
        "NITAMONO_EXPERIMENTS_DIR": str(market.settings.experiments),
    }
    return CliRunner().invoke(main, ["experiment", *words], env=environ)


def test_commands_stop_and_resume_what_the_list_shows(market: Market) -> None:
    """Twice stopped is stopped."""
    market.define()
    words = command(market, "list").output.splitlines()[1].split()
    assert words[:5] == ["new-encoder", "running", "similar-items", "0", "to"]
    assert command(market, "stop", "new-encoder").exit_code == 0
    assert command(market, "stop", "new-encoder").exit_code == 0
    assert command(market, "list").output.splitlines()[1].split()[1] == "stopped"
    assert told(answer(market.api(), user_id="u1")) == ([], "stopped", False, False)
    assert command(market, "resume", "new-encoder").exit_code == 0
    assert command(market, "list").output.splitlines()[1].split()[1] == "running"
    assert answer(market.api(), user_id="u1")["arms"] != []


def test_check_asks_for_each_arms_index(market: Market) -> None:
    """All well; another encoder; no index at all."""
    market.define(siglip=f'prefix = "{market.arm_prefix}"\nencoder = "shape-2"')
    assert command(market, "check").output == "Valid: new-encoder\n"
    market.define(siglip=f'prefix = "{market.arm_prefix}"\nencoder = "shape-3"')
    other = command(market, "check")
    assert other.exit_code == 1
    assert "new-encoder: arm siglip needs the encoder shape-3" in other.output
    drop_index(market.es, market.arm_index, force=True)
    assert "new-encoder: arm siglip: no index or alias" in command(market, "check").output
    assert command(market, "check", "--files-only").exit_code == 0
