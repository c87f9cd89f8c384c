"""The configuration of Prometheus, the alerts and the dashboard name metrics and targets that exist."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from docs.metrics_table import all_metrics
from monitoring import findings

ROOT = Path(__file__).parents[3]
PROMETHEUS = ROOT / "deploy" / "prometheus"
ALERTS: dict[str, Any] = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())
CONFIG: dict[str, Any] = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
DASHBOARD: dict[str, Any] = json.loads((ROOT / "deploy" / "grafana" / "nitamono.json").read_text())
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())

RULES = [rule for group in ALERTS["groups"] for rule in group["rules"]]
EXPRESSIONS = [rule["expr"] for rule in RULES] + [
    target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]
]
SAMPLES = {name: metric for metric in all_metrics() for name in metric.sample_names}


def named(expression: str) -> set[str]:
    """The metrics of ours that an expression names."""
    return set(re.findall(r"\bnitamono_\w+", re.sub(r'"[^"]*"', "", expression)))


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_each_metric_exists_with_the_labels_that_are_used(expression: str) -> None:
    """A renamed one would make an alert silent for ever."""
    assert named(expression) <= set(SAMPLES)
    for name, matchers in re.findall(r"\b(nitamono_\w+)\{([^}]*)\}", expression):
        labels = set(re.findall(r"(\w+)\s*[=!]~?", re.sub(r'"[^"]*"', '""', matchers)))
        assert labels <= set(SAMPLES[name].labels)


def test_the_dashboard_shows_every_metric() -> None:
    """But what follows from another."""
    shown = {SAMPLES[name] for expression in EXPRESSIONS for name in named(expression)}
    assert {metric.name for metric in set(all_metrics()) - shown} == set()


def test_panels_do_not_overlap_and_have_targets() -> None:
    """Three beside each other."""
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in DASHBOARD["panels"]]
    assert len(set(places)) == len(places)
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(places)
    assert all(panel["targets"] and panel["title"] for panel in DASHBOARD["panels"])


def test_each_alert_says_what_is_wrong_and_what_to_do() -> None:
    """With a severity, after a while."""
    assert len({rule["alert"] for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert rule["for"]
        assert rule["labels"]["severity"] in {"info", "warning", "critical"}
        assert rule["annotations"]["summary"].endswith(".")
        assert rule["annotations"]["description"].endswith(".")


def test_the_limits_are_those_of_the_operator_page() -> None:
    """One is not silent while the other complains."""
    expressions = {rule["alert"]: rule["expr"] for rule in RULES}
    assert f"> {findings.OLDEST_S:g}" in expressions["NitamonoQueueBehind"]
    assert f"< {findings.COVERAGE:g}" in expressions["NitamonoLowCoverage"]
    assert f"> {findings.UNSEARCHABLE_S:g}" in expressions["NitamonoNotRefreshed"]
    assert f"> {findings.DEVIATION:g} or" in expressions["NitamonoDrift"]
    assert expressions["NitamonoDrift"].endswith(f"> {findings.SHIFT:g}")


def test_targets_are_services_of_compose_at_their_ports() -> None:
    """The workers' ports are not published."""
    targets = [
        target
        for job in CONFIG["scrape_configs"]
        for config in job["static_configs"]
        for target in config["targets"]
    ]
    ports = {
        name: COMPOSE["services"][name]["environment"][variable]
        for name, variable in (
            ("api", "NITAMONO_API_PORT"),
            ("worker", "NITAMONO_METRICS_PORT"),
            ("events", "NITAMONO_METRICS_PORT"),
        )
    }
    assert sorted(targets) == sorted(f"{name}:{port}" for name, port in ports.items())
    assert "ports" not in COMPOSE["services"]["worker"]


def test_prometheus_accepts_the_files(tmp_path: Path) -> None:
    """By its own checker; Debian's package `prometheus` has it."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed")
    shutil.copytree(PROMETHEUS, tmp_path, dirs_exist_ok=True)
    key = tmp_path / "nitamono.key"
    key.touch()
    config = tmp_path / "prometheus.yml"
    config.write_text(config.read_text().replace("/etc/prometheus/nitamono.key", str(key)))
    done = subprocess.run([promtool, "check", "config", config], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
