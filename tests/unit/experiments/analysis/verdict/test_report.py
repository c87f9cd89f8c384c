"""The report: a self-contained page, JSON with documented keys, text with the recommendation first."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from pathlib import Path

import pytest

from experiments.analysis.log.exclusions import Exclusion, Reason
from experiments.analysis.verdict.evidence import in_two_arms
from experiments.analysis.verdict.guardrails import State
from experiments.analysis.verdict.recommendation import Decision
from experiments.analysis.verdict.report import JSON, PAGE, json_text, page, text, write_report
from experiments.analysis.verdict.results import ExperimentResults, read
from experiments.assignment.definition import Arm, Guardrail
from tests.html_page import HtmlPage
from tests.unit.experiments.analysis.verdict.evidence import make_evidence, make_experiment

SENTENCE = "Simulated users"
KEYS = re.compile(r"^\| `(\w+)` \|", re.MULTILINE)
GUIDE = Path(__file__).parents[5] / "docs" / "reading-a-report.md"


@pytest.fixture(scope="module")
def winning() -> ExperimentResults:
    """An arm with half as many taps again, of a simulated log."""
    return read(make_evidence(simulated=SENTENCE))


def test_the_page_is_self_contained(winning: ExperimentResults) -> None:
    """No script and nothing from elsewhere; a category with tags in its name is text."""
    found = HtmlPage(page(winning))
    assert {"script", "link", "iframe", "img"}.isdisjoint(tag for tag, _ in found.tags)
    attributes = [pair for _, each in found.tags for pair in each.items()]
    assert "src" not in {name for name, _ in attributes}
    assert all(str(value).startswith("#") for name, value in attributes if "href" in name)
    assert page(winning).count("url(") == page(winning).count("url(#")
    assert "<b>Toys</b>" in found.text


def test_the_page_has_the_recommendation(winning: ExperimentResults) -> None:
    """The recommendation, that the log is simulated, exclusions, and every metric."""
    found = HtmlPage(page(winning)).text
    assert winning.recommendation.sentence in found
    assert SENTENCE in found
    assert "of users who saw two arms" in found
    assert all(each.title in found for each in winning.metrics)
    plots = [tag for tag, _ in HtmlPage(page(winning)).tags if tag == "svg"]
    assert len(plots) == 1 + 1 + 2 + 2 + 1  # looks, metrics, two of days, two slices, sellers


def test_the_recommendation_uses_the_sequential_interval(winning: ExperimentResults) -> None:
    """The sentence has the last look's interval, wider than the fixed one."""
    assert winning.recommendation.decision is Decision.SHIP
    assert winning.looks is not None
    last = winning.looks["new"][-1]
    assert last.low < last.fixed_low < last.lift < last.fixed_high < last.high
    assert 0.2 < last.low < 0.5 < last.high < 0.8


def test_secondary_metrics_are_adjusted_and_the_primary_is_not(winning: ExperimentResults) -> None:
    """Three share an error rate; spend has too few purchases for an interval."""
    adjusted = {each.metric for each in winning.metrics if each.p_adjusted is not None}
    assert adjusted == {"cvr_clicks", "cvr_views", "purchases"}
    assert [each.metric for each in winning.metrics if each.effect is None] == ["spend"]
    assert all(
        each.p_adjusted >= each.effect.p_value
        for each in winning.metrics
        if each.effect and each.p_adjusted is not None
    )


def test_the_power_is_that_of_the_interval_which_decides(winning: ExperimentResults) -> None:
    """(2.188 + 0.842) standard errors after two weeks for the primary metric, (1.960 + 0.842) for others."""
    deviations = {
        each.metric: math.log1p(each.detectable) / each.effect.log_error
        for each in winning.metrics
        if each.effect is not None and each.detectable is not None
    }
    assert deviations["ctr"] == pytest.approx(3.030, abs=2e-3)
    assert deviations["purchases"] == pytest.approx(2.802, abs=2e-3)


def test_a_broken_sample_shows_no_result() -> None:
    """Neither page, text nor JSON tells a lift."""
    broken = read(replace(make_evidence(users=1000), users={"old": 1200, "new": 1000}))
    assert broken.recommendation.decision is Decision.DO_NOT_READ
    found = HtmlPage(page(broken))
    assert "svg" not in [tag for tag, _ in found.tags]
    assert "No metric is shown" in found.text
    values = json.loads(json_text(broken))
    assert values["metrics"] == []
    assert (
        values["breakdowns"]
        is values["trends"]
        is values["looks"]
        is values["guardrails"]
        is values["sellers"]
        is None
    )
    assert values["sample_ratio"]["trusted"] is False
    assert "Gini" not in text(broken)


def test_arms_with_different_items_show_no_result() -> None:
    """The page and the JSON tell the shares, and nothing of what they spoil."""
    evidence = make_evidence(users=1000)
    lost = {"old": 0, "new": evidence.attributed_slates["new"] // 9}
    broken = read(replace(evidence, unassigned_slates=lost))
    assert broken.recommendation.decision is Decision.DO_NOT_READ
    found = HtmlPage(page(broken))
    assert "svg" not in [tag for tag, _ in found.tags]
    assert f"{lost['new']:,} (10 %)" in found.text
    values = json.loads(json_text(broken))
    assert values["metrics"] == []
    assert values["sellers"] is None
    assert values["sample_ratio"]["trusted"] is True
    assert values["missing_assignment"]["trusted"] is False
    assert values["missing_assignment"]["shares"] == pytest.approx({"old": 0, "new": 0.1}, abs=1e-3)


def test_the_keys_of_the_json_are_documented(winning: ExperimentResults) -> None:
    """docs/reading-a-report.md names each top-level key, and no other."""
    values = json.loads(json_text(winning))
    _, keys = GUIDE.read_text(encoding="utf-8").split("## Keys of report.json")
    assert set(KEYS.findall(keys)) == set(values)
    assert values["recommendation"]["decision"] == "ship"
    assert values["metrics"][0]["effect"]["lift"] == pytest.approx(0.5, abs=0.2)
    assert values["period"]["planned_end"] == "2026-11-15"


def test_the_terminal_output_begins_with_the_recommendation(winning: ExperimentResults) -> None:
    """First that the log is simulated, then the recommendation, then figures."""
    lines = text(winning).splitlines()
    assert lines[0] == SENTENCE
    assert lines[2] == winning.recommendation.sentence
    assert any(line.startswith("* CTR") for line in lines)
    assert "  31 events of 2 users: of users who saw two arms; all of their events" in lines


def test_little_data_is_reported_as_such() -> None:
    """Ninety users: no interval anywhere, and no plot that pretends to have one."""
    few = read(make_evidence(users=90, days=2))
    assert few.recommendation.decision is Decision.NOT_ENOUGH_YET
    assert "too few users or events" in text(few)
    assert "There is no interval on any day: too few users or events." in page(few)


def test_a_missing_pre_period_is_reported() -> None:
    """The column of CUPED says so."""
    evidence = make_evidence()
    for arms in (evidence.totals, *evidence.up_to.values()):
        for each in arms.values():
            each.mean[-4:] = 0
            each.covariance[-4:, :] = each.covariance[:, -4:] = 0
    assert "no pre-period" in page(read(evidence))


def test_each_of_several_arms_is_named() -> None:
    """Each metric has a row for each arm."""
    three = make_experiment(arms=(Arm(name="old"), Arm(name="new"), Arm(name="newer")))
    found = read(make_evidence(experiment=three, users=800))
    assert {each.arm for each in found.metrics} == {"new", "newer"}
    assert "CTR: taps per slate, newer" in page(found)
    assert found.recommendation.arm in {"new", "newer"}


def test_no_user_is_named(winning: ExperimentResults) -> None:
    """Not even by a hash: of users who are left out there is no example, of events there is one."""
    exclusions = (Exclusion(Reason.TWO_ARMS, 31, 2, "a-user"), Exclusion(Reason.FUTURE, 1, 1, "an-event"))
    found = replace(winning, evidence=replace(winning.evidence, exclusions=exclusions))
    for shown in (page(found), json_text(found).decode(), text(found)):
        assert "a-user" not in shown
    assert "<code>an-event</code>" in page(found)
    assert [each["example"] for each in json.loads(json_text(found))["exclusions"]] == [None, "an-event"]


def test_results_including_bots_are_shown_with_their_number() -> None:
    """The lift with them in decides nothing; where none is suspected there is none."""
    evidence = make_evidence()
    by_hand = {"old": evidence.totals["old"], "new": evidence.totals["old"]}
    bots = (Exclusion(Reason.BOT, 9000, 3, "a-user"),)
    found = read(replace(evidence, with_bots=by_hand, exclusions=bots))
    assert "including them, taps per slate of new:\n0 % (" in page(found)
    assert "  including suspected bots, taps per slate of new: 0 % (" in text(found)
    assert json.loads(json_text(found))["with_bots"]["new"]["lift"] == 0
    assert found.recommendation.decision is Decision.SHIP
    assert read(evidence).with_bots is None


def test_both_files_are_written(winning: ExperimentResults, tmp_path: Path) -> None:
    """Page and JSON, and no unfinished files."""
    write_report(winning, tmp_path / "better-encoder")
    assert sorted(path.name for path in (tmp_path / "better-encoder").iterdir()) == sorted([PAGE, JSON])


def test_without_logged_complaints_the_guardrail_is_unknown() -> None:
    """No complaint at all may mean that none can be made."""
    states = {
        logged: {
            each.guardrail: each.state
            for results in (read(make_evidence(complaints_logged=logged)),)
            for each in (results.guardrails or {})["new"]
        }
        for logged in (True, False)
    }
    assert states[True][Guardrail.COMPLAINTS] is not State.UNKNOWN
    assert states[False][Guardrail.COMPLAINTS] is State.UNKNOWN
    assert {**states[True], Guardrail.COMPLAINTS: State.UNKNOWN} == states[False]


def test_users_who_saw_two_arms_count_against_the_assignment() -> None:
    """They are in no sum; many of them mean that arms are not given out as they should be."""
    excluded = (Exclusion(Reason.TWO_ARMS, 310, 79, ""), Exclusion(Reason.BOT, 9000, 4, ""))
    assert in_two_arms(excluded) == 79
    assert not read(make_evidence(misassigned=in_two_arms(excluded))).ratio.trusted
