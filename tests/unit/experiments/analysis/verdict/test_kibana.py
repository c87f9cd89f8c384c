"""The Kibana dashboard: objects that refer to each other, over fields that events have."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from events.names import event_indices
from mappings.client import ElasticsearchSettings

ROOT = Path(__file__).parents[5]
OBJECTS = [
    json.loads(line) for line in (ROOT / "deploy/kibana/experiments.ndjson").read_text("utf-8").splitlines()
]
FIELDS = json.loads((ROOT / "events/events.v1.json").read_text("utf-8"))["mappings"]["properties"]
PANELS = [each for each in OBJECTS if each["type"] == "visualization"]
WORDS = re.compile(r"(?<![A-Za-z_.])[a-z][a-z0-9_.]*")
"""Names in ES|QL; its keywords are in capitals."""


def spec(panel: dict[str, Any]) -> dict[str, Any]:
    """The Vega-Lite of a panel."""
    found: dict[str, Any] = json.loads(json.loads(panel["attributes"]["visState"])["params"]["spec"])
    return found


def query(panel: dict[str, Any]) -> str:
    """Its ES|QL, without texts, time spans and the time picker."""
    whole = spec(panel)["data"]["url"]["query"].removeprefix(f"FROM {event_indices('listings')} |")
    return re.sub(r'"[^"]*"|\?_t\w+|1 day|\b(?:false|true)\b', "", whole)


def made(panel: dict[str, Any]) -> set[str]:
    """The columns that the query makes itself."""
    return set(re.findall(r"(\w+) = ", query(panel)))


def field(name: str) -> bool:
    """Whether events have it; `items.position` is within items."""
    properties: dict[str, Any] = FIELDS
    *outer, last = name.split(".")
    for part in outer:
        properties = properties[part]["properties"]
    return last in properties


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["id"])
def test_every_field_is_one_that_events_have(panel: dict[str, Any]) -> None:
    """Or one that the query makes."""
    named = set(WORDS.findall(query(panel))) - (made(panel) - set(FIELDS))
    assert named >= {"time", "type", "arms"}
    assert [name for name in named if not field(name)] == []
    assert spec(panel)["data"]["url"]["%timefield%"] == "time"


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["id"])
def test_panels_draw_the_columns_of_their_query(panel: dict[str, Any]) -> None:
    """By arm and day."""
    drawn = {each["field"] for each in spec(panel)["encoding"].values()}
    assert drawn > {"day", "arm"}
    assert drawn <= made(panel)


def test_it_reads_the_daily_indices_of_the_default_prefix() -> None:
    """And neither events that were refused nor anything else."""
    pattern = event_indices(ElasticsearchSettings().prefix)
    (view,) = (each["attributes"] for each in OBJECTS if each["type"] == "index-pattern")
    assert (view["title"], view["timeFieldName"]) == (pattern, "time")
    assert all(spec(panel)["data"]["url"]["query"].startswith(f"FROM {pattern} ") for panel in PANELS)


def test_the_dashboard_shows_every_panel() -> None:
    """CTR, slates, taps, latency and empty answers, none on top of another."""
    (dashboard,) = (each for each in OBJECTS if each["type"] == "dashboard")
    assert {each["id"] for each in dashboard["references"]} == {panel["id"] for panel in PANELS}
    panels = json.loads(dashboard["attributes"]["panelsJSON"])
    names = {f"{each['panelIndex']}:{each['panelRefName']}" for each in panels}
    assert names == {each["name"] for each in dashboard["references"]}
    places = [each["gridData"] for each in panels]
    cells = [
        (x, y) for g in places for x in range(g["x"], g["x"] + g["w"]) for y in range(g["y"], g["y"] + g["h"])
    ]
    assert len(cells) == len(set(cells))
    assert len(panels) == 5
