"""The packs that can be made of other people's files, by name."""

from __future__ import annotations

from torchmultiverse.assets.library import BUILDABLE, Pack
from torchmultiverse.assets.request import BuildRequest
from torchmultiverse.errors import AssetError, nearest


def build(name: str, request: BuildRequest) -> tuple[Pack, list[str]]:
    """Make a pack; return it, and a line for each asset that this source does not have.

    Args:
        name: one of `BUILDABLE`.
        request: where from, and where to.

    Raises:
        AssetError: no such pack can be built, there is no source (then it says how to get one), or it is broken.
    """
    if name == "0ad":
        from torchmultiverse.assets.zeroad import build as make
    elif name == "published":
        from torchmultiverse.assets.published import build as make
    elif name == "objaverse":
        from torchmultiverse.assets.objaverse_pack import build as make
    elif name == "polyhaven":
        from torchmultiverse.assets.polyhaven import build as make
    elif name == "sweethome3d":
        from torchmultiverse.assets.sweethome3d import build as make
    else:
        raise AssetError(f"'{name}' cannot be built.{nearest(name, BUILDABLE)}")
    return make(request)
