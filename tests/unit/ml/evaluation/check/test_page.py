"""The page of a check."""

from ml.evaluation.check.page import page
from tests.html_page import HtmlPage
from tests.unit.ml.evaluation.check.conftest import MakeMeasured


def test_the_page_is_self_contained_and_has_ten_examples(make_measured: MakeMeasured) -> None:
    """Ten listings with five neighbours each, no script, nothing from elsewhere; titles are escaped."""
    html = page(make_measured(encoder=0.9, colours=0.4))
    found = HtmlPage(html)
    assert {"script", "link", "iframe"}.isdisjoint(tag for tag, _ in found.tags)
    images = [attrs["src"] or "" for tag, attrs in found.tags if tag == "img"]
    assert len(images) == 10 * (1 + 5)
    assert all(source.startswith("data:image/jpeg;base64,") for source in images)
    assert "http" not in html
    assert "Listing <b>0</b> (Belts)" in found.text
    marks = [attrs["class"] for tag, attrs in found.tags if tag == "figure"]
    assert marks.count("hit") == 10, "of neighbours in turn, the fourth of each five is of the same category"
    assert marks.count("miss") == 40


def test_the_page_has_verdict_and_figures(make_measured: MakeMeasured) -> None:
    """Those that the command prints."""
    text = HtmlPage(page(make_measured(encoder=0.6, colours=0.4))).text
    assert "may not be enough" in text
    assert "colour alone" in text
    assert "0.400" in text
    assert "█" in text
    assert "Weakest categories" in text
