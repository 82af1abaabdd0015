"""What people call an object: its class as they write it, and how the variant differs."""

from __future__ import annotations

from torchmultiverse.engines.builtin.objects import document
from torchmultiverse.engines.builtin.objects.library import object_class
from torchmultiverse.scenes import class_of


def object_label(name: str) -> str:
    """Return what people call an object: ``coffee mug: clear glass, tapered, with coffee and froth``.

    Raises:
        SpecError: no such object, or a file that is wrong.
    """
    kind = object_class(name)
    found = document.load_class(kind)
    known = class_of(name)
    display = kind if known is None else known.display
    about = found.variants[name].get("about") or found.about
    return f"{display}: {about}" if about else display
