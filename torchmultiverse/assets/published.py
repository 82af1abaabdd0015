"""The pack ``published``: the very assets of PUG: ImageNet and AR4T, by their uids of Sketchfab.

They are fetched from Objaverse, which has many of them under the same uid, and from Sketchfab itself with a token of
the user's. Of what cannot be had the pack says why, and the procedural object of the same name stands for it wherever a
spec draws from ``published`` and then from ``procedural``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from torchmultiverse.assets.fetched import check_classes, fetched_character
from torchmultiverse.assets.files import MAX_MANIFEST_BYTES, read_bounded
from torchmultiverse.assets.folder import name_in_words
from torchmultiverse.assets.library import Item, Pack, install
from torchmultiverse.assets.licences import allowed, check_licences, spdx
from torchmultiverse.assets.objaverse import Objaverse, SketchfabModel
from torchmultiverse.assets.request import BuildRequest
from torchmultiverse.assets.sketchfab import TOKEN, Sketchfab, token_of
from torchmultiverse.errors import AssetError
from torchmultiverse.files import FolderLock
from torchmultiverse.progress import progress_bar
from torchmultiverse.resources import cache_folder
from torchmultiverse.scenes import ObjectAsset, object_assets
from torchmultiverse.web import ServiceError

NAME = "published"
T = TypeVar("T")
_LINE = re.compile(r"(.*): https://sketchfab\.com/3d-models/(?:[\w-]*-)?([0-9a-f]{32}) (\S+) ?(.*)")
"""TITLE: ADDRESS LICENCE AUTHOR, where the licence is ``by``, ``by-nc`` or ``cc0``; one line has no author."""


@dataclass(frozen=True)
class Terms:
    """What must be said of an asset: whose it is, and what may be done with it."""

    title: str
    licence: str
    author: str
    triangles: int | None = None
    size: int | None = None


def read_list(path: Path) -> dict[str, Terms]:
    """Return the terms of each uid of a published list, ``list_assets_pug_imagenet.txt`` or that of AR4T.

    Raises:
        AssetError: it cannot be read, or names no assets of Sketchfab.
    """
    text = read_bounded(path, MAX_MANIFEST_BYTES, path.name).decode("utf-8", "replace")
    found = {}
    for line in text.splitlines():
        if match := _LINE.fullmatch(line.strip()):
            title, uid, licence, author = match.groups()
            found[uid] = Terms(title, spdx(licence), author)
    if not found:
        raise AssetError(
            f"{path}: no line of it names an asset as the published lists do: "
            "TITLE: https://sketchfab.com/3d-models/UID LICENCE AUTHOR"
        )
    return found


def build(request: BuildRequest) -> tuple[Pack, list[str]]:
    """Make the pack; return it, and why each asset that it has not is left to its procedural object.

    Raises:
        AssetError: nothing of what is asked for can be had, or what is asked for cannot be meant.
        MissingExtra: huggingface_hub is not installed.
    """
    check_licences(request.licenses)
    wanted = _wanted(request)
    listed = read_list(request.source) if request.source else {}
    if request.source:
        wanted = [asset for asset in wanted if asset.uid in listed]
    job = _Build(request, {uid: terms for uid, terms in listed.items() if terms.author})
    lock = FolderLock(job.folder)
    try:
        pack = install(NAME, job.items(wanted[: request.limit]), request.out, job.filled)
    finally:
        lock.release()
    lines = [f"{name}: {why}" for name, why in pack.manifest.filled.items()]
    named = {asset.uid for asset in object_assets()}
    lines += [f"{terms.title} ({uid}): it is none of the 724" for uid, terms in listed.items() if uid not in named]
    return pack, [*lines, *(f"{service}: {error}" for service, error in job.closed.items())]


def _wanted(request: BuildRequest) -> list[ObjectAsset]:
    classes = set(check_classes(request.classes))
    return [asset for asset in object_assets() if asset.label in classes]


@dataclass
class _Build:
    """One run: what it asks for, what it knows of each asset, and which services it still asks."""

    request: BuildRequest
    terms: dict[str, Terms]
    filled: dict[str, str] = field(default_factory=dict)
    """Why each asset that cannot be had is left to its procedural object."""
    closed: dict[str, ServiceError] = field(default_factory=dict)
    """Services that cannot be used now."""
    folder: Path = field(default_factory=lambda: cache_folder("assets", "sketchfab"))
    objaverse: Objaverse = field(default_factory=Objaverse)
    sketchfab: Sketchfab = field(default_factory=lambda: Sketchfab(token_of(os.environ)))

    def items(self, assets: Sequence[ObjectAsset]) -> Iterator[tuple[Item, bytes]]:
        """Yield what can be had; fill `filled` with the rest."""
        there, count = self._in_objaverse(assets), 0
        with progress_bar(self.request.quiet) as bar:
            task = bar.add_task(f"fetching {len(assets)} assets", total=len(assets), unit="assets")
            for asset in assets:
                try:
                    found = self._item(asset, asset.uid in there)
                except AssetError as error:
                    self.filled[asset.name] = str(error).removeprefix(f"{asset.name}: ")
                else:
                    count += 1
                    yield found
                bar.advance(task)
        if not count and self.closed:
            raise next(iter(self.closed.values()))
        if not count:
            some = "; ".join(f"{name}: {why}" for name, why in list(self.filled.items())[:3])
            raise AssetError(f"none of {len(assets)} published assets can be had: {some}")

    def _in_objaverse(self, assets: Sequence[ObjectAsset]) -> set[str]:
        """Return the uids that Objaverse has, and learn the terms of those whose terms no list gave."""
        try:
            there = {asset.uid for asset in assets if asset.uid and self.objaverse.has(asset.uid)}
            for record in self.objaverse.records(sorted(there - self.terms.keys())):
                self.terms[record.uid] = _terms_of(record)
        except ServiceError as error:
            self.closed["Objaverse"] = error
            return set()
        return there

    def _item(self, asset: ObjectAsset, in_objaverse: bool) -> tuple[Item, bytes]:
        """Return an asset.

        Raises:
            AssetError: it cannot be had; says why.
        """
        if not asset.uid:
            raise AssetError("the published asset is not known")
        if not in_objaverse and not self.sketchfab.may_download:
            raise AssetError(self._not_there())
        terms = self._allowed_terms(asset.uid)
        path = self._path(asset.uid, in_objaverse)
        facts = {
            "name": asset.name,
            "class_name": asset.label,
            "display_name": terms.title or name_in_words(asset.label),
            "license": terms.licence,
            "attribution": terms.author,
            "source": f"https://sketchfab.com/3d-models/{asset.uid}",
        }
        return fetched_character(path, facts, self.request.max_triangles)

    def _allowed_terms(self, uid: str) -> Terms:
        terms = self.terms.get(uid)
        if terms is None:
            terms = self.terms[uid] = _terms_of(self._asked("Sketchfab", lambda: self.sketchfab.model(uid)))
        if not allowed(terms.licence, self.request.licenses):
            known = f"is {terms.licence}, which is not asked for" if terms.licence else "is not a free one"
            raise AssetError(f"its licence {known}")
        if terms.size is not None and terms.size > (most := self.request.max_bytes):
            raise AssetError(f"it has {terms.size / 2**20:,.0f} MiB, at most {most / 2**20:,.0f} are wanted")
        if terms.triangles is not None and terms.triangles > (most := self.request.max_triangles):
            raise AssetError(f"it has {terms.triangles:,} faces, at most {most:,} are wanted")
        return terms

    def _path(self, uid: str, in_objaverse: bool) -> Path:
        """Return the place of an asset's file, from Objaverse or else from Sketchfab."""
        most = self.request.max_bytes
        reason = self._not_there()
        if in_objaverse:
            try:
                return self._asked("Objaverse", lambda: self.objaverse.glb(uid, most))
            except AssetError as error:
                reason = str(error)
        if not self.sketchfab.may_download:
            raise AssetError(reason)
        return self._asked("Sketchfab", lambda: self.sketchfab.download(uid, self.folder, most))

    def _asked(self, service: str, action: Callable[[], T]) -> T:
        """Return what a service answers, and ask it no more once it cannot be used."""
        if service in self.closed:
            raise AssetError(f"{service} cannot be used now")
        try:
            return action()
        except ServiceError as error:
            self.closed[service] = error
            raise

    def _not_there(self) -> str:
        if "Objaverse" in self.closed:
            return "Objaverse cannot be used now"
        return f"it is not in Objaverse; a token of Sketchfab in {TOKEN} may fetch it there"


def _terms_of(record: SketchfabModel) -> Terms:
    return Terms(record.name, record.spdx, record.author, record.triangles, record.size)
