"""Files of a dataset repository of the Hugging Face Hub, each in the cache of `huggingface_hub`, bounded and checked.

That package resumes and keeps; a mirror (``HF_ENDPOINT``), a token (``HF_TOKEN``) and working without a network
(``HF_HUB_OFFLINE``) are its own settings. What is added here: no file is fetched that is larger than its limit or than
the disk, what arrived has the SHA-256 that the repository names it by, and retries and errors are those of `web`.
"""

from __future__ import annotations

import gzip
import os
import re
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torchmultiverse.assets.files import MAX_FILE_BYTES
from torchmultiverse.errors import AssetError, MissingExtra
from torchmultiverse.files import sha256_file
from torchmultiverse.json_text import read_json
from torchmultiverse.web import PASSING, PassingError, Retry, ServiceError, asked_wait, plain_error

MAX_UNPACKED = 2 * 2**30
"""Bytes of a compressed record."""
_SHA256 = re.compile(r"[0-9a-f]{64}")


class HubDataset:
    """One dataset repository.

    Args:
        name: ``OWNER/NAME``.
        revision: a branch, tag or commit.

    Raises:
        MissingExtra: huggingface_hub is not installed.
    """

    def __init__(self, name: str, revision: str = "main") -> None:
        try:
            import huggingface_hub
            import huggingface_hub.constants
            import huggingface_hub.errors
        except ModuleNotFoundError:
            raise MissingExtra("huggingface_hub", "assets", f"fetching files of {name}") from None
        self._hub: Any = huggingface_hub
        self.name, self._revision = name, revision
        self._retry = Retry(f"the repository {name}")

    def file(self, path: str, limit: int = MAX_FILE_BYTES) -> Path:
        """Return the place of a file of the repository, which is fetched where it is not there.

        Args:
            path: inside the repository.
            limit: the most bytes that it may have.

        Raises:
            AssetError: it is not in the repository, too large, or not what its name in the cache says.
            ServiceError: the Hub cannot be used now.
        """
        return self._retry(lambda: self._checked(path, limit), f"{self.name}: {path}")

    def record(self, path: str, limit: int = MAX_FILE_BYTES) -> Any:
        """Return what a JSON file of the repository holds; one that ends in ``.gz`` is unpacked.

        Raises:
            AssetError: see `file`; or it is no JSON.
            ServiceError: see `file`.
        """
        place = self.file(path, limit)
        try:
            if path.endswith(".gz"):
                with gzip.open(place) as file:
                    data = file.read(MAX_UNPACKED + 1)
            else:
                data = place.read_bytes()
            if len(data) > MAX_UNPACKED:
                raise ValueError(f"larger than {MAX_UNPACKED / 2**30:.0f} GiB unpacked")
            return read_json(data)
        except (OSError, EOFError, ValueError, zlib.error) as error:
            raise AssetError(f"{self.name}: {path} cannot be read: {error}") from None

    def _checked(self, path: str, limit: int) -> Path:
        asked = {"repo_id": self.name, "filename": path, "repo_type": "dataset", "revision": self._revision}
        asked |= {"endpoint": endpoint} if (endpoint := os.environ.get("HF_ENDPOINT")) else {}
        place = self._cached(asked)
        if place is None:
            self._check_size(asked, path, limit)
            got = self._hub_errors(lambda: self._hub.hf_hub_download(**asked, tqdm_class=_silent()), path)
            place = Path(got)
        blob = place.resolve()
        if blob.stat().st_size > limit:
            raise AssetError(f"{self.name}: {path} is larger than {limit / 2**20:,.0f} MiB, the most that is read")
        # The cache calls a large file by its SHA-256.
        if _SHA256.fullmatch(blob.name) and (found := sha256_file(blob)) != blob.name:
            blob.unlink()
            told = f"its SHA-256 is {found}, should be {blob.name}; nothing of it is kept"
            raise PassingError(told, lasting=AssetError)
        return place

    def _cached(self, asked: dict[str, str]) -> Path | None:
        try:
            return Path(self._hub.hf_hub_download(**asked, local_files_only=True))
        except self._hub.errors.LocalEntryNotFoundError:
            return None

    def _check_size(self, asked: dict[str, str], path: str, limit: int) -> None:
        url = self._hub.hf_hub_url(**asked)
        size = self._hub_errors(lambda: self._hub.get_hf_file_metadata(url), path).size or 0
        if size > limit:
            raise AssetError(
                f"{self.name}: {path} has {size / 2**20:,.0f} MiB; at most {limit / 2**20:,.0f} MiB are read"
            )
        cache = Path(self._hub.constants.HF_HUB_CACHE)
        folder = next(p for p in (cache, *cache.parents) if p.is_dir())
        if size > (free := shutil.disk_usage(folder).free):
            raise AssetError(
                f"{self.name}: {path} has {size / 1e6:,.0f} MB, {folder} has {free / 1e6:,.0f} MB free; free some "
                "space, or set HF_HOME to a folder of another disk"
            )

    def _hub_errors(self, action: Callable[[], Any], path: str) -> Any:
        """Return what an action returns, and make of the package's many errors what they mean here."""
        errors = self._hub.errors
        try:
            return action()
        except errors.LocalEntryNotFoundError as error:
            answer = getattr(error.__cause__, "response", None)
            told = "cannot be reached" if answer is None else f"answers {answer.status_code}"
            raise PassingError(f"the Hub {told}", unreachable=answer is None) from None
        except errors.EntryNotFoundError:
            raise AssetError(f"{self.name}: there is no {path}") from None
        except (errors.GatedRepoError, errors.RepositoryNotFoundError, errors.RevisionNotFoundError):
            raise ServiceError(
                f"{self.name}: the Hub answers that it may not be read, or is not there; HF_TOKEN is a token for it"
            ) from None
        except errors.HfHubHTTPError as error:
            status = error.response.status_code
            if status in PASSING:
                raise PassingError(f"the Hub answers {status}", wait=asked_wait(error.response.headers)) from None
            raise ServiceError(f"{self.name}: {path}: the Hub answers {status}") from None
        except Exception as error:  # the HTTP client of the day has its own
            told = "HF_HUB_OFFLINE is set" if "Offline" in type(error).__name__ else plain_error(error)
            raise PassingError(f"the Hub cannot be reached: {told}", unreachable=True) from None


def _silent() -> Any:
    """Return a bar that shows nothing: ours counts."""
    from tqdm.auto import tqdm

    class Silent(tqdm):  # type: ignore[type-arg,misc]
        def __init__(self, *given: Any, **named: Any) -> None:
            super().__init__(*given, **{**named, "disable": True})

    return Silent
