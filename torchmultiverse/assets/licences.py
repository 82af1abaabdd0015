"""Licences as services name them, by their SPDX identifiers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from torchmultiverse.errors import AssetError, nearest

LICENCES = {
    "cc0": "CC0-1.0",
    "by": "CC-BY-4.0",
    "by-sa": "CC-BY-SA-4.0",
    "by-nd": "CC-BY-ND-4.0",
    "by-nc": "CC-BY-NC-4.0",
    "by-nc-sa": "CC-BY-NC-SA-4.0",
    "by-nc-nd": "CC-BY-NC-ND-4.0",
}
"""The Creative Commons licences that Sketchfab offers, by its own names; it says that they are of version 4.0."""


def spdx(said: str) -> str:
    """Return the SPDX identifier of a licence that a service calls so; empty for one that allows no use of a file.

    >>> spdx("by"), spdx("cc-by-nc-sa"), spdx("CC0"), spdx("st")
    ('CC-BY-4.0', 'CC-BY-NC-SA-4.0', 'CC0-1.0', '')
    """
    return LICENCES.get(re.sub(r"^cc-", "", said.strip().lower()), "")


def check_licences(wanted: Iterable[str]) -> None:
    """Raise an error unless every licence is one that services give.

    Raises:
        AssetError: one is not.
    """
    for one in wanted:
        if one not in LICENCES.values():
            raise AssetError(f"no asset is under the licence '{one}'.{nearest(one, LICENCES.values())}")


def allowed(licence: str, wanted: Sequence[str]) -> bool:
    """Return whether a licence is among those that are wanted; all are where none is named."""
    return bool(licence) and (not wanted or licence in wanted)
