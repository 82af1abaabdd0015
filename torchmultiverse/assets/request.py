"""What ``assets build`` is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torchmultiverse.assets.files import MAX_FILE_BYTES
from torchmultiverse.assets.model import MAX_TRIANGLES


@dataclass(frozen=True)
class BuildRequest:
    """How a pack is to be made of other people's files. Each builder reads what concerns it.

    Attributes:
        source: a package, an archive, a folder or a list of assets; by default where it is usually installed.
        fetch: get what is missing by the system's own client.
        out: a folder that the pack is written to, instead of being installed under its name.
        limit: at most so many assets: of each class, of each kind, or of all, as the builder says; None for its own.
        classes: only assets of these classes; all where empty.
        licenses: SPDX identifiers of the licences that assets may be under; all where empty.
        names: of assets at the service; all where empty.
        kinds: of assets, as the service calls them; the builder's own choice where empty.
        wider: take assets of categories that hold other things than the class too.
        max_bytes: of the file of an asset.
        max_triangles: of an asset.
        resolution: of textures and environment maps, as the service calls it.
        quiet: show no progress.
    """

    source: Path | None = None
    fetch: bool = False
    out: Path | None = None
    classes: tuple[str, ...] = ()
    limit: int | None = None
    licenses: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    wider: bool = False
    max_bytes: int = MAX_FILE_BYTES
    max_triangles: int = MAX_TRIANGLES
    resolution: str = ""
    quiet: bool = False
