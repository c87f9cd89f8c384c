"""Charts of an evaluation as SVG inside the page, drawn by matplotlib like all charts of ml/."""

import io
import re
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from markupsafe import Markup, escape

from ml.evaluation.rows import Row

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BASELINE_COLOUR: Final = "#9aa5b1"
COLOUR: Final = "#4878a8"
NAMESPACES: Final = re.compile(r' xmlns(?::\w+)?="[^"]*"')
"""SVG inside an HTML page needs no namespaces."""


def bar_chart(rows: Sequence[Row], baseline: str | None, metric: str, name: str) -> Markup:
    """A bar per encoder with its mean and 95 % interval; no bar for a row without a score.

    name: of the comparison, for the chart's title, which screen readers announce.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415  heavy, and needed by reports alone

    figure = Figure(figsize=(10, 0.32 * len(rows) + 0.5), layout="constrained")
    axes = figure.subplots()
    for position, row in enumerate(rows):
        mean, (low, high) = row.means[metric], row.intervals[metric]
        if low == low:  # noqa: PLR0124  NaN: no query has a score
            # Rounding may put a mean of equal scores just outside its interval.
            colour = BASELINE_COLOUR if row.encoder == baseline else COLOUR
            axes.barh(
                position, mean, color=colour, xerr=[[max(mean - low, 0)], [max(high - mean, 0)]], capsize=4
            )
            axes.text(high + 0.01, position, f"{mean:.3f}", va="center")
    axes.set_yticks(range(len(rows)), [row.encoder for row in rows], parse_math=False)
    axes.set(xlim=(0, 1.05), ylim=(len(rows) - 0.5, -0.5), axisbelow=True)
    axes.grid(axis="x", alpha=0.3)
    axes.tick_params(length=0, labeltop=True, labelbottom=False)
    axes.spines[:].set_visible(False)
    return inline_svg(figure, f"{metric} of each encoder with its interval, {name}")


def inline_svg(figure: "Figure", title: str) -> Markup:
    """The figure as an SVG element with selectable text and a title, the same in every run."""
    import matplotlib as mpl  # noqa: PLC0415  heavy, and needed by reports alone

    file = io.StringIO()
    # The title as salt gives two charts on one page different ids.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": title}), warnings.catch_warnings():
        # The reader's browser draws the text, with fonts that matplotlib need not have.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(file, format="svg", transparent=True, metadata=metadata)
    _, _, drawing = file.getvalue().partition("<svg ")
    attributes, _, content = drawing.partition(">")
    attributes = NAMESPACES.sub("", f" {attributes}")
    return Markup(f'<svg role="img"{attributes}><title>{escape(title)}</title>{content}')  # noqa: S704  matplotlib escapes its text
