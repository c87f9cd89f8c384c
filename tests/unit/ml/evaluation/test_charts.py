"""Charts inside a page: self-contained, escaped, and with the figures of the rows."""

import re

import numpy as np
import pytest

from ml.evaluation.charts import bar_chart
from ml.evaluation.rows import Row
from tests.html_page import HtmlPage


def make_row(encoder: str, mean: float = 0.5) -> Row:
    """A row with the interval ±0.1."""
    return Row(encoder, {"ndcg@5": mean}, {"ndcg@5": (mean - 0.1, mean + 0.1)}, None, None, None, None, [])


def test_a_bar_chart_is_one_svg_element_with_a_title() -> None:
    """Encoder and score are text, and nothing is loaded from elsewhere."""
    svg = bar_chart([make_row("random", 0.055), make_row("served", 0.622)], "random", "ndcg@5", "fashion")
    assert svg.startswith('<svg role="img"')
    assert svg.rstrip().endswith("</svg>")
    assert "http" not in svg
    text = HtmlPage(str(svg)).text
    for shown in ("ndcg@5 of each encoder with its interval, fashion", "random", "0.055", "served", "0.622"):
        assert shown in text


def test_names_are_escaped_and_not_read_as_formulas() -> None:
    """A folder may be named `a$b$<i>`."""
    name = "a$b$<i>"
    svg = bar_chart([make_row(name)], None, "ndcg@5", name)
    assert HtmlPage(str(svg)).text.count(name) == 2, "in the title and next to its bar"
    assert "<i>" not in svg


def test_names_may_be_japanese(recwarn: pytest.WarningsRecorder) -> None:
    """The text reaches the browser, without warnings about fonts that this machine lacks."""
    assert "専用" in bar_chart([make_row("専用")], None, "ndcg@5", "x")
    assert not recwarn.list


def test_a_row_without_a_score_has_no_bar() -> None:
    """NaN is not printed."""
    assert "nan" not in bar_chart([make_row("none", np.nan), make_row("some")], None, "ndcg@5", "x")


def test_a_chart_is_the_same_in_every_run_and_shares_no_id_with_another() -> None:
    """Pages can be compared, and clipping of one chart does not hide parts of another."""
    rows = [make_row("one")]
    first = bar_chart(rows, None, "ndcg@5", "first")
    assert bar_chart(rows, None, "ndcg@5", "first") == first
    references = re.findall(r"url\(#(\w+)\)", first)
    other = bar_chart(rows * 2, None, "ndcg@5", "other")
    assert references
    assert not set(references) & set(re.findall(r"url\(#(\w+)\)", other))
