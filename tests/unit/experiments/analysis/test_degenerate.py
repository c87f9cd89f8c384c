"""Degenerate logs through the commands: one sentence or a report, true and finite, never a traceback."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from experiments.cli import group
from ml.inference.embed import Embedded, save_embedded
from tests.html_page import HtmlPage
from tests.soak import scaled
from tests.unit.experiments.degenerate import DEFINITION, Shape, write_degenerate

NAN, INF = float("nan"), float("inf")
NOT_FINITE = re.compile(r"\b(nan|inf|infinity)\b", re.IGNORECASE)
ALL, NONE = (True,), (False,)
SHAPES = {
    "constant latency": Shape(took_ms=(8.0,)),
    "latency of 0": Shape(took_ms=(0.0,)),
    "constant latencies that differ": Shape(took_ms=(8.0,), treatment_took_ms=(9.0,)),
    "impossible latencies": Shape(took_ms=(NAN, INF, -INF, -5.0, 1e308, None, 8.0)),
    "one huge latency": Shape(took_ms=(1e12, *(1.0,) * 2000)),
    "every slate tapped": Shape(taps=ALL),
    "every slate tapped, before too": Shape(taps=ALL, before=3),
    "the same before the start": Shape(before=7),
    "no slate tapped": Shape(taps=NONE),
    "one arm taps": Shape(taps=ALL, treatment_taps=NONE),
    "every slate empty": Shape(empty=ALL),
    "nothing but zeros": Shape(taps=NONE, took_ms=(0.0,), price=(0.0,)),
    "no purchase": Shape(purchases=False),
    "impossible prices": Shape(price=(NAN, INF, -INF, -5.0, 1e308, None, 900.0)),
    "prices of 0 or NaN": Shape(users=(0, 1), days=1, before=1, taps=NONE, price=(0.0, NAN)),
    "latencies of 8 or NaN": Shape(took_ms=(8.0, NAN)),
    "prices of 0": Shape(price=(0.0,), taps=ALL),
    "tiny and huge prices": Shape(price=(1e-300, 1e11), taps=ALL),
    "one seller": Shape(sellers=1),
    "impossible positions": Shape(positions=(0, -3, None), taps=ALL),
    "the last position there is": Shape(positions=(32767, 1, -32768), taps=ALL),
    "one user": Shape(users=(1, 0), randomised=True),
    "one user in each arm": Shape(users=(1, 1)),
    "one day": Shape(days=1),
    "no user of treatment": Shape(users=(110, 0)),
    "no user of control": Shape(users=(0, 110)),
    "nobody but bots": Shape(users=(1, 1), days=1, bots=True),
    "all shuffled": Shape(randomised=True, taps=ALL),
}


def call(folder: Path, command: str, *arguments: str) -> Result:
    """A command as typed, in a folder with the experiment `exp`."""
    (folder / "exp.toml").write_text(DEFINITION)
    return CliRunner().invoke(group, [command, *arguments], env={"NITAMONO_EXPERIMENTS_DIR": str(folder)})


def report(folder: Path, *, until: str = "2026-11-08") -> Result:
    """That of the log in the folder, written to `out`."""
    return call(
        folder, "report", "exp", "--log", str(folder / "log"), "--until", until, "--out", f"{folder}/out"
    )


def offline(folder: Path) -> Result:
    """Two encoders on the log in the folder, written to `off`."""
    named = []
    for name, sign in (("one", 1.0), ("two", -1.0)):
        rows = np.array([[1.0, sign * 0.1 * place] for place in range(4)], dtype=np.float32)
        save_embedded(Embedded(rows, list("qabc")), folder / f"{name}.npy")
        named += ["--vectors", f"{name}={folder / name}.npy"]
    return call(folder, "offline", "--log", f"{folder}/log", *named, "--slices", "--out", f"{folder}/off")


def check(done: Result, *written: Path) -> None:
    """Either a sentence that begins with Error, or what was written; finite in both."""
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    assert not NOT_FINITE.search(done.output.replace(str(Path.cwd()), ""))
    assert (done.exit_code == 0) is not done.output.startswith("Error: "), done.output
    for path in written if done.exit_code == 0 else ():
        text = path.read_text(encoding="utf-8")
        assert not NOT_FINITE.search(HtmlPage(text).text if path.suffix == ".html" else text)
        if path.suffix == ".html":
            assert not re.search(r'"(nan|inf)[" ]', text), "a coordinate"
        else:
            json.loads(text, parse_constant=pytest.fail)


def check_all(folder: Path, shape: Shape) -> None:
    """All three commands."""
    write_degenerate(folder / "log", shape)
    check(report(folder), folder / "out" / "report.html", folder / "out" / "report.json")
    check(call(folder, "plan", "exp", "--baseline-from", f"{folder}/log"))
    check(offline(folder), folder / "off" / "offline.html", folder / "off" / "offline.json")


def report_of(folder: Path, shape: Shape) -> tuple[str, dict[str, Any]]:
    """What the report prints, and its JSON."""
    write_degenerate(folder / "log", shape)
    done = report(folder)
    assert done.exit_code == 0, done.output
    return done.output, json.loads((folder / "out" / "report.json").read_text())


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_no_log_is_too_degenerate(shape: Shape, tmp_path: Path) -> None:
    """A report or a sentence, nothing but finite numbers, and no division that warns."""
    check_all(tmp_path, shape)


flags = st.lists(st.booleans(), min_size=1, max_size=3).map(tuple)
amounts = st.lists(
    st.sampled_from([0.0, 1.0, 8.0, 0.1, 1e-300, 1e11, 1e12, 1e308, -1.0, NAN, INF, None]),
    min_size=1,
    max_size=4,
).map(tuple)
shapes = st.builds(
    Shape,
    users=st.tuples(*[st.sampled_from([0, 1, 3, 101])] * 2).filter(any),
    days=st.integers(1, 3),
    before=st.sampled_from([0, 1]),
    taps=flags,
    purchases=st.booleans(),
    empty=flags,
    took_ms=amounts,
    price=amounts,
    sellers=st.integers(1, 3),
    randomised=st.booleans(),
    treatment_taps=st.none() | flags,
    treatment_took_ms=st.none() | amounts,
)


@pytest.mark.soak
@settings(max_examples=scaled(25), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(shapes)
def test_no_mixture_is_too_degenerate(tmp_path_factory: pytest.TempPathFactory, shape: Shape) -> None:
    """Whatever comes together."""
    check_all(tmp_path_factory.mktemp("mixed"), shape)


def test_a_latency_that_does_not_vary_is_ok_and_marked(tmp_path: Path) -> None:
    """8.0 ms in every answer: the interval is the change, which is 0."""
    text, found = report_of(tmp_path, SHAPES["constant latency"])
    assert re.search(r"Time per answer, ms \(treatment\) +ok, does not vary", text)
    (latency,) = [each for each in found["guardrails"]["treatment"] if each["guardrail"] == "latency"]
    assert (latency["state"], latency["varies"]) == ("ok", False)
    assert latency["low"] == latency["change"] == latency["high"] == 0


def test_constant_latencies_that_differ_are_not_dropped(tmp_path: Path) -> None:
    """9.0 ms against 8.0 are 12.5 % more, where 10 % are allowed."""
    text, found = report_of(tmp_path, SHAPES["constant latencies that differ"])
    assert text.startswith("Do not ship treatment: latency got worse by more than the margin.")
    (latency,) = [each for each in found["guardrails"]["treatment"] if each["guardrail"] == "latency"]
    assert latency["change"] == pytest.approx(0.125)


def test_a_metric_that_does_not_vary_makes_no_difference(tmp_path: Path) -> None:
    """Every slate is tapped, in both arms: neither an interval nor a p-value, and not "too few"."""
    text, found = report_of(tmp_path, SHAPES["every slate tapped"])
    assert text.startswith(
        "Do not ship treatment: it makes no difference; taps per slate does not vary: it is 1.00 for all"
    )
    ctr = found["metrics"][0]
    assert ctr["effect"] is None
    assert ctr["constant"] == {"control": 1, "treatment": 1}
    assert "does not vary: 1.00 in both arms" in (tmp_path / "out" / "report.html").read_text()


def test_metrics_that_do_not_vary_and_differ_ship_nothing(tmp_path: Path) -> None:
    """Taps on two slates of two, against one of two: without a spread no proof, but no silence either."""
    tapped = Shape(days=2, users=(120, 120), taps=ALL, treatment_taps=(True, False), purchases=False)
    text, found = report_of(tmp_path, tapped)
    assert text.startswith(
        "Not enough yet for treatment: taps per slate does not vary between the users of an arm "
        "(1.00 in control, 0.500 in treatment), so there is no interval to decide by; check how it is logged."
    )
    assert found["metrics"][0]["effect"] is None
    assert found["looks"]["treatment"] == []


def test_exclusions_are_named_if_nothing_remains(tmp_path: Path) -> None:
    """Bots' slates do carry the arm; a start in the future is no traceback."""
    write_degenerate(tmp_path / "log", SHAPES["nobody but bots"])
    assert "no valid slate carries an arm" in report(tmp_path).output
    assert "of users who look like bots; all of their events" in report(tmp_path).output
    assert re.search(
        r"no slate of [\d,]+ can be used: [\d,]+ of users who look like bots", offline(tmp_path).output
    )
    assert report(tmp_path, until="2026-10-01").output.startswith("Error: ")


def test_a_page_of_few_users_has_sentences_instead_of_empty_plots(tmp_path: Path) -> None:
    """No axis without a point on it."""
    write_degenerate(tmp_path / "log", Shape(users=(3, 3), empty=ALL))
    assert report(tmp_path).exit_code == 0
    html = (tmp_path / "out" / "report.html").read_text()
    assert "<svg" not in html
    text = HtmlPage(html).text
    for sentence in (
        "There is no interval on any day: too few users or events.",
        "Adjusted p below 0.05: no slice.",
        "No item of a known seller was shown.",
    ):
        assert sentence in text


def test_an_encoder_that_cannot_be_compared_has_no_p_value(tmp_path: Path) -> None:
    """The production order of slates that are all shuffled is unknown, not equal with p = 1."""
    write_degenerate(tmp_path / "log", SHAPES["all shuffled"])
    assert offline(tmp_path).exit_code == 0
    rows = json.loads((tmp_path / "off" / "offline.json").read_text())["as_logged"]
    p_values = {row["encoder"]: row["p"] for row in rows}
    assert p_values["production order"] is None
    assert p_values["two"] is not None


@pytest.mark.parametrize("option", ["--rate", "--slates-per-user", "--variance", "--users-per-day"])
@pytest.mark.parametrize("value", ["nan", "inf", "0", "-1", "1e-200", "1e200"])
def test_plans_of_impossible_numbers_are_refused(option: str, value: str, tmp_path: Path) -> None:
    """In one sentence."""
    given = {"--rate": "0.1", "--slates-per-user": "4", "--users-per-day": "1000"} | {option: value}
    done = call(tmp_path, "plan", "exp", *(part for pair in given.items() for part in pair))
    assert done.exit_code == 2
    assert f"Invalid value for '{option}'" in done.output


TINY, HUGE = "0.000000000001", "1000000000000"


@pytest.mark.parametrize(("rate", "users"), [(TINY, TINY), ("0.999999", HUGE), (TINY, HUGE)])
def test_plans_of_extreme_numbers_hold_only_finite_ones(rate: str, users: str, tmp_path: Path) -> None:
    """Where nothing can be found, the table says so."""
    arguments = ["--rate", rate, "--slates-per-user", "1", "--users-per-day", users]
    done = call(tmp_path, "plan", "exp", *arguments)
    check(done)
    assert done.exit_code == 0
    assert ("nothing" in done.output) is (users == TINY)
