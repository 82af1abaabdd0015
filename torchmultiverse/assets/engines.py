"""An engine that draws from packs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torchmultiverse.engines import Catalogue, Engine, EngineEntry, find_engine

if TYPE_CHECKING:
    from torchmultiverse.engines.builtin import AssetSource


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
    return entry.make(**_source(entry, packs))


def known_catalogue(name: str, packs: Sequence[str] = ()) -> Catalogue | None:
    """Return what an engine can render, where that is known before it is made; ``None`` where it is not.

    Args:
        name: as in `make_engine`.
        packs: as in `make_engine`.

    Raises:
        EngineError: there is none of that name.
        AssetError: a pack is not installed.
    """
    entry = find_engine(name)
    return entry.catalogue(**_source(entry, packs))


def _source(entry: EngineEntry, packs: Sequence[str]) -> dict[str, AssetSource]:
    """Return the keyword of an engine's factory that gives it packs; none where it takes none."""
    if not packs or not entry.assets:
        return {}
    from torchmultiverse.assets.packs import asset_source

    return {"assets": asset_source(packs)}
