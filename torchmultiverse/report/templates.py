"""The pages' templates."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torchmultiverse.documents import EncodedImage
from torchmultiverse.evaluation import percent
from torchmultiverse.images import decode, thumbnail
from torchmultiverse.stats import format_difference


def template(name: str, **filters: Callable[..., Any]) -> Any:
    """Return a template of this folder; everything that it is given is escaped.

    Args:
        name: of its file.
        filters: by the names that it calls them by, beside ``percent`` and ``source``; `format_difference` says
            differences.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "source": source, **filters}
    environment.globals |= {"format_difference": format_difference}
    return environment.get_template(name)


def source(image: EncodedImage) -> str:
    """Return an image as the address of a thumbnail that the page holds itself."""
    if image.media_type != "image/jpeg":  # kept as it was drawn, to the pixel
        image = EncodedImage(data=thumbnail(decode(image.data, "an image of a record")))
    return image.data_uri
