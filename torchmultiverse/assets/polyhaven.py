"""The pack ``polyhaven``: environment maps, models and textures of Poly Haven (CC0), over its public interface.

``GET /assets?type=hdris`` (``models``, ``textures``) lists what there is, by slug; ``GET /files/SLUG`` says where each
file of an asset lies, with its size and MD5: ``hdri → RESOLUTION → hdr`` of an environment map, ``gltf → RESOLUTION →
gltf`` of a model, whose ``include`` names the files beside it, ``Diffuse → RESOLUTION → jpg`` and the same of ``Rough``
for a texture. Its terms ask programs to say who they are and to credit it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from torchmultiverse.assets.environment import pack_map
from torchmultiverse.assets.fetched import fetched_character
from torchmultiverse.assets.files import MAX_FILE_BYTES, MAX_TEXTURE_BYTES, read_bounded, shown
from torchmultiverse.assets.library import Item, Pack, install
from torchmultiverse.assets.licences import check_licences
from torchmultiverse.assets.maps import read_map
from torchmultiverse.assets.request import BuildRequest
from torchmultiverse.assets.texture_maps import KEPT_SIDE, TextureMap, pack_texture
from torchmultiverse.assets.textures import decode
from torchmultiverse.errors import AssetError, nearest
from torchmultiverse.files import FolderLock
from torchmultiverse.paths import component
from torchmultiverse.progress import progress_bar
from torchmultiverse.resources import cache_folder
from torchmultiverse.scenes import class_table
from torchmultiverse.web import ServiceError, WebClient, WebFile

NAME = "polyhaven"
ADDRESS = "https://api.polyhaven.com"
LICENCE = "CC0-1.0"
POLYHAVEN_CREDIT = "Powered by Poly Haven (https://polyhaven.com)"
KINDS = ("hdris", "models", "textures")
OF_EACH_KIND = 20
"""Assets, where no other number is asked for: the most downloaded ones."""
RESOLUTIONS = {"hdris": "2k", "models": "1k", "textures": "1k"}
"""What is taken where nothing else is asked for, or else the next that there is."""
_SLUG = re.compile(r"[A-Za-z0-9_-]{1,50}")
_MAX_PARTS = 64
_COLORS = ("Diffuse", "diff_png", "col_1", "col_01", "coll1")
"""What older and newer textures call their map of colours."""
_ROUGH = "Rough"
_ROUGHNESS = 0.8
"""Where a texture has no map of it."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class HavenFile(_Record):
    """A file of an asset, with those that belong to it by their paths."""

    url: str
    size: Annotated[int, Field(ge=0)]
    md5: str = ""
    include: dict[str, HavenFile] = {}


class HavenAsset(_Record):
    """What the list says of an asset."""

    name: str
    authors: dict[str, Any] = {}
    download_count: int = 0


_LIST = TypeAdapter(dict[str, HavenAsset])
_SIZES = TypeAdapter(dict[str, dict[str, HavenFile]])


def build(request: BuildRequest) -> tuple[Pack, list[str]]:
    """Make the pack; return it, and a line for each asset that was left out.

    Raises:
        AssetError: nothing of what is asked for can be had, or what is asked for cannot be meant.
        ServiceError: Poly Haven cannot be used now.
    """
    check_licences(request.licenses)
    if request.licenses and LICENCE not in request.licenses:
        raise AssetError(f"everything of Poly Haven is under {LICENCE}, which is not among {list(request.licenses)}")
    for kind in request.kinds:
        if kind not in KINDS:
            raise AssetError(f"Poly Haven has no kind '{kind}'.{nearest(kind, KINDS)}")
    job = _Build(request)
    lock = FolderLock(job.folder)
    try:
        pack = install(NAME, job.items(request.kinds or KINDS), request.out)
    finally:
        lock.release()
    return pack, job.left_out


@dataclass
class _Build:
    request: BuildRequest
    left_out: list[str] = field(default_factory=list)
    folder: Path = field(default_factory=lambda: cache_folder("assets", "polyhaven"))
    client: WebClient = field(default_factory=lambda: WebClient("Poly Haven"))

    def items(self, kinds: tuple[str, ...]) -> Iterator[tuple[Item, bytes]]:
        """Yield the assets, kind by kind, the most downloaded first."""
        chosen = [(kind, slug, asset) for kind in kinds for slug, asset in self._chosen(kind)]
        missing = set(self.request.names) - {slug for _, slug, _ in chosen}
        self.left_out += [f"{slug}: Poly Haven has no such {' or '.join(kinds)}" for slug in sorted(missing)]
        names: set[tuple[str, str]] = set()
        count = 0
        with progress_bar(self.request.quiet) as bar:
            task = bar.add_task(f"fetching {len(chosen)} assets", total=len(chosen), unit="assets")
            for kind, slug, asset in chosen:
                try:
                    item, data = self._item(kind, slug, asset, names)
                except ServiceError:
                    raise
                except AssetError as error:
                    self.left_out.append(f"{slug}: {str(error).removeprefix(f'{slug}: ')}")
                else:
                    names.add((item.kind, item.name))
                    count += 1
                    yield item, data
                bar.advance(task)
        if not count:
            raise AssetError(f"nothing of Poly Haven could be used: {'; '.join(self.left_out[:3]) or 'it lists none'}")

    def _chosen(self, kind: str) -> list[tuple[str, HavenAsset]]:
        told = self.client.record(f"{ADDRESS}/assets?type={kind}", f"Poly Haven's list of {kind}")
        try:
            listed = _LIST.validate_python(told)
        except ValidationError as error:
            raise AssetError(f"Poly Haven's list of {kind} is not as it should be: {_first(error)}") from None
        wanted = {
            slug: asset
            for slug, asset in listed.items()
            if _SLUG.fullmatch(slug) and (not self.request.names or slug in self.request.names)
        }
        ranked = sorted(wanted.items(), key=lambda pair: (-pair[1].download_count, pair[0]))
        return ranked[: self.request.limit or (None if self.request.names else OF_EACH_KIND)]

    def _item(self, kind: str, slug: str, asset: HavenAsset, names: set[tuple[str, str]]) -> tuple[Item, bytes]:
        if kind == "hdris":
            return self._environment(slug, asset)
        return self._model(slug, asset, names) if kind == "models" else self._texture(slug, asset)

    def _environment(self, slug: str, asset: HavenAsset) -> tuple[Item, bytes]:
        offer, resolution = self._offer(self._files(slug), "hdri", ("hdr",), "hdris")
        path = self.folder / component(slug) / f"{component(resolution)}.hdr"
        self._fetch(offer, path, slug)
        radiance, notes = read_map(path, slug)
        facts = self._facts(_camel(slug), slug, asset)
        return Item(**facts, kind="environment", notes=notes), pack_map(radiance)

    def _model(self, slug: str, asset: HavenAsset, names: set[tuple[str, str]]) -> tuple[Item, bytes]:
        offer, resolution = self._offer(self._files(slug), "gltf", ("gltf",), "models")
        if len(offer.include) > _MAX_PARTS:
            raise AssetError(f"it has {len(offer.include)} files, at most {_MAX_PARTS} are fetched")
        folder = self.folder / component(slug) / component(resolution)
        for name, part in offer.include.items():
            self._fetch(part, folder.joinpath(*_parts(name)), slug, MAX_TEXTURE_BYTES)
        path = folder / "model.gltf"
        self._fetch(offer, path, slug)
        of = class_of_words(asset.name)
        facts = self._facts(_free(of, names) if of else _camel(slug), slug, asset)
        return fetched_character(path, facts | {"class_name": of}, self.request.max_triangles)

    def _texture(self, slug: str, asset: HavenAsset) -> tuple[Item, bytes]:
        from torchmultiverse.engines.builtin import TEXTURES

        if (name := _camel(slug)) in TEXTURES:
            raise AssetError(f"a texture that comes with the package is called '{name}'")
        files = self._files(slug)
        group = next((one for one in _COLORS if one in files), "")
        if not group:
            raise AssetError("it has no map of its colours")
        color = self._picture(slug, files, group)
        rough = self._picture(slug, files, _ROUGH) if _ROUGH in files else None
        roughness = _ROUGHNESS if rough is None else float(rough[..., 0].mean() / 255)
        texture = TextureMap(np.ascontiguousarray(color[..., :3]), roughness)
        return Item(**self._facts(name, slug, asset), kind="texture"), pack_texture(texture)

    def _picture(self, slug: str, files: dict[str, Any], group: str) -> NDArray[np.uint8]:
        offer, resolution = self._offer(files, group, ("jpg", "png"), "textures")
        path = self.folder / component(slug) / component(f"{group}_{resolution}{Path(urlsplit(offer.url).path).suffix}")
        self._fetch(offer, path, slug, MAX_TEXTURE_BYTES)
        image = Image.fromarray(decode(read_bounded(path, MAX_TEXTURE_BYTES, slug), f"{slug}: {group}"))
        image.thumbnail((KEPT_SIDE, KEPT_SIDE))
        return np.asarray(image, np.uint8)

    def _files(self, slug: str) -> dict[str, Any]:
        told = self.client.record(f"{ADDRESS}/files/{slug}", f"Poly Haven's files of {slug}")
        if not isinstance(told, dict):
            raise AssetError("its list of files is not as it should be")
        return told

    def _offer(self, told: dict[str, Any], group: str, forms: Sequence[str], kind: str) -> tuple[HavenFile, str]:
        """Return an asset's file of the resolution that is wanted, or else of the next larger, or of the largest."""
        wanted = self.request.resolution or RESOLUTIONS[kind]
        try:
            sizes = _SIZES.validate_python(told.get(group))
        except ValidationError as error:
            raise AssetError(f"its list of files is not as it should be: {group}: {_first(error)}") from None
        there = {name: files[form] for name, files in sizes.items() for form in reversed(forms) if form in files}
        if not there:
            raise AssetError(f"it is offered in no resolution as {' or '.join(forms)}")
        ranked = sorted(there, key=_pixels)
        found = next((name for name in ranked if _pixels(name) >= _pixels(wanted)), ranked[-1])
        return there[found], found

    def _fetch(self, offer: HavenFile, path: Path, slug: str, most: int = MAX_FILE_BYTES) -> None:
        wanted = WebFile(offer.url, offer.size, offer.md5, min(most, self.request.max_bytes))
        self.client.file(wanted, path, slug)

    def _facts(self, name: str, slug: str, asset: HavenAsset) -> dict[str, Any]:
        return {
            "name": name,
            "display_name": asset.name,
            "license": LICENCE,
            "attribution": ", ".join(asset.authors),
            "source": f"https://polyhaven.com/a/{slug}",
        }


def class_of_words(called: str) -> str:
    """Return the class of objects by whose words the name of a model ends, numbers aside; else "".

    >>> class_of_words("Wooden Barrel 01"), class_of_words("RockingChair_02"), class_of_words("Desk Lamp")
    ('Barrel', 'Rocking_Chair', '')
    """
    words = _words(re.sub(r"[\s_]*\d+$", "", called))
    known = {tuple(_words(word)): one.name for one in class_table() if one.kind == "object" for word in (
        one.display, one.name,
    )}  # fmt: skip
    return next((known[end] for k in range(len(words)) if (end := tuple(words[k:])) in known), "")


def _words(name: str) -> list[str]:
    return re.sub(r"(?<=[a-z])(?=[A-Z])|[_-]+", " ", name).casefold().split()


def _free(of: str, names: set[tuple[str, str]]) -> str:
    k = 1
    while ("character", f"{of}_{k}") in names:
        k += 1
    return f"{of}_{k}"


def _camel(slug: str) -> str:
    """Return a slug as a name of an asset: ``abandoned_hall_01`` is AbandonedHall01."""
    name = "".join(word[:1].upper() + word[1:] for word in re.split(r"[_-]+", slug))
    return name if name[:1].isalpha() else f"Haven{name}"


def _parts(name: str) -> list[str]:
    """Return the parts of a path inside a folder that a service names.

    Raises:
        AssetError: it leads out of it.
    """
    parts = name.split("/")
    if any(component(part) != part for part in parts):
        raise AssetError(f"'{shown(name)}' is no path of a file beside a model")
    return parts


def _pixels(resolution: str) -> int:
    return int(resolution[:-1]) if re.fullmatch(r"[0-9]{1,3}k", resolution) else 0


def _first(error: ValidationError) -> str:
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc']))[:80]}: {first['msg']}"
