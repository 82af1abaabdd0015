"""Objaverse 1.0: 798,759 models of Sketchfab under Creative Commons licences, as files of a repository of the Hub.

The repository ``allenai/objaverse`` holds ``object-paths.json.gz`` (where the GLB file of each uid lies),
``metadata/000-000.json.gz`` to ``000-159`` (what Sketchfab said of the objects of each folder, licence and author among
it) and ``lvis-annotations.json.gz`` (the uids of each LVIS category). The files are fetched by `huggingface_hub`.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from torchmultiverse.assets.hub import HubDataset
from torchmultiverse.assets.licences import spdx
from torchmultiverse.errors import AssetError, shortened

REPOSITORY = "allenai/objaverse"
UID = r"^[0-9a-f]{32}$"
_PATH = re.compile(r"glbs/[0-9]{3}-[0-9]{3}/[0-9a-f]{32}\.glb")


class _Record(BaseModel):
    """Only what is read of a record has a field."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class _User(_Record):
    displayName: str = ""
    username: str = ""


class _Archive(_Record):
    size: int | None = None
    faceCount: int | None = None


class _Archives(_Record):
    glb: _Archive | None = None


class SketchfabModel(_Record):
    """What Sketchfab says of a model, in its own words: its interface does, and Objaverse keeps it."""

    uid: Annotated[str, Field(pattern=UID)]
    name: str = ""
    license: Any = None
    user: _User = _User()
    faceCount: int | None = None
    archives: _Archives | None = None
    isDownloadable: bool = True

    @property
    def spdx(self) -> str:
        """The licence; empty where it allows no use, or is not said."""
        said = self.license.get("slug") if isinstance(self.license, dict) else self.license
        return spdx(said) if isinstance(said, str) else ""

    @property
    def author(self) -> str:
        """Whom to name."""
        return self.user.displayName or self.user.username

    @property
    def page(self) -> str:
        """Where it is shown."""
        return f"https://sketchfab.com/3d-models/{self.uid}"

    @property
    def size(self) -> int | None:
        """Bytes of its GLB file, where that is said."""
        return self.archives.glb.size if self.archives and self.archives.glb else None

    @property
    def triangles(self) -> int | None:
        """How many faces it has, where that is said."""
        archived = self.archives.glb.faceCount if self.archives and self.archives.glb else None
        return archived if archived is not None else self.faceCount


@dataclass(frozen=True)
class LvisMatch:
    """A category of LVIS for one of our classes.

    Attributes:
        category: its name.
        synset: as LVIS gives it, of WordNet 3.0: ``banana.n.02``.
        wider: it holds other things too: not every airplane is an airliner.
    """

    category: str
    synset: str
    wider: bool


@cache
def lvis_matches() -> dict[str, tuple[LvisMatch, ...]]:
    """Return the categories of LVIS for each class that has some: those of its synset or below it, then wider ones."""
    table = json.loads((Path(__file__).parent / "lvis.json").read_text("utf-8"))
    return {
        name: tuple(
            LvisMatch(category, synset, kind == "wider")
            for kind in ("same", "wider")
            for category, synset in row.get(kind, {}).items()
        )
        for name, row in table.items()
    }


class Objaverse:
    """The repository.

    Raises:
        MissingExtra: huggingface_hub is not installed.
    """

    def __init__(self) -> None:
        self._hub = HubDataset(REPOSITORY)
        self._paths: dict[str, str] | None = None

    def has(self, uid: str) -> bool:
        """Return whether there is an object of that uid."""
        return uid in self._known()

    def records(self, uids: Iterable[str]) -> Iterator[SketchfabModel]:
        """Yield what is known of objects, in the order of the folders that they lie in; those that it has not, not.

        Raises:
            AssetError: the repository's own files are not as they should be.
            ServiceError: the Hub cannot be used now.
        """
        by_folder: dict[str, list[str]] = {}
        for uid in uids:
            if self.has(uid):
                by_folder.setdefault(self._folder(uid), []).append(uid)
        for folder, wanted in sorted(by_folder.items()):
            told = self._hub.record(f"metadata/{folder}.json.gz")
            for uid in wanted:
                with contextlib.suppress(KeyError, TypeError, ValidationError):  # of which no licence is known
                    yield SketchfabModel.model_validate({**told[uid], "uid": uid})

    def glb(self, uid: str, limit: int) -> Path:
        """Return the place of an object's GLB file.

        Args:
            uid: of an object that it `has`.
            limit: the most bytes that the file may have.

        Raises:
            AssetError: it is not there, too large, or broken.
            ServiceError: the Hub cannot be used now.
        """
        path = self._known()[uid]
        if not _PATH.fullmatch(path) or PurePosixPath(path).stem != uid:
            raise AssetError(f"{REPOSITORY}: {shortened(path)} is no place of an object")
        return self._hub.file(path, limit)

    def categories(self) -> dict[str, list[str]]:
        """Return the uids of each category of LVIS.

        Raises:
            AssetError: the repository's own file is not as it should be.
            ServiceError: the Hub cannot be used now.
        """
        told = self._hub.record("lvis-annotations.json.gz")
        if not isinstance(told, dict) or not all(isinstance(uids, list) for uids in told.values()):
            raise AssetError(f"{REPOSITORY}: lvis-annotations.json.gz holds no lists of uids by category")
        return {str(name): [uid for uid in uids if isinstance(uid, str)] for name, uids in told.items()}

    def _known(self) -> dict[str, str]:
        if self._paths is None:
            told = self._hub.record("object-paths.json.gz")
            if not isinstance(told, dict) or not all(isinstance(path, str) for path in told.values()):
                raise AssetError(f"{REPOSITORY}: object-paths.json.gz holds no paths by uid")
            self._paths = told
        return self._paths

    def _folder(self, uid: str) -> str:
        return PurePosixPath(self._known()[uid]).parent.name


def candidates(
    categories: dict[str, list[str]], classes: Sequence[str], wider: bool
) -> dict[str, list[tuple[str, LvisMatch]]]:
    """Return the uids of each class, with the category that each is of; none twice.

    Args:
        categories: see `Objaverse.categories`.
        classes: names of ours.
        wider: whether to take categories that hold other things too.
    """
    taken: set[str] = set()
    found: dict[str, list[tuple[str, LvisMatch]]] = {}
    for name in classes:
        for match in lvis_matches().get(name, ()):
            if match.wider and not wider:
                continue
            for uid in categories.get(match.category, ()):
                if re.fullmatch(UID, uid) and uid not in taken:
                    taken.add(uid)
                    found.setdefault(name, []).append((uid, match))
    return found
