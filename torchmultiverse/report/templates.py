"""The pages' templates."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

from torchmultiverse.documents import EncodedImage
from torchmultiverse.evaluation import percent
from torchmultiverse.images import decode, thumbnail
from torchmultiverse.stats import format_difference


def template(name: str, **filters: Callable[..., Any]) -> Any:
    """Return a template of this folder; everything that it is given is escaped.

    Args:
        name: of its file.
        filters: by the names that it calls them by, beside ``percent``, ``source`` and ``breakable``;
            `format_difference` says differences.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "source": source, "breakable": breakable, **filters}
    environment.globals |= {"format_difference": format_difference}
    return environment.get_template(name)


_LONG = re.compile(r"\S{14,}")
_ENDS = re.compile(r"(?<=[_./:@-])(?=\w)")


def breakable(text: str) -> Markup:
    """Return a text whose long words may be broken after the signs that divide them: names of models, of layers.

    >>> str(breakable("timm:vit_base_patch16 is 89.6"))
    'timm:<wbr>vit_<wbr>base_<wbr>patch16 is 89.6'
    """
    parts, end = [], 0
    for word in _LONG.finditer(text):
        parts += [escape(text[end : word.start()]), Markup("<wbr>").join(_ENDS.split(word[0]))]
        end = word.end()
    return Markup("").join([*parts, escape(text[end:])])


def source(image: EncodedImage) -> str:
    """Return an image as the address of a thumbnail that the page holds itself."""
    if image.media_type != "image/jpeg":  # kept as it was drawn, to the pixel
        image = EncodedImage(data=thumbnail(decode(image.data, "an image of a record")))
    return image.data_uri
