"""Texts that ml/ fills in: HTML is escaped, Markdown is not."""

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape


def environment() -> Environment:
    """Reads the templates of this folder; a name that is not given is an error."""
    return Environment(
        loader=PackageLoader("ml.evaluation"),
        autoescape=select_autoescape(["html.jinja"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
