"""What a material of a glTF file looks like: colour, texture, metal, gloss, glass, coat, light, and holes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.assets.files import shown
from torchmultiverse.assets.gltf import GltfDocument, GltfMaterial, Metallic, TextureInfo
from torchmultiverse.assets.model import DISPLAY_SIZE, Submesh, named_to_keep
from torchmultiverse.assets.textures import decode, linear
from torchmultiverse.errors import AssetError

Color = tuple[float, float, float]
_METAL = 0.5
"""What is at least so metallic is metal: the built-in engine's materials are one or the other."""
_ROUGHNESS = 0.7
"""Where the file does not say."""
_CLEAR, _OPAQUE = 0.02, 0.85
"""What is less opaque than the first is not there; what is at least as opaque as the second is wholly so."""
_GLASS = 1.5
"""Index of refraction where the file gives none."""
_DIM, _BRIGHTEST = 0.05, 10.0
"""Radiance of what is taken for no lamp, and of the brightest one."""
_REACH = 0.1
"""A solid glass' colour is what so much of it lets through, metres."""
_FEW = 0.01
"""Share of a piece's faces that is not worth a piece of its own."""


@dataclass(frozen=True)
class GltfSurface:
    """What of a material makes a piece.

    Attributes:
        name: for remarks.
        tint: linear sRGB.
        roughness, metallic: of all of it; multiplied with ``gloss`` where there is one.
        alpha: opacity.
        limit: what is less opaque than this is not there; 0: alpha means nothing.
        texture, gloss, glow: of the colour, of roughness (green) and metal (blue), and of the light it gives off.
        light: radiance (3,), linear; multiplied with ``glow``.
        glass, coat, keeps: as of `Submesh`.
        attenuation: colour and distance (units of the file) at which it is what is left of white light in the glass.
    """

    name: str
    tint: Color
    roughness: float
    metallic: float
    alpha: float
    limit: float
    texture: TextureInfo | None
    gloss: TextureInfo | None
    glow: TextureInfo | None
    light: Color
    glass: float
    coat: float
    keeps: bool
    attenuation: tuple[Color, float] | None

    @property
    def textures(self) -> dict[str, TextureInfo]:
        """The textures by the name of their coordinates: uv, gloss, glow."""
        given = {"uv": self.texture, "gloss": self.gloss, "glow": self.glow}
        return {name: info for name, info in given.items() if info is not None}


class GltfSurfaces:
    """The materials of a file.

    Args:
        document: the file.
        note: takes remarks on what is not drawn.
    """

    def __init__(self, document: GltfDocument, note: Callable[[str], None]) -> None:
        self._document, self._note = document, note
        self._made: dict[int | None, GltfSurface] = {}
        self._images: dict[int, NDArray[np.uint8]] = {}

    def __getitem__(self, index: int | None) -> GltfSurface:
        """Return what a material, or none, looks like.

        Raises:
            AssetError: there is no such material, or a texture of it cannot be read.
        """
        if index not in self._made:
            materials = self._document.header.materials
            given = GltfMaterial() if index is None else self._document.item(materials, index, "material")
            name = shown(given.name or ("no material" if index is None else f"materials[{index}]"))
            self._made[index] = self._surface(given, name, index is None)
        return self._made[index]

    def image(self, info: TextureInfo, name: str) -> NDArray[np.uint8]:
        """Return the picture of a texture, uint8 (H, W, 4).

        Raises:
            AssetError: it cannot be read.
        """
        place = f"the material '{name}'"
        what = self._document.what
        index = self._document.item(self._document.header.textures, info.index, f"{place}: texture").image
        if index is None:
            raise AssetError(f"{what}: the texture of {place} cannot be read: it names no image")
        if index not in self._images:
            self._images[index] = decode(self._document.image_bytes(index, place), f"{what}: the texture of {place}")
        return self._images[index]

    # -- materials ----------------------------------------------------------------------------------------------------

    def _surface(self, given: GltfMaterial, name: str, missing: bool) -> GltfSurface:
        """Return what is drawn of a material, and remark on what is not."""
        base, unread = _base(given)
        if unread:
            self._note(f"not drawn of '{name}': {', '.join(unread)}")
        red, green, blue, alpha = (float(np.clip(c, 0, 1)) for c in base.baseColorFactor)
        gloss = base.metallicRoughnessTexture
        roughness = base.roughnessFactor
        if roughness is None:
            roughness = _ROUGHNESS if gloss is None else 1.0
        metallic = base.metallicFactor
        if metallic is None:
            # By the format it is 1; a file that speaks of neither gloss nor metal means a plain colour.
            metallic = 0.0 if missing or (gloss is None and base.roughnessFactor is None) else 1.0
        coat = given.extensions.KHR_materials_clearcoat
        glow, light = self._light(given, base, name)
        surface = GltfSurface(
            name,
            (red, green, blue),
            float(np.clip(roughness, 0.05, 1)),
            float(np.clip(metallic, 0, 1)),
            alpha,
            {"OPAQUE": 0.0, "MASK": max(given.alphaCutoff, 0.0), "BLEND": 0.5}[given.alphaMode],
            base.baseColorTexture,
            gloss,
            glow,
            light,
            glass=0.0,
            coat=0.0 if coat is None else self._share(coat.clearcoatFactor, coat.clearcoatTexture, name),
            keeps=named_to_keep(name),
            attenuation=None,
        )
        surface = self._glazed(surface, given)
        if surface.glass == 0 and given.alphaMode == "BLEND" and self._translucent(surface):
            self._note(f"'{name}' is see-through in part: what is less than half opaque is not drawn, the rest is")
        return surface

    def _light(self, given: GltfMaterial, base: Metallic, name: str) -> tuple[TextureInfo | None, Color]:
        strength = given.extensions.KHR_materials_emissive_strength
        factor = 1.0 if strength is None else strength.emissiveStrength
        red, green, blue = (float(max(c, 0.0)) * factor for c in given.emissiveFactor)
        glow, color = given.emissiveTexture, base.baseColorTexture
        if max(red, green, blue) < _DIM:
            return None, (0.0, 0.0, 0.0)
        if glow is not None and color is not None and self.image(glow, name) is self.image(color, name):
            self._note(f"'{name}' gives off the light of its colour, which is a way to draw it unlit: drawn lit")
            return None, (0.0, 0.0, 0.0)
        return glow, (red, green, blue)

    def _glazed(self, surface: GltfSurface, given: GltfMaterial) -> GltfSurface:
        """Return a surface as glass where its material is."""
        more = given.extensions
        through, volume = more.KHR_materials_transmission, more.KHR_materials_volume
        share = 0.0
        if through is not None:
            share = self._share(through.transmissionFactor, through.transmissionTexture, surface.name)
        color = np.asarray(surface.tint)
        if surface.texture is not None:
            image = self.image(surface.texture, surface.name)
            color = color * linear(image[..., :3] / 255).reshape(-1, 3).mean(0)
        if share >= 0.5:
            index = _GLASS if more.KHR_materials_ior is None else max(more.KHR_materials_ior.ior, 1.01)
            solid = volume is not None and volume.thicknessFactor > 0
            attenuation = None
            if volume is not None and solid and volume.attenuationDistance is not None:
                attenuation = (volume.attenuationColor, volume.attenuationDistance)
            glass = index if solid else -index
        else:
            opacity = self._opacity(surface) if given.alphaMode == "BLEND" else 1.0
            if not _CLEAR <= opacity < _OPAQUE:
                return surface
            # What a thin coloured film lets through.
            color, glass, attenuation = 1 - opacity * (1 - color), -_GLASS, None
            self._note(f"'{surface.name}' is see-through (its alpha is {opacity:.2g}) and is drawn as thin glass")
        if surface.texture is not None:
            self._note(f"'{surface.name}' is glass and has a texture: drawn in its mean colour")
        red, green, blue = (float(np.clip(c, 0, 1)) for c in color)
        roughness = min(surface.roughness, 0.05) if through is None else surface.roughness
        return replace(
            surface, tint=(red, green, blue), roughness=roughness, glass=glass, attenuation=attenuation, texture=None,
            gloss=None, glow=None, light=(0.0, 0.0, 0.0), metallic=0.0, alpha=1.0, limit=0.0, keeps=True,
        )  # fmt: skip

    def _opacity(self, surface: GltfSurface) -> float:
        """Return the opacity of what is so all over; 1 of a texture with opaque parts or holes."""
        if surface.texture is None:
            return surface.alpha
        alpha = self.image(surface.texture, surface.name)[..., 3] / 255 * surface.alpha
        between = float(((alpha > _CLEAR) & (alpha < _OPAQUE)).mean())
        return float(alpha.mean()) if between > 0.8 else 1.0

    def _translucent(self, surface: GltfSurface) -> bool:
        """Return whether more than a hundredth of a surface is neither clear nor opaque."""
        if surface.texture is None:
            return 0 < surface.alpha < 1
        alpha = self.image(surface.texture, surface.name)[..., 3]
        return 0 < surface.alpha < 1 or float((alpha > 25).mean() - (alpha > 230).mean()) > 0.01

    def _share(self, factor: float, info: TextureInfo | None, name: str) -> float:
        """Return a factor times the mean of its texture's red, 0 to 1."""
        mean = 1.0 if info is None else float(self.image(info, name)[..., 0].mean() / 255)
        return float(np.clip(factor, 0, 1)) * mean

    # -- pieces -------------------------------------------------------------------------------------------------------

    def pieces(
        self, piece: Submesh, surface: GltfSurface, uv: Mapping[str, NDArray[np.float32]]
    ) -> list[tuple[Submesh, GltfSurface]]:
        """Return a piece with its material: several where a texture says that some faces are metal, or give off light.

        Args:
            piece: with everything of its mesh.
            surface: what it is made of.
            uv: coordinates (V, 2) of the textures of `GltfSurface.textures`, v upwards.
        """
        piece = replace(
            piece,
            image=None if surface.texture is None else self.image(surface.texture, surface.name),
            tint=surface.tint,
            roughness=surface.roughness,
            metallic=float(surface.metallic > _METAL),
            glass=surface.glass,
            coat=surface.coat,
            keeps=surface.keeps,
            cut=surface.limit / surface.alpha if surface.texture is not None and surface.limit > 0 else 0.0,
        )
        parts = [piece]
        if surface.gloss is not None and "gloss" in uv:
            parts = self._glossy(piece, surface, uv["gloss"])
        if max(surface.light) > 0:
            parts = [lit for part in parts for lit in self._lit(part, surface, uv.get("glow"))]
        return [(part, surface) for part in parts]

    def _glossy(self, piece: Submesh, surface: GltfSurface, uv: NDArray[np.float32]) -> list[Submesh]:
        assert surface.gloss is not None
        image = self.image(surface.gloss, surface.name)
        rough = np.clip(image[..., 1] * surface.roughness, 13, 255).astype(np.uint8)
        piece = replace(piece, roughness=float(rough.mean() / 255))
        if float(np.ptp(rough)) > 8:
            if piece.image is None:
                piece = replace(piece, image=np.full((1, 1, 4), 255, np.uint8), uv=uv)
            if piece.uv is not None and np.array_equal(piece.uv, uv):
                piece = replace(piece, rough=rough)
        metal = face_means(image[..., 2] / 255 * surface.metallic, uv, piece.faces) > _METAL
        plain, shiny = _parted(piece, metal)
        return [replace(one, metallic=float(k)) for k, one in enumerate((plain, shiny)) if one is not None]

    def _lit(self, piece: Submesh, surface: GltfSurface, uv: NDArray[np.float32] | None) -> list[Submesh]:
        light = np.asarray(surface.light)
        strength = float(min(light.max(), _BRIGHTEST))
        red, green, blue = (float(c) for c in light / light.max())
        if surface.glow is None or uv is None:
            if surface.glow is not None:
                return [piece]
            lamp = replace(piece, emission=strength, metallic=0.0, rough=None)
            return [lamp if piece.image is not None else replace(lamp, tint=(red, green, blue), colors=None)]
        image = self.image(surface.glow, surface.name)
        seen = (linear(image[..., :3] / 255) * light).max(-1)
        dark, bright = _parted(piece, face_means(seen, uv, piece.faces) > _DIM)
        out = [] if dark is None else [dark]
        if bright is not None:
            out.append(
                replace(
                    bright,
                    emission=strength,
                    metallic=0.0,
                    rough=None,
                    uv=uv,
                    image=image,
                    tint=(red, green, blue),
                    colors=None,
                    cut=0.0,
                )
            )
        return out


def absorbed(pieces: list[tuple[Submesh, GltfSurface]]) -> list[Submesh]:
    """Return the pieces of a file, with the colour that its solid glass has when it is scaled to the size of a display.

    A file says at what distance of its own units light has a colour; `Submesh` at a tenth of a metre.
    """
    solid = [surface.attenuation is not None for _, surface in pieces]
    if not any(solid):
        return [piece for piece, _ in pieces]
    every = np.concatenate([piece.vertices[np.unique(piece.faces)] for piece, _ in pieces])
    scale = DISPLAY_SIZE / max(float(np.ptp(every, axis=0).max()), 1e-9)
    out = []
    for piece, surface in pieces:
        if surface.attenuation is not None:
            color, distance = surface.attenuation
            kept = np.clip(color, 1e-4, 1) ** (_REACH / max(distance * scale, 1e-6))
            red, green, blue = (float(c) for c in np.clip(kept * np.asarray(piece.tint), 0, 1))
            piece = replace(piece, tint=(red, green, blue))
        out.append(piece)
    return out


def face_means(image: NDArray[np.float64], uv: NDArray[np.float32], faces: NDArray[np.uint32]) -> NDArray[np.float64]:
    """Return the mean of a repeating texture (H, W) over each face (F,), from its middle and three places around it."""
    height, width = image.shape
    corners = np.nan_to_num(uv[faces].astype(float))
    middle = corners.mean(1)
    total = np.zeros(len(faces))
    for place in (middle, *(0.4 * middle + 0.6 * corners[:, k] for k in range(3))):
        column = np.floor((place[:, 0] % 1) * width).astype(np.int64) % width
        row = np.floor(((1 - place[:, 1]) % 1) * height).astype(np.int64) % height
        total += image[row, column]
    return total / 4


def _parted(piece: Submesh, chosen: NDArray[np.bool_]) -> tuple[Submesh | None, Submesh | None]:
    """Return the piece without the chosen faces, and of them alone; None where there are too few to count."""
    share = float(chosen.mean()) if len(chosen) else 0.0
    if share <= _FEW:
        return piece, None
    if share >= 1 - _FEW:
        return None, piece
    return replace(piece, faces=piece.faces[~chosen]), replace(piece, faces=piece.faces[chosen])


def _base(given: GltfMaterial) -> tuple[Metallic, list[str]]:
    """Return a material's colour and roughness, and what of it is not read."""
    base, shiny = given.pbrMetallicRoughness, given.extensions.KHR_materials_pbrSpecularGlossiness
    unread = [k for k in ("normalTexture", "occlusionTexture") if getattr(given, k) is not None]
    colored = base is not None and base.model_fields_set & {"baseColorFactor", "baseColorTexture"}
    if shiny is not None and not colored:
        # The same surface without metal: what it scatters is its colour.
        base = Metallic(
            baseColorFactor=shiny.diffuseFactor,
            baseColorTexture=shiny.diffuseTexture,
            metallicFactor=0.0,
            roughnessFactor=1 - shiny.glossinessFactor,
        )
        if max(shiny.specularFactor) > 0.2 or shiny.specularGlossinessTexture is not None:
            unread.append("its specular colour")
    return base or Metallic(), unread
