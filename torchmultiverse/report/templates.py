"""The pages' templates."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torchmultiverse.evaluate import percent
from torchmultiverse.stats import format_difference


def template(name: str, **filters: Callable[..., Any]) -> Any:
    """Return a template of this folder; everything that it is given is escaped.

    Args:
        name: of its file.
        filters: by the names that it calls them by, beside ``percent``; `format_difference` says differences.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, **filters}
    environment.globals |= {"format_difference": format_difference}
    return environment.get_template(name)
