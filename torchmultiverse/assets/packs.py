"""The packs that a run chose, in their order, as the built-in engine's source of characters and worlds."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from torchmultiverse.assets import environment
from torchmultiverse.assets.bake import bake, edge_for
from torchmultiverse.assets.library import PROCEDURAL, Pack, open_pack
from torchmultiverse.assets.model import MeshModel, keeping
from torchmultiverse.assets.parts import parts_of, surface_part, texels_for, whole
from torchmultiverse.assets.texture_maps import TextureMap, surface_colors
from torchmultiverse.engines import Asset
from torchmultiverse.engines.builtin import (
    TEXTURES,
    AssetSource,
    Character,
    Material,
    Mesh,
    MeshPart,
    ProceduralAssets,
    World,
    textured_parts,
)
from torchmultiverse.engines.builtin import texture as textured
from torchmultiverse.errors import SpecError
from torchmultiverse.scenes import OWN, in_class_order

_KEPT = 16
Made = TypeVar("Made")
_KINDS = {"character": "character", "environment": "world", "texture": "texture"}
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


def dressed(base: Character, texture: TextureMap) -> PackCharacter:
    """Return a character in a surface; parts that keep their material do so (lamps, lenses), and panes of glass."""
    color = surface_colors(texture, base.vertices, base.faces, base.normals)
    return _covered(base, color, np.full(len(color), texture.roughness, np.float32))


def _covered(
    base: Character, color: NDArray[np.float32], roughness: NDArray[np.float32], texture: str = ""
) -> PackCharacter:
    """Return a character in other colours (V, 3) and roughness (V,) where its parts do not keep their own; of metal or
    glass where the ``texture`` is."""
    parts: list[MeshPart] = []
    color, roughness, at = color.copy(), roughness.copy(), 0
    for part in getattr(base, "parts", ()):
        own = slice(at, at + len(part.mesh.vertices))
        at = own.stop
        if part.keeps or part.material.glass < 0:
            color[own], roughness[own] = base.color[own], base.roughness[own]
            parts.append(part)
            continue
        body = replace(part.mesh, colors=color[own])
        plain = Material(part.material.name, roughness=round(float(roughness[own].mean()), 4))
        parts += textured_parts(texture, body) or (replace(part, material=plain, mesh=body),)
    if not parts:
        parts += textured_parts(texture, Mesh(base.vertices, base.faces, base.normals, colors=color))
    return PackCharacter(base.vertices, base.faces, base.normals, color, roughness, base.hover, tuple(parts))


class PackAssets(AssetSource):
    """Characters and worlds of one installed pack."""

    def __init__(self, pack: Pack) -> None:
        self._pack = pack
        self._parts: _Recent[tuple[MeshPart, ...]] = _Recent()
        self._shapes: _Recent[tuple[MeshPart, ...]] = _Recent()

    @override
    def packs(self) -> list[str]:
        return [self._pack.name]

    @override
    def names(self) -> list[str]:
        return self._pack.names("character")

    @override
    def classes(self) -> dict[str, str]:
        items = (self._pack.item("character", name) for name in self.names())
        return {item.name: item.class_name for item in items if item.class_name}

    @override
    def textures(self) -> list[str]:
        return [*TEXTURES, *self._pack.names("texture")]

    def surface(self, texture: str) -> TextureMap:
        """Return one of the pack's own textures.

        Raises:
            KeyError: it has none of that name.
            AssetError: its file is not what was installed.
        """
        return self._pack.texture(texture)

    @override
    def load(self, name: str, texture: str, side: int = 512) -> Character:
        if texture not in TEXTURES:
            return dressed(self.shape(name, side), self.surface(texture))
        item = self._pack.item("character", name)
        if texture != "Default":
            plain = self.shape(name, side)
            color, roughness = textured(texture, plain.vertices / np.float32(item.size))
            return _covered(plain, color, roughness, texture)
        parts = self._parts.get(
            (name, side), lambda: parts_of(self._pack.model(name), edge_for(side), texels_for(side))
        )
        return PackCharacter(*whole(parts), item.hover, parts)

    def shape(self, name: str, side: int) -> PackCharacter:
        """Return a character whose surface is split finely enough for a pattern that replaces its own.

        It has parts where some of it keeps its own: that surface is one of them.
        """
        hover = self._pack.item("character", name).hover
        parts = self._shapes.get((name, side), lambda: self._surface(name, side))
        return PackCharacter(*whole(parts), hover, parts if any(part.keeps for part in parts) else ())

    def _surface(self, name: str, side: int) -> tuple[MeshPart, ...]:
        """Return what is replaced as one part, and what keeps its own as it is."""
        model = self._pack.model(name)
        kept = keeping(model)
        own = tuple(piece for piece, keeps in zip(model.pieces, kept, strict=True) if keeps)
        rest = tuple(piece for piece, keeps in zip(model.pieces, kept, strict=True) if not keeps)
        parts = parts_of(MeshModel(own), edge_for(side), texels_for(side)) if own else ()
        parts = tuple(replace(part, keeps=True) for part in parts)
        if not rest:
            return parts
        mesh = bake(MeshModel(rest), edge_for(side), True)
        surface = Mesh(mesh.vertices, mesh.faces, mesh.normals, colors=mesh.color)
        return surface_part(surface, float(mesh.roughness.mean())), *parts

    @override
    def worlds(self) -> list[str]:
        return self._pack.names("environment")

    @override
    def world(self, name: str, region: str = OWN) -> World:
        if region != OWN:
            raise SpecError(f"World_Region = {region}: world '{name}' of pack '{self._pack.name}' has no regions")
        item = self._pack.item("environment", name)
        return environment.world(name, self._pack.radiance(name), item.display_name, item.exposure)

    @override
    def regions(self) -> dict[str, dict[str, str]]:
        return {}

    @override
    def conditions(self) -> dict[str, list[str]]:
        return {name: [] for name in environment.NO_CONDITIONS}

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
        words: dict[str, dict[str, str]] = {kind: {} for kind in _KINDS.values()}
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
        packed = (source for source in reversed(self._sources) if isinstance(source, PackAssets))
        self._surfaces = {name: source for source in packed for name in source.textures() if name not in TEXTURES}

    @override
    def packs(self) -> list[str]:
        return [name for source in self._sources for name in source.packs()]

    @override
    def names(self) -> list[str]:
        return sorted(self._characters, key=in_class_order)

    @override
    def classes(self) -> dict[str, str]:
        given = {name: of for s in self._sources for name, of in s.classes().items() if self._characters[name] is s}
        return {name: given[name] for name in self.names() if name in given}

    @override
    def textures(self) -> list[str]:
        return sorted({*TEXTURES, *self._surfaces})

    @override
    def load(self, name: str, texture: str, side: int = 512) -> Character:
        if texture in self._surfaces:
            source = self._characters[name]
            shape = source.shape(name, side) if isinstance(source, PackAssets) else source.load(name, "Default", side)
            return dressed(shape, self._surfaces[texture].surface(texture))
        return self._characters[name].load(name, texture, side)

    @override
    def worlds(self) -> list[str]:
        return sorted(self._worlds)

    @override
    def world(self, name: str, region: str = OWN) -> World:
        return self._worlds[name].world(name, region)

    @override
    def regions(self) -> dict[str, dict[str, str]]:
        given = {name: of for s in self._sources for name, of in s.regions().items() if self._worlds.get(name) is s}
        return dict(sorted(given.items()))

    @override
    def conditions(self) -> dict[str, list[str]]:
        given = [source.conditions() for source in self._sources]
        names = sorted({name for of in given for name in of})
        of_world = {
            world: next(of for one, of in zip(self._sources, given, strict=True) if one is source)
            for world, source in self._worlds.items()
        }
        return {name: [w for w in self.worlds() if w in of_world[w].get(name, [w])] for name in names}

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
