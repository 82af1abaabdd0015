"""The furniture of Sweet Home 3D as a pack: OBJ models in catalogues (``.sh3f``) that distributions carry.

Nothing of it comes with this package: it is read from the catalogues on this machine. Each catalogue has a licence, and
each of its entries a creator; both are kept with every asset.
"""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict

from torchmultiverse.assets.archives import Archive, ArchiveSiblings, ZipArchive
from torchmultiverse.assets.classes import published_classes
from torchmultiverse.assets.debian import download, package_files
from torchmultiverse.assets.folder import character_item
from torchmultiverse.assets.library import Item, Pack, install
from torchmultiverse.assets.model import MeshModel, Pose
from torchmultiverse.assets.reading import read_mesh
from torchmultiverse.assets.request import BuildRequest
from torchmultiverse.errors import AssetError

NAME = "sweethome3d"
PACKAGE = "sweethome3d-furniture"
PLACES = ("/usr/share/sweethome3d/furniture", "/usr/local/share/sweethome3d/furniture")
CATALOGUE = "PluginFurnitureCatalog.properties"
_SUFFIX = ".sh3f"
_MAX_MODEL_BYTES = 128 * 2**20
_MAX_ENTRIES = 10_000
_LICENSES = (
    (r"\bCC-?0\b|Public Domain|Zero", "CC0-1.0"),
    (r"Attribution 3\.0 United States|by/3\.0/us", "CC-BY-3.0-US"),
    (r"Attribution 3\.0", "CC-BY-3.0"),
    (r"Attribution 4\.0", "CC-BY-4.0"),
    (r"Free Art", "LAL-1.3"),
    (r"GNU General Public", "GPL-2.0-or-later"),
)
"""What catalogues call their licences, with the identifiers of SPDX."""


class ClassedEntry(BaseModel):
    """What an entry of a catalogue is, where its name does not say it; a line of ``sweethome3d.json``.

    ``class_name`` is one of the published classes or an own one; without it the entry is left out. ``yaw`` and ``lean``
    turn it as in `Pose`; without a yaw it has that of its category.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    class_name: str = ""
    yaw: float | None = None
    lean: float = 0.0


class FurnitureTable(BaseModel):
    """What ``sweethome3d.json`` holds.

    ``entries`` are by the entry's id; a string stands for a class. ``left_out`` are categories that are not taken.
    ``yaw`` turns what has a front three quarters to the camera of yaw 0, ``yaws`` other categories.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    left_out: list[str]
    yaw: float
    yaws: dict[str, float]
    entries: dict[str, ClassedEntry | str]

    def entry(self, ident: str) -> ClassedEntry | None:
        """Return what is known of an entry of a catalogue."""
        found = self.entries.get(ident)
        return ClassedEntry(class_name=found) if isinstance(found, str) else found


@dataclass(frozen=True)
class Furniture:
    """An entry of a catalogue that becomes an asset."""

    catalogue: str
    facts: Mapping[str, str]
    known: ClassedEntry
    license: str
    attribution: str
    archive: Archive = field(repr=False)


@cache
def table() -> FurnitureTable:
    """Return which entries are of which class."""
    return FurnitureTable.model_validate_json((Path(__file__).parent / "sweethome3d.json").read_bytes())


def build(request: BuildRequest) -> tuple[Pack, list[str]]:
    """Make the pack ``sweethome3d``; return it, and one line for each entry that is left out although it could be one.

    Args:
        request: its source is the Debian package, a catalogue (``.sh3f``), or a folder of catalogues; by default where
            the package installs them. ``fetch`` downloads the package with ``apt-get`` into a temporary folder if there
            is no source.

    Raises:
        AssetError: no source (then it says how to get one), or nothing in it is a catalogue.
    """
    missing: list[str] = []
    with ExitStack() as stack:
        source = request.source or next((Path(p) for p in PLACES if any(Path(p).glob(f"*{_SUFFIX}"))), None)
        if source is None:
            if not request.fetch:
                raise AssetError(
                    f"the furniture of Sweet Home 3D is not in {PLACES[0]}; install the package {PACKAGE}, or run "
                    f"'apt-get download {PACKAGE}' (120 MB) and give the file with --source, or use --fetch"
                )
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sweethome3d-")))
            source = download(PACKAGE, folder, "get the catalogues in another way and give them with --source")
        found = [one for archive, name in _catalogues(source, stack) for one in _entries(archive, name, missing)]
        found = [one for one in found if not request.classes or one.known.class_name in request.classes]
        if not found:
            raise AssetError(f"{source} holds no furniture of Sweet Home 3D" + _wanted(request.classes))
        pack = install(NAME, _assets(found, missing), request.out)
    return pack, missing


def _wanted(classes: Iterable[str]) -> str:
    return f" of the classes {', '.join(classes)}" if classes else ""


def _catalogues(source: Path, stack: ExitStack) -> Iterator[tuple[Archive, str]]:
    """Yield the catalogues of a package, a folder or a file; they stay open until the stack is closed."""
    if source.is_dir():
        files = sorted(source.rglob(f"*{_SUFFIX}"))
        if not files and (packages := sorted(source.glob(f"{PACKAGE}_*.deb"))):
            yield from _catalogues(packages[0], stack)
            return
        if not files:
            raise AssetError(f"{source} holds no *{_SUFFIX} and no {PACKAGE}_….deb")
    elif not source.is_file():
        raise AssetError(f"there is no {source}")
    elif source.suffix == ".deb":
        for name, data in package_files(source, [_SUFFIX], stack):
            yield _opened(ZipArchive(data, f"{source}: {name}", _MAX_MODEL_BYTES), stack), Path(name).stem
        return
    else:
        files = [source]
    for file in files:
        yield _opened(ZipArchive(file, str(file), _MAX_MODEL_BYTES), stack), file.stem


def _opened(archive: ZipArchive, stack: ExitStack) -> ZipArchive:
    stack.callback(archive.close)
    return archive


# -- catalogues -------------------------------------------------------------------------------------------------------


def read_properties(data: bytes) -> dict[str, str]:
    r"""Return the keys and values of a Java properties file.

    >>> read_properties(b"# furniture\nname#1=Table \\u00e0 \\\n  manger\nid#1 : a=b\n")
    {'name#1': 'Table à manger', 'id#1': 'a=b'}
    """
    found = {}
    lines = re.sub(r"\\\r?\n[ \t\f]*", "", data.decode("latin-1")).splitlines()
    for line in lines:
        match = re.match(r"\s*([^\s#!=:][^\s=:]*)\s*[=:]?\s*(.*)", line)
        if match:
            found[match[1]] = re.sub(r"\\(u[0-9a-fA-F]{4}|.)", _unescaped, match[2])
    return found


def _unescaped(match: re.Match[str]) -> str:
    code = match[1]
    return chr(int(code[1:], 16)) if len(code) == 5 else {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}.get(code, code)


def _entries(archive: Archive, catalogue: str, missing: list[str]) -> Iterator[Furniture]:
    """Yield the entries of a catalogue that become assets.

    Raises:
        AssetError: it is no catalogue, or has no licence that is known.
    """
    data = archive.read(CATALOGUE)
    if data is None:
        raise AssetError(f"{catalogue}{_SUFFIX} is no catalogue of furniture: it has no {CATALOGUE}")
    properties = read_properties(data)
    ours = _license(archive, properties, catalogue)
    for number in range(1, _MAX_ENTRIES):
        facts = {key: properties.get(f"{key}#{number}", "") for key in _KEYS}
        if not facts["id"]:
            break
        known = table().entry(facts["id"])
        if known is None:
            if facts["category"] in table().left_out:
                continue
            known = ClassedEntry(class_name=own_class(facts["name"]))
            if known.class_name in published_classes():
                missing.append(f"{facts['id']}: whether it is of the class '{known.class_name}' is not known")
                continue
        if known.class_name:
            who = facts["creator"] or properties.get("provider", "")
            who = f"{_ALSO.get(who, who)}, catalogue {catalogue} of Sweet Home 3D"
            yield Furniture(catalogue, facts, known, ours, who, archive)


_ALSO = {"Scopia": "Scopia Visual Interfaces Systems and Emmanuel Puybaret / eTeks"}
"""How a catalogue asks to be named."""
_KEYS = ("id", "name", "category", "model", "modelRotation", "width", "depth", "height", "creator")


def _license(archive: Archive, properties: Mapping[str, str], catalogue: str) -> str:
    text = properties.get("license", "")
    more = (archive.read("LICENSE.TXT") or b"").decode("latin-1")
    for said in (text, re.sub(r"\s+", " ", more)):
        for pattern, license_ in _LICENSES:
            if re.search(pattern, said, re.IGNORECASE):
                return license_
    raise AssetError(f"{catalogue}{_SUFFIX}: its licence '{text[:80]}' is none that is known")


def own_class(name: str) -> str:
    """Return a name of a catalogue as that of a class.

    >>> own_class("Chair with cushion"), own_class("TV 16:9"), own_class("Rubik's cube"), own_class("10 dollars")
    ('ChairWithCushion', 'TV169', 'RubiksCube', 'A10Dollars')
    """
    words = re.findall(r"[A-Za-z0-9]+", name.replace("'", ""))
    joined = "".join(word[:1].upper() + word[1:] for word in words)[:50]
    published = {one.replace("_", "").casefold(): one for one in published_classes()}
    return published.get(joined.casefold(), joined if joined[:1].isalpha() else f"A{joined}")


# -- models -----------------------------------------------------------------------------------------------------------


def _assets(found: list[Furniture], missing: list[str]) -> Iterator[tuple[Item, bytes]]:
    count: Counter[str] = Counter()
    for one in found:
        of = one.known.class_name
        facts = {
            "name": f"{of}_{count[of] + 1}",
            "class_name": of,
            "display_name": one.facts["name"].lower(),
            "license": one.license,
            "attribution": one.attribution,
            "source": f"https://www.sweethome3d.com, {one.facts['id']}",
        }
        try:
            model, notes = _model(one, one.facts["id"])
            yaw = table().yaws.get(one.facts["category"], table().yaw) if one.known.yaw is None else one.known.yaw
            made = character_item(model, Pose("y", "z", yaw, one.known.lean), facts, notes, one.facts["id"])
        except AssetError as error:
            missing.append(str(error))
            continue
        count[of] += 1
        yield made


def _model(one: Furniture, what: str) -> tuple[MeshModel, list[str]]:
    """Return an entry's model as it stands in a room: turned and stretched as its catalogue says.

    Raises:
        AssetError: it is not there, broken, or what the catalogue says of it is.
    """
    place = one.facts["model"].lstrip("/")
    data = one.archive.read(place)
    if data is None:
        raise AssetError(f"{what}: the catalogue has no file '{place[:80]}'")
    model, notes = read_mesh(data, ".obj", ArchiveSiblings(one.archive, place, what), what)
    turn = _numbers(one.facts["modelRotation"] or "1 0 0 0 1 0 0 0 1", 9, f"{what}: modelRotation").reshape(3, 3)
    model = _mapped(model, turn)
    size = _numbers(" ".join(one.facts[key] for key in ("width", "height", "depth")), 3, f"{what}: its size")
    low, high = model.bounds()
    extent = high - low
    flat = extent < 1e-6 * max(float(extent.max()), 1e-12)
    return _mapped(model, np.diag(np.where(flat, 1.0, size / np.where(flat, 1.0, extent)))), notes


def _numbers(text: str, count: int, what: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    try:
        values = np.array([float(word) for word in text.split()])
    except ValueError:
        values = np.zeros(0)
    if len(values) != count or not np.isfinite(values).all():
        raise AssetError(f"{what}: '{text[:80]}' are not {count} numbers")
    return values


def _mapped(model: MeshModel, matrix: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> MeshModel:
    """Return a model under a matrix (3, 3), for columns, without reflection."""
    inverse = np.linalg.inv(matrix)
    pieces = []
    for piece in model.pieces:
        normals = piece.normals.astype(float) @ inverse
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-30)
        vertices = piece.vertices.astype(float) @ matrix.T
        pieces.append(replace(piece, vertices=vertices.astype(np.float32), normals=normals.astype(np.float32)))
    return MeshModel(tuple(pieces))
