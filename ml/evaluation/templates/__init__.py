"""Templates of pages and model cards: values are escaped in HTML, not in Markdown."""

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from console.percentage import percent
from ml.evaluation.charts import bar_chart


def environment() -> Environment:
    """Create an environment with this folder's templates and functions; an undefined name is an error."""
    templates = Environment(
        loader=PackageLoader("ml.evaluation"),
        autoescape=select_autoescape(["html.jinja"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.globals["bar_chart"] = bar_chart
    templates.filters["percent"] = percent
    return templates
