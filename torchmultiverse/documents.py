"""Records that are saved as JSON and read again, also by later versions.

A `Document` is a pydantic model with a schema version. What an older version wrote is brought to the present shape by
``migrate`` before it is validated; what a newer version wrote is refused by name. Images are `EncodedImage`: bytes in
memory, and files beside the JSON once saved, never text inside it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    SerializationInfo,
    ValidationError,
    ValidationInfo,
    model_serializer,
    model_validator,
)

from torchmultiverse.errors import DatasetError, shortened
from torchmultiverse.files import disk_errors, write_atomic
from torchmultiverse.json_text import read_json
from torchmultiverse.remote import local_copy

IMAGES = "images"
"""Folder of a document's images, beside its JSON."""
LIST = "list"
"""Key of what a file held that was a list, not an object."""
MOST_IMAGE_BYTES = 64 * 2**20
"""Of one image that is read."""
_IMAGE = re.compile(rf"{IMAGES}/[0-9a-f]{{16}}\.(png|jpg|webp)")
_DATA_URI = re.compile(r"data:image/[\w.+-]+;base64,(.*)", re.DOTALL)
_FORMATS = ((b"\x89PNG", "png", "image/png"), (b"\xff\xd8\xff", "jpg", "image/jpeg"), (b"RIFF", "webp", "image/webp"))


class Record(BaseModel):
    """A part of a document: immutable, and with no fields but its own.

    NaN and infinities are written as the words ``NaN`` and ``Infinity``, since JSON has no numbers for them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


class EncodedImage(Record):
    """An image as the bytes of its file: PNG, JPEG or WebP.

    Attributes:
        data: the bytes.
    """

    data: bytes

    @property
    def media_type(self) -> str:
        """As HTTP names it, such as ``image/png``."""
        return self._format()[1]

    @property
    def data_uri(self) -> str:
        """The image as a page has it that needs no other files."""
        return f"data:{self.media_type};base64,{base64.b64encode(self.data).decode()}"

    def _format(self) -> tuple[str, str]:
        for start, suffix, media in _FORMATS:
            if self.data.startswith(start):
                return suffix, media
        raise ValueError("an image of none of the formats PNG, JPEG, WebP")

    @model_validator(mode="before")
    @classmethod
    def _read(cls, value: Any, info: ValidationInfo) -> Any:
        """Read a file that a saved document names, or a data URI, as documents had before they had versions."""
        if isinstance(value, bytes):
            return {"data": value}
        if isinstance(value, str):
            found = _DATA_URI.fullmatch(value)
            try:
                return {"data": base64.b64decode(found[1], validate=True)} if found else value
            except binascii.Error as error:
                raise ValueError(f"no image: {error}") from None
        if not (isinstance(value, Mapping) and "file" in value):
            return value
        name, folder = str(value["file"]), (info.context or {}).get("folder")
        if folder is None or not _IMAGE.fullmatch(name):
            raise ValueError(f"no image of a document: {shortened(name)}")
        try:
            with open(folder / name, "rb") as file:
                data = file.read(MOST_IMAGE_BYTES + 1)
        except OSError as error:
            raise ValueError(f"its image cannot be read: {error}") from None
        if len(data) > MOST_IMAGE_BYTES:
            raise ValueError(f"{name} is larger than {MOST_IMAGE_BYTES:,} bytes")
        return {"data": data}

    @model_serializer
    def _write(self, info: SerializationInfo) -> Any:
        images = (info.context or {}).get("images")
        if images is None:
            return self.data_uri if info.mode_is_json() else {"data": self.data}
        name = f"{IMAGES}/{hashlib.sha256(self.data).hexdigest()[:16]}.{self._format()[0]}"
        images[name] = self.data
        return {"file": name}


class Document(Record):
    """A record with a file and a schema version.

    Subclasses say ``file`` (the name of its JSON in a folder) and ``version``, and extend `migrate` whenever they raise
    it; ``former_files`` are names that older versions gave the JSON.

    >>> class Size(Document):
    ...     file = "size.json"
    ...     version = 2
    ...     width: int
    ...
    ...     @classmethod
    ...     def migrate(cls, data, version):
    ...         return {"width": data["w"]} if version < 2 else data
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "size.json").write_text('{"w": 3}')
    ...     Size.load(folder)
    Size(width=3)
    """

    file: ClassVar[str]
    former_files: ClassVar[tuple[str, ...]] = ()
    made_by: ClassVar[str] = ""
    """What an error adds where there is no such file: ``; it is made by '…'``."""
    version: ClassVar[int] = 1

    @classmethod
    def migrate(cls, data: dict[str, Any], version: int) -> dict[str, Any]:
        """Return what another version wrote in the shape of this one.

        Args:
            data: the JSON object without its version; of a list, an object with it under :data:`LIST`.
            version: that wrote it; 0 of files from before there were versions.
        """
        return data

    @classmethod
    def complete(cls, data: dict[str, Any], version: int, folder: Path) -> dict[str, Any]:
        """Return what another version wrote with what it kept in other files of the folder; before `migrate`."""
        return data

    @classmethod
    def find(cls, folder: str | Path) -> Path | None:
        """Return the JSON of such a record in a folder, if there is one."""
        return next((path for name in (cls.file, *cls.former_files) if (path := Path(folder, name)).is_file()), None)

    def save(self, folder: str | Path) -> Path:
        """Write the JSON and the images into a folder, each whole or not at all; returns the path of the JSON.

        The JSON comes last, so that what it names is there.

        Args:
            folder: to write into, or a path that ends in ``.json``.

        Raises:
            DatasetError: the folder cannot be written.
        """
        path = Path(folder)
        path = path if path.suffix == ".json" else path / self.file
        with disk_errors(path.parent):
            self._write_into(path)
        return path

    def _write_into(self, path: Path) -> None:
        folder = path.parent
        images: dict[str, bytes] = {}
        data = json.loads(self.model_dump_json(context={"images": images}))
        text = json.dumps({"schema_version": self.version, **data}, indent=1, ensure_ascii=False, allow_nan=False)
        (folder / IMAGES if images else folder).mkdir(parents=True, exist_ok=True)
        for name, content in images.items():
            write_atomic(folder / name, content)
        write_atomic(path, (text + "\n").encode())

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Read what this or an older version saved.

        Args:
            folder: that holds the file, or the path of the file itself.

        Raises:
            DatasetError: there is none, it is no such record, or a newer version wrote it.
        """
        path = local_copy(folder)
        path = cls.find(path) or path / cls.file if path.is_dir() else path
        try:
            data = read_json(path.read_bytes())
        except FileNotFoundError:
            whole = f"{folder} holds no {cls.file}" if Path(folder).is_dir() else f"there is no {folder}"
            raise DatasetError(f"{whole}{cls.made_by}") from None
        except OSError as error:
            raise DatasetError(f"{folder} holds no {cls.file}: {error}") from None
        except ValueError as error:  # the latter of brackets within brackets
            raise DatasetError(f"{path}: no JSON: {error}") from None
        if isinstance(data, list):  # as some records were before they had versions
            data = {LIST: data}
        if not isinstance(data, dict):
            raise DatasetError(f"{path}: no JSON object")
        version = data.pop("schema_version", 0)
        if not isinstance(version, int) or isinstance(version, bool) or version < 0:
            raise DatasetError(f"{path} is of schema version {shortened(version)}; 0 to {cls.version} are right")
        if version > cls.version:
            raise DatasetError(
                f"{path} is of schema version {version}, and this version of torchmultiverse reads up to "
                f"{cls.version}: a newer one wrote it"
            )
        try:
            if version != cls.version:
                data = cls.migrate(cls.complete(data, version, path.parent), version)
            return cls.model_validate(data, context={"folder": path.parent})
        except (ValidationError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise DatasetError(f"{path} is no {cls.__name__} of version {version}: {_first(error)}") from None


def renamed(data: Mapping[str, Any], **names: str) -> dict[str, Any]:
    """Return a JSON object with other names for some of its fields, for migrations.

    >>> renamed({"mrr": 0.5, "said": "yes"}, said="prediction")
    {'mrr': 0.5, 'prediction': 'yes'}
    """
    return {names.get(name, name): value for name, value in data.items()}


def _first(error: Exception) -> str:
    """Return where the first of pydantic's errors is, and what is wrong there."""
    if not isinstance(error, ValidationError):
        return f"{type(error).__name__}: {error}"
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"]) or "the whole"
    return f"{place}: {first['msg']}"
