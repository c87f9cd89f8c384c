"""Pages of experiment reports, as `nitamono experiment report NAME --out FOLDER/NAME` wrote them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from flask import Blueprint, Response, abort, render_template

REPORT: Final = "report.html"

# A report carries its own styles and plots, and runs nothing.
_POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; frame-ancestors 'none'"
)
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,47}")  # as experiments are named


def reports_blueprint(folder: Path | None) -> Blueprint:
    """A list of the reports in a folder, and each of them. Without a folder the list is empty."""
    reports = Blueprint("reports", __name__)

    @reports.get("/reports")
    def all_reports() -> str:
        return render_template("reports.html", names=report_names(folder), has_folder=folder is not None)

    @reports.get("/reports/<name>")
    def one_report(name: str) -> Response:
        if folder is None or name not in report_names(folder):
            abort(404, f"There is no report {name!r}; `nitamono experiment report` writes one.")
        answer = Response((folder / name / REPORT).read_bytes(), mimetype="text/html")
        answer.headers["Content-Security-Policy"] = _POLICY
        return answer

    return reports


def report_names(folder: Path | None) -> list[str]:
    """The experiments that have a report in the folder."""
    if folder is None or not folder.is_dir():
        return []
    names = sorted(path.name for path in folder.iterdir() if _NAME.fullmatch(path.name))
    return [name for name in names if (folder / name / REPORT).is_file()]
