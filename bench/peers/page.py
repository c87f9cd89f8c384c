"""The page of a comparison: one HTML file with tables and curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure

from bench.peers.measure import Measured, Point
from experiments.analysis.charts import COLOURS
from ml.evaluation.charts import inline_svg

RECALLS: Final = (0.95, 0.98)
OURS: Final = "nitamono"
PALETTE: Final = (*COLOURS[1:], "#d957a8", "#6b7f1f", COLOURS[0])
MARKERS: Final = "os^Dv<>pPX"


@dataclass(frozen=True)
class Comparison:
    """All peers over the same listings."""

    listings: int
    items: int
    machine: str
    peers: tuple[Measured, ...]
    missing: tuple[str, ...]
    """Why each peer that was asked for was not measured."""


def ratio(comparison: Comparison, peer: Measured, recall: float) -> float | None:
    """How many times as long a peer takes as nitamono, at this recall or more; None where one misses it."""
    ours = [each.fastest(recall) for each in comparison.peers if each.name == OURS]
    theirs = peer.fastest(recall)
    if theirs is None or not ours or ours[0] is None:
        return None
    return theirs.p50_ms / ours[0].p50_ms


def front(points: Sequence[Point]) -> list[Point]:
    """The points that no faster one equals in recall, fastest first."""
    best: list[Point] = []
    for point in sorted(points, key=lambda point: (point.p50_ms, -point.recall)):
        if not best or point.recall > best[-1].recall:
            best.append(point)
    return best


def curves(peers: Sequence[Measured]) -> Markup:
    """Recall and median latency of each peer at each effort; the latency is logarithmic.

    A line joins the settings worth choosing; the others are marks alone.
    """
    figure = Figure(figsize=(9.8, 5), layout="constrained")
    axes = figure.subplots()
    for number, peer in enumerate(peers):
        colour, marker = PALETTE[number % len(PALETTE)], MARKERS[number % len(MARKERS)]
        best = front(peer.points)
        axes.plot(
            [point.p50_ms for point in peer.points],
            [point.recall for point in peer.points],
            marker,
            color=colour,
            alpha=0.5,
            markersize=5,
        )
        axes.plot(
            [point.p50_ms for point in best],
            [point.recall for point in best],
            color=colour,
            marker=marker,
            label=peer.name,
            linewidth=3.0 if peer.name == OURS else 1.2,
            markersize=6,
        )
    axes.set(xscale="log", xlabel="median milliseconds of an answer (logarithmic)", ylabel="recall@24")
    axes.grid(alpha=0.3)
    axes.spines[:].set_visible(False)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,g}")
    axes.legend(frameon=False)
    return inline_svg(figure, "Recall and median latency of each peer")


def write_page(comparison: Comparison, path: Path) -> None:
    """Write the page."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template("page.html.jinja")
    text = template.render(
        comparison=comparison,
        recalls=RECALLS,
        ratio=ratio,
        curves=curves(comparison.peers),
    )
    path.write_text(text, encoding="utf-8")
