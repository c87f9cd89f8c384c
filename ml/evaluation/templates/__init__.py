"""Templates of pages and model cards: values are escaped in HTML, not in Markdown."""

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from ml.evaluation.charts import bar_chart


def environment() -> Environment:
    """Create an environment with this folder's templates and `bar_chart`; an undefined name is an error."""
    templates = Environment(
        loader=PackageLoader("ml.evaluation"),
        autoescape=select_autoescape(["html.jinja"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.globals["bar_chart"] = bar_chart
    return templates
