"""An engine that draws from packs."""

from __future__ import annotations

from collections.abc import Sequence

from torchmultiverse.engines import Engine, find_engine


def make_engine(name: str, packs: Sequence[str] = ()) -> Engine:
    """Return a new engine of this name, in this process.

    Args:
        name: see `torchmultiverse.engines.registry`.
        packs: it draws from, the first that has a name gives it; one that cannot, says so in its catalogue.

    Raises:
        EngineError: there is none of that name, or it does not work here.
        AssetError: a pack is not installed.
    """
    entry = find_engine(name)
    if not packs or not entry.assets:
        return entry.make()
    from torchmultiverse.assets.packs import asset_source

    return entry.make(assets=asset_source(packs))
