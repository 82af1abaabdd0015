"""The animals of 0 A.D. (Wildfire Games, CC-BY-SA 3.0) as a pack, made from the data that distributions carry.

Nothing of it comes with this package: it is read from the game's own archive on this machine.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from torchmultiverse.assets import model as models
from torchmultiverse.assets.archives import Archive, FolderArchive, ZipArchive
from torchmultiverse.assets.debian import download, package_files
from torchmultiverse.assets.folder import character_item, name_in_words
from torchmultiverse.assets.library import Item, Pack, install
from torchmultiverse.assets.model import Axis, MeshModel, Pose, Submesh
from torchmultiverse.assets.pmd import read_pmd, turned
from torchmultiverse.assets.request import BuildRequest
from torchmultiverse.assets.textures import decode
from torchmultiverse.errors import AssetError

NAME = "0ad"
LICENSE = "CC-BY-SA-3.0"
ATTRIBUTION = "0 A.D. by Wildfire Games and contributors"
PLACES = ("/usr/share/games/0ad", "/usr/local/share/games/0ad", "/usr/share/0ad/data")
_ARCHIVE = "mods/public/public.zip"
_MAX_BYTES = 64 * 2**20
_PROP_DEPTH = 2
_MIRROR = np.array([-1.0, 1.0, 1.0])
"""The game's coordinates are left-handed."""


class ZeroadAnimal(BaseModel):
    """What of the game makes an asset; a line of ``zeroad.json``.

    ``mesh`` and ``texture`` choose among an actor's variants by a part of the file's name; without them the first is
    taken. The game's animals face ``forward`` with ``up`` upwards. ``bank`` tilts its upper side towards the camera at
    yaw 0, in degrees: a bird with spread wings is a line from the side.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    actor: str
    mesh: str = ""
    texture: str = ""
    up: Axis = "y"
    forward: Axis = "-z"
    size: float = models.DISPLAY_SIZE
    hover: float = 0.0
    bank: float = 0.0
    cut: float | None = None


def build(request: BuildRequest) -> tuple[Pack, list[str]]:
    """Make the pack ``0ad``; return it, and one line for each animal that this source does not have.

    Args:
        request: its source is the Debian package, ``public.zip``, or a folder that holds either or is unpacked; by
            default where the game is usually installed. ``fetch`` downloads the Debian package with ``apt-get`` into a
            temporary folder if there is no source.

    Raises:
        AssetError: no source (then it says how to get one), or nothing in it is the game's.
    """
    missing: list[str] = []
    source = request.source
    with ExitStack() as stack:
        if source is None:
            source = next((Path(p) for p in PLACES if (Path(p) / _ARCHIVE).is_file()), None)
        if source is None:
            if not request.fetch:
                raise AssetError(
                    f"the data of 0 A.D. is not in {PLACES[0]}; install the package 0ad-data, or run "
                    "'apt-get download 0ad-data' (1.4 GB) and give the file with --source, or use --fetch"
                )
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="0ad-")))
            source = download("0ad-data", folder, "get the data of 0 A.D. in another way and give --source")
        archive = stack.enter_context(open_archive(source))
        pack = install(NAME, _assets(archive, missing, str(source)), request.out)
    return pack, missing


def animals() -> dict[str, ZeroadAnimal]:
    """Return what is made of the game, by name."""
    table = json.loads((Path(__file__).parent / "zeroad.json").read_text("utf-8"))
    return {name: ZeroadAnimal.model_validate(row) for name, row in table.items()}


def _assets(archive: Archive, missing: list[str], source: str) -> Iterator[tuple[Item, bytes]]:
    found = 0
    for name, animal in sorted(animals().items()):
        what = f"{name} ({animal.actor})"
        model = actor_model(archive, animal, what)
        if model is None:
            missing.append(f"{what}: the source has no such actor, or not its mesh")
            continue
        pose = Pose(animal.up, animal.forward, lean=animal.bank, size=animal.size)
        facts = {
            "name": name,
            "display_name": name_in_words(name),
            "license": LICENSE,
            "attribution": ATTRIBUTION,
            "source": f"https://play0ad.com, art/actors/{animal.actor}.xml",
            "hover": animal.hover,
        }
        found += 1
        yield character_item(model, pose, facts, [], what)
    if found == 0:
        raise AssetError(f"{source} holds none of the animals of 0 A.D.")


@dataclass
class _ActorFiles:
    """What an actor's variants add up to."""

    mesh: str = ""
    texture: str = ""
    props: dict[str, str] = field(default_factory=dict)


def actor_model(archive: Archive, animal: ZeroadAnimal, what: str, depth: int = 0) -> MeshModel | None:
    """Return the mesh of an actor with its texture and what is fixed to it, right-handed; None where it is not there.

    Raises:
        AssetError: a file of it is broken.
    """
    data = archive.read(f"art/actors/{animal.actor}.xml")
    if data is None:
        return None
    root = _xml(data, what)
    choice = _chosen(archive, root, animal, what)
    mesh = _first(archive, f"art/meshes/{choice.mesh}", (".cached.pmd", "")) if choice.mesh else None
    if mesh is None:
        return None
    pmd = read_pmd(mesh, f"{what}: {choice.mesh}")
    texture = _first(archive, f"art/textures/skins/{choice.texture}", (".cached.dds", "")) if choice.texture else None
    if texture is None:
        raise AssetError(f"{what}: its texture '{choice.texture}' is missing")
    material = root.findtext("material") or "default.xml"
    cut = animal.cut
    if cut is None:
        # What the game's materials do with a texture's alpha: some cut, others mix in the player's colour, or gloss.
        cut = 0.5 if material.startswith("basic_trans") else 0.0
    own = Submesh(
        pmd.vertices * _MIRROR.astype(np.float32),
        pmd.normals * _MIRROR.astype(np.float32),
        pmd.faces,
        uv=pmd.uv,
        image=decode(texture, f"{what}: {choice.texture}"),
        cut=cut,
    )
    pieces = [own]
    for place, actor in choice.props.items():
        point = pmd.props.get(f"prop-{place}") or pmd.props.get(place)
        if point is None or depth >= _PROP_DEPTH:
            continue
        part = actor_model(archive, ZeroadAnimal(actor=actor), f"{what}: {actor}", depth + 1)
        if part is None:
            continue
        # A turn seen in a mirror across x turns the other way about y and z.
        turn = point.rotation * np.array([1, 1, -1, -1])
        pieces += [_turned(piece, turn, point.position * _MIRROR) for piece in part.pieces]
    return MeshModel(tuple(pieces))


def _turned(piece: Submesh, turn: NDArray[np.float64], offset: NDArray[np.float64] | None = None) -> Submesh:
    """Return a piece turned by a quaternion (w, x, y, z), then moved."""
    vertices = turned(piece.vertices.astype(float), turn) + (0 if offset is None else offset)
    normals = turned(piece.normals.astype(float), turn)
    return replace(piece, vertices=vertices.astype(np.float32), normals=normals.astype(np.float32))


def _chosen(archive: Archive, root: ElementTree.Element, animal: ZeroadAnimal, what: str) -> _ActorFiles:
    """Return what one variant of each group gives; what comes later wins, as in the game."""
    choice = _ActorFiles()
    for group in root.findall("group"):
        variants = [_inherited(archive, variant, what) for variant in group.findall("variant")]
        wanted = [v for v in variants if _wants(v, animal)]
        usual = [v for v in variants if v.get("frequency") != "0"]
        plain = [v for v in usual if v.get("name", "").lower() not in ("run", "death", "dead")]
        for variant in (wanted or plain)[:1]:
            choice.mesh = (variant.findtext("mesh") or "").strip() or choice.mesh
            for texture in variant.findall("textures/texture"):
                if texture.get("name") == "baseTex":
                    choice.texture = texture.get("file", "")
            for prop in variant.findall("props/prop"):
                place, actor = prop.get("attachpoint", ""), prop.get("actor", "")
                # Around the root move particles and companions, which are no part of a body.
                if place and place != "root":
                    choice.props[place] = actor.removesuffix(".xml")
    return choice


def _inherited(archive: Archive, variant: ElementTree.Element, what: str) -> ElementTree.Element:
    """Return a variant with what the file that it names says, its own coming last."""
    name = variant.get("file")
    data = archive.read(f"art/variants/{name}") if name else None
    if data is None:
        return variant
    base = _xml(data, f"{what}: {name}")
    merged = ElementTree.Element("variant", {**base.attrib, **variant.attrib})
    merged.extend([*variant.findall("mesh"), *base.findall("mesh")])
    for tag in ("textures", "props"):
        merged.extend([*base.findall(tag), *variant.findall(tag)])
    return merged


def _wants(variant: ElementTree.Element, animal: ZeroadAnimal) -> bool:
    mesh = (variant.findtext("mesh") or "").strip()
    textures = [t.get("file", "") for t in variant.findall("textures/texture") if t.get("name") == "baseTex"]
    return bool(
        (animal.mesh and animal.mesh in mesh) or (animal.texture and any(animal.texture in name for name in textures))
    )


def _first(archive: Archive, name: str, endings: tuple[str, ...]) -> bytes | None:
    return next((data for ending in endings if (data := archive.read(name + ending)) is not None), None)


def _xml(data: bytes, what: str) -> ElementTree.Element:
    if b"<!" in data.replace(b"<!--", b""):
        raise AssetError(f"{what}: its XML declares a document type, which no actor does")
    try:
        return ElementTree.fromstring(data)
    except ElementTree.ParseError as error:
        raise AssetError(f"{what}: {error}") from None


# -- where the data is ------------------------------------------------------------------------------------------------


@contextmanager
def open_archive(source: Path) -> Iterator[Archive]:
    """Open the game's data: a ``.deb``, ``public.zip``, or a folder that holds either or is unpacked.

    Raises:
        AssetError: it is none of these.
    """
    if source.is_dir():
        packages = sorted(source.glob("0ad-data_*.deb"))
        for place in (source / _ARCHIVE, source / "public.zip", source / "usr/share/games/0ad" / _ARCHIVE, *packages):
            if place.is_file():
                with open_archive(place) as archive:
                    yield archive
                return
        for place in (source, source / "mods/public"):
            if (place / "art/actors").is_dir():
                yield FolderArchive(place, _MAX_BYTES)
                return
        raise AssetError(f"{source} holds no {_ARCHIVE}, no 0ad-data_….deb and no art/actors")
    if not source.is_file():
        raise AssetError(f"there is no {source}")
    with ExitStack() as stack:
        if source.suffix == ".deb":
            file: IO[bytes] | Path | None = next((data for _, data in package_files(source, [_ARCHIVE], stack)), None)
            if file is None:
                raise AssetError(f"{source} holds no {_ARCHIVE}: it is not 0ad-data")
        else:
            file = source
        archive = ZipArchive(file, str(source), _MAX_BYTES)
        stack.callback(archive.close)
        yield archive
