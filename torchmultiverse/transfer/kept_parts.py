"""Parts of an answer that are kept as they are found, so that what was interrupted goes on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from torchmultiverse.documents import Record
from torchmultiverse.files import disk_errors, write_atomic
from torchmultiverse.json_text import read_json

_R = TypeVar("_R", bound=Record)
_FORMAT = 1


class KeptParts:
    """A file of records by name; one of another question is begun anew.

    Args:
        path: of the file; nothing is kept without.
        identity: plain data that says what is asked of what.
    """

    def __init__(self, path: Path | None, identity: Mapping[str, Any]) -> None:
        self._path = path
        text = json.dumps(identity, sort_keys=True, default=str)
        self._identity = hashlib.sha256(text.encode()).hexdigest()
        self._parts: dict[str, Any] = {}
        if path is not None and path.is_file():
            try:
                held = read_json(path.read_bytes())
                if held["format"] == _FORMAT and held["identity"] == self._identity:
                    self._parts = dict(held["parts"])
            except (OSError, ValueError, KeyError, TypeError):  # damaged: it is found again
                self._parts = {}

    def get(self, name: str, kind: type[_R], make: Callable[[], _R]) -> _R:
        """Return a part: that of the file, or one that is made and kept.

        Args:
            name: of the part.
            kind: of record.
            make: makes it.
        """
        if name in self._parts:
            try:
                return kind.model_validate(self._parts[name])
            except ValidationError:
                del self._parts[name]
        made = make()
        self._parts[name] = json.loads(made.model_dump_json())
        if self._path is not None:
            held = {"format": _FORMAT, "identity": self._identity, "parts": self._parts}
            with disk_errors(self._path.parent):
                self._path.parent.mkdir(parents=True, exist_ok=True)
                write_atomic(self._path, json.dumps(held).encode(), sync=False)
        return made
