"""Sketchfab's interface, version 3: what it says of a model, and its file, which wants a token of one's own.

``GET /v3/models/UID`` says who made a model and under which licence. ``GET /v3/models/UID/download`` answers, to a
token, with addresses that hold for minutes: of a GLB file, or of a zip archive with a glTF file in it. The token is
read from the environment alone. It is sent to the interface and nowhere else, and is in no file, message or error.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from torchmultiverse.assets.files import MAX_FILE_BYTES
from torchmultiverse.assets.objaverse import UID, SketchfabModel
from torchmultiverse.errors import AssetError, shortened
from torchmultiverse.web import WebClient, WebFile

TOKEN = "SKETCHFAB_API_TOKEN"
"""The variable of the environment that holds the token."""
ADDRESS = "https://api.sketchfab.com"
_TOKEN_HELP = f"The token of your account stands in its settings, under 'Password & API'; put it into {TOKEN}"


class _Offer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")
    url: str
    size: int | None = None


class _Offers(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")
    glb: _Offer | None = None
    gltf: _Offer | None = None


def token_of(environment: Mapping[str, str]) -> str:
    """Return what ``Authorization`` is to say: ``Token …`` for a token as the settings show it; else "".

    >>> token_of({"SKETCHFAB_API_TOKEN": " abc "}), token_of({"SKETCHFAB_API_TOKEN": "Bearer x"}), token_of({})
    ('Token abc', 'Bearer x', '')
    """
    said = environment.get(TOKEN, "").strip()
    return said if not said or " " in said else f"Token {said}"


class Sketchfab:
    """The interface.

    Args:
        token: see `token_of`; without one nothing can be downloaded.
        client: asks it; by default one of its own.
    """

    def __init__(self, token: str, client: WebClient | None = None) -> None:
        self.may_download = bool(token)
        self._client = client or WebClient("Sketchfab", token, _TOKEN_HELP)

    def model(self, uid: str) -> SketchfabModel:
        """Return what is said of a model.

        Raises:
            AssetError: there is none of that uid any more.
            ServiceError: Sketchfab cannot be used now.
        """
        what = f"Sketchfab: {_checked(uid)}"
        told = self._client.record(f"{ADDRESS}/v3/models/{uid}", what)
        try:
            return SketchfabModel.model_validate(told)
        except ValidationError as error:
            first = error.errors()[0]
            raise AssetError(f"{what}: its record is not as it should be: {first['loc']}: {first['msg']}") from None

    def download(self, uid: str, folder: Path, limit: int = MAX_FILE_BYTES) -> Path:
        """Return the place of a model's file, ``UID.glb`` or ``UID.zip``, which is fetched where it is not there.

        Args:
            uid: of the model.
            folder: where the files of Sketchfab lie.
            limit: the most bytes that it may have.

        Raises:
            AssetError: it may not be downloaded, is too large, or did not arrive whole.
            ServiceError: Sketchfab cannot be used now, or refuses the token.
        """
        what = f"Sketchfab: {_checked(uid)}"
        for kind in (".glb", ".zip"):
            if (place := folder / f"{uid}{kind}").is_file():
                return place  # its address changes with every question; nothing else says whether it is the same
        told = self._client.record(f"{ADDRESS}/v3/models/{uid}/download", what)
        try:
            offers = _Offers.model_validate(told)
        except ValidationError as error:
            raise AssetError(f"{what}: the answer is not as it should be: {error.errors()[0]['msg']}") from None
        for kind, offer in ((".glb", offers.glb), (".zip", offers.gltf)):
            if offer is not None:
                return self._client.file(WebFile(offer.url, offer.size, limit=limit), folder / f"{uid}{kind}", what)
        raise AssetError(f"{what}: it is offered neither as GLB nor as glTF")


def _checked(uid: str) -> str:
    if not re.fullmatch(UID, uid):
        raise AssetError(f"{shortened(uid, 40)} is no uid of Sketchfab: 32 hexadecimal digits")
    return uid
