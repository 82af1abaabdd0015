"""Names of files that come from data: levels, labels, ids and names of layers are other people's text.

Nothing that was read becomes part of a path but through here, so that no dataset, result or manifest decides where
something is written.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from torchmultiverse.errors import DatasetError, shortened

MOST_BYTES = 120
"""Of one component, in UTF-8: a suffix, a temporary name and the limit of 255 of every file system leave room."""
SCENE_ID = re.compile(r"[0-9a-f]{32}")
CLIP_NAME = re.compile(r"[0-9a-f]{16}")
_UNSAFE = re.compile(r'[\x00-\x1f\x7f-\x9f/\\:*?"<>|\u202a-\u202e\u2066-\u2069\ud800-\udfff]')
_DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", re.IGNORECASE)
_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]+):/+(.+)", re.IGNORECASE)


def address_of(place: object) -> str | None:
    """Return the address of another machine, ``scheme://…``, that a place is; ``None`` of a path of this one.

    Paths fold two slashes into one; it is put back, so that an address may go through `pathlib.Path`.

    >>> address_of(Path("s3://bucket/spar")), address_of("data/spar")
    ('s3://bucket/spar', None)
    """
    found = _ADDRESS.fullmatch(str(place))
    if found is None or Path(str(place)).exists():
        return None
    scheme = found[1].lower()
    return f"{scheme}:///{found[2]}" if scheme == "file" else f"{scheme}://{found[2]}"


def component(text: object) -> str:
    """Return a text as one component of a path: the text itself where that is safe on every system.

    Separators, control characters and what Windows reserves become ``_``, dots at the beginning and dots and blanks at
    the end go, and what is too long is cut. What was changed ends in eight digits of its SHA-256, so that different
    texts have different names. Applied twice it changes nothing more.

    >>> component("Zebra"), component("../etc")
    ('Zebra', '_etc-f7f9121f')
    """
    before = str(text)
    name = _UNSAFE.sub("_", before).lstrip(".").rstrip(". ").lstrip()
    if _DEVICES.fullmatch(name):
        name = f"_{name}"
    if name == before and name and len(name.encode()) <= MOST_BYTES:
        return name
    mark = hashlib.sha256(before.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    kept = name.encode()[: MOST_BYTES - 9].decode(errors="ignore")
    return f"{kept or '_'}-{mark}"


def scene_name(scene_id: object, place: object) -> str:
    """Return a scene's id, which is 32 hexadecimal digits, to be the name of a file.

    Args:
        scene_id: as a dataset says it.
        place: names the dataset in the error.

    Raises:
        DatasetError: it is anything else.
    """
    if not isinstance(scene_id, str) or not SCENE_ID.fullmatch(scene_id):
        raise DatasetError(
            f"{place}: scene_id {shortened(scene_id)} is no scene's: that is 32 hexadecimal digits, in lower case. "
            "torchmultiverse data import makes a dataset with the right ones"
        )
    return scene_id


def clip_name(clip: object, place: object) -> str:
    """Return the name of a clip, which is 16 hexadecimal digits, to be the name of a file.

    Args:
        clip: as a dataset says it.
        place: names the dataset in the error.

    Raises:
        DatasetError: it is anything else.
    """
    if not isinstance(clip, str) or not CLIP_NAME.fullmatch(clip):
        raise DatasetError(f"{place}: clip {shortened(clip)} is no name of a clip: that is 16 hexadecimal digits")
    return clip
