"""The packs that a run chose, in their order, as the built-in engine's source of characters and worlds."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from torchmultiverse.assets import environment
from torchmultiverse.assets.bake import Baked, bake, edge_for
from torchmultiverse.assets.library import PROCEDURAL, Pack, open_pack
from torchmultiverse.assets.parts import parts_of, texels_for, whole
from torchmultiverse.engines import Asset
from torchmultiverse.engines.builtin import TEXTURES, AssetSource, Character, MeshPart, ProceduralAssets, World
from torchmultiverse.engines.builtin import texture as textured
from torchmultiverse.errors import SpecError

_KEPT = 16
Made = TypeVar("Made")
_KINDS = {"character": "character", "environment": "world"}
"""Kinds of a pack's assets as an engine calls them."""


@dataclass(frozen=True)
class PackCharacter:
    """A character of a pack; see `torchmultiverse.engines.builtin.engine.Character`."""

    vertices: NDArray[np.float32]
    faces: NDArray[np.uint32]
    normals: NDArray[np.float32]
    color: NDArray[np.float32]
    roughness: NDArray[np.float32]
    hover: float
    parts: tuple[MeshPart, ...] = ()


class _Recent(Generic[Made]):
    """The last few things that were made, by name and side of the picture."""

    def __init__(self) -> None:
        self._made: OrderedDict[tuple[str, int], Made] = OrderedDict()

    def get(self, key: tuple[str, int], make: Callable[[], Made]) -> Made:
        if key not in self._made:
            while len(self._made) >= _KEPT:
                self._made.popitem(last=False)
            self._made[key] = make()
        self._made.move_to_end(key)
        return self._made[key]


class PackAssets(AssetSource):
    """Characters and worlds of one installed pack."""

    def __init__(self, pack: Pack) -> None:
        self._pack = pack
        self._parts: _Recent[tuple[MeshPart, ...]] = _Recent()
        self._shapes: _Recent[Baked] = _Recent()

    @override
    def packs(self) -> list[str]:
        return [self._pack.name]

    @override
    def names(self) -> list[str]:
        return self._pack.names("character")

    @override
    def textures(self) -> list[str]:
        return list(TEXTURES)

    @override
    def load(self, name: str, texture: str, side: int = 512) -> Character:
        item = self._pack.item("character", name)
        if texture != "Default":
            mesh = self._shapes.get((name, side), lambda: bake(self._pack.model(name), edge_for(side), True))
            color, roughness = textured(texture, mesh.vertices / np.float32(item.size))
            return PackCharacter(mesh.vertices, mesh.faces, mesh.normals, color, roughness, item.hover)
        parts = self._parts.get(
            (name, side), lambda: parts_of(self._pack.model(name), edge_for(side), texels_for(side))
        )
        return PackCharacter(*whole(parts), item.hover, parts)

    @override
    def worlds(self) -> list[str]:
        return self._pack.names("environment")

    @override
    def world(self, name: str) -> World:
        item = self._pack.item("environment", name)
        return environment.world(name, self._pack.radiance(name), item.display_name, item.exposure)

    @override
    def assets(self) -> list[Asset]:
        return [
            Asset(
                name=item.name,
                kind=_KINDS[item.kind],
                source=item.source,
                license=item.license,
                attribution=item.attribution,
                pack=self._pack.name,
            )
            for item in self._pack.manifest.assets
        ]

    @override
    def about(self) -> dict[str, dict[str, str]]:
        words: dict[str, dict[str, str]] = {"character": {}, "world": {}}
        for item in self._pack.manifest.assets:
            words[_KINDS[item.kind]][item.name] = item.display_name
        return words

    @override
    def fingerprint(self) -> bytes:
        return bytes.fromhex(self._pack.fingerprint)


class LayeredAssets(AssetSource):
    """Several sources; the first that has a name gives what it names."""

    def __init__(self, sources: Sequence[AssetSource]) -> None:
        self._sources = list(sources)
        self._characters = {name: s for s in reversed(self._sources) for name in s.names()}
        self._worlds = {name: s for s in reversed(self._sources) for name in s.worlds()}

    @override
    def packs(self) -> list[str]:
        return [name for source in self._sources for name in source.packs()]

    @override
    def names(self) -> list[str]:
        return sorted(self._characters)

    @override
    def textures(self) -> list[str]:
        return list(TEXTURES)

    @override
    def load(self, name: str, texture: str, side: int = 512) -> Character:
        return self._characters[name].load(name, texture, side)

    @override
    def worlds(self) -> list[str]:
        return sorted(self._worlds)

    @override
    def world(self, name: str) -> World:
        return self._worlds[name].world(name)

    @override
    def assets(self) -> list[Asset]:
        found: dict[tuple[str, str], Asset] = {}
        for source in self._sources:
            for asset in source.assets():
                found.setdefault((asset.kind, asset.name), asset)
        return list(found.values())

    @override
    def about(self) -> dict[str, dict[str, str]]:
        words: dict[str, dict[str, str]] = {}
        for source in reversed(self._sources):
            for kind, of in source.about().items():
                words[kind] = words.get(kind, {}) | of
        return words

    @override
    def fingerprint(self) -> bytes:
        return hashlib.sha256(b"".join(source.fingerprint() for source in self._sources)).digest()


def asset_source(packs: Sequence[str]) -> AssetSource:
    """Return the source of characters and worlds that a spec's ``assets`` name.

    Raises:
        SpecError: a name stands twice, or there is no world among them.
        AssetError: one is not installed; says how to install it.
    """
    packs = list(packs) or [PROCEDURAL]
    if len(set(packs)) != len(packs):
        raise SpecError(f"assets = {packs}: each pack once")
    sources = [ProceduralAssets() if name == PROCEDURAL else PackAssets(open_pack(name)) for name in packs]
    chosen = LayeredAssets(sources)
    if not chosen.worlds():
        raise SpecError(f"assets = {packs}: none of these packs has a world; add '{PROCEDURAL}'")
    return chosen
