"""Reports of experiments, as pages."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from monitoring.samples import Samples
from query.web.operator import operator_blueprint
from query.web.pages import pages_blueprint
from query.web.reports import REPORT, reports_blueprint


def client(folder: Path | None) -> FlaskClient:
    app = Flask("query.web")
    app.register_blueprint(pages_blueprint(None, None, with_events=bool))  # type: ignore[arg-type]  # only its addresses are asked for
    app.register_blueprint(operator_blueprint(None, "", Samples, None))  # type: ignore[arg-type]  # as above
    app.register_blueprint(reports_blueprint(folder))
    return app.test_client()


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    """A folder with one report, an unfinished one, and one under a name that no experiment has."""
    for name, file in (("encoder", REPORT), ("unfinished", "report.json"), ("Not A Name", REPORT)):
        (tmp_path / name).mkdir()
        (tmp_path / name / file).write_text("<p>shipped</p>", encoding="utf-8")
    return tmp_path


def test_reports_are_listed_and_shown(reports: Path) -> None:
    """Each runs nothing, whatever is written in it."""
    listed = client(reports).get("/reports").text
    assert 'href="/reports/encoder"' in listed
    assert "unfinished" not in listed
    assert "Not A Name" not in listed
    shown = client(reports).get("/reports/encoder")
    assert shown.text == "<p>shipped</p>"
    assert "default-src 'none'" in shown.headers["Content-Security-Policy"]


@pytest.mark.parametrize("name", ["unfinished", "none", "..%2fencoder", "Not%20A%20Name"])
def test_what_is_no_report_is_not_found(reports: Path, name: str) -> None:
    """Nor is anything outside the folder."""
    assert client(reports).get(f"/reports/{name}").status_code == 404


def test_a_folder_without_reports_says_how_to_make_one(tmp_path: Path) -> None:
    """And not where the server keeps them. So does a server that has no folder."""
    page = client(tmp_path).get("/reports").text
    assert "--out REPORTS/NAME" in page
    assert str(tmp_path) not in page
    assert "NITAMONO_REPORTS_DIR" in client(None).get("/reports").text
    assert client(tmp_path / "gone").get("/reports").status_code == 200
