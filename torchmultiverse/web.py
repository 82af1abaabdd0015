"""Records and files of web services: bounded, resumed where they broke off, checked, there whole or not at all.

What is wanted of one file (it is not there, it is too large, it is not what its checksum says) is an `AssetError`; what
concerns the service (it cannot be reached, it wants a token, it was asked too often) is a `ServiceError`, after which
nothing else is asked of it. A file that broke off stays beside its place as a hidden ``.part``, for the next try alone.
"""

from __future__ import annotations

import contextlib
import email.utils
import hashlib
import http.client
import os
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeVar
from urllib.parse import urlsplit

from torchmultiverse.errors import AssetError
from torchmultiverse.files import disk_errors, write_atomic
from torchmultiverse.json_text import read_json
from torchmultiverse.version import __version__

MAX_BYTES = 512 * 2**20
"""Of a file, where its caller names no limit."""
MAX_RECORD_BYTES = 64 * 2**20
"""Of one JSON answer."""
PATIENCE = 30.0
"""Seconds without a byte after which a connection is given up."""
ATTEMPTS = 5
LONGEST_WAIT = 120.0
"""Seconds; a service that asks to wait longer is left for another day."""
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses of HTTP that a second try may cure."""
AGAIN = "what was downloaded is kept: run the same command again"
_CHUNK = 1 << 18

T = TypeVar("T")


class ServiceError(AssetError):
    """A service that cannot be used now, whatever is asked of it."""


class PassingError(Exception):
    """What a second try may cure.

    Args:
        told: what happened.
        wait: seconds that the service asks to wait; None where it does not say.
        unreachable: nothing answered.
        lasting: the error that it is when it does not pass; by default a `ServiceError`.
    """

    def __init__(
        self, told: str, wait: float | None = None, unreachable: bool = False, lasting: type[AssetError] = ServiceError
    ) -> None:
        super().__init__(told)
        self.wait, self.unreachable, self.lasting = wait, unreachable, lasting


class Retry:
    """Tries again what passes, each time after twice the pause: five times, and a service that never answered and a
    file that is wrong twice.

    Args:
        service: its name in errors.
        sleep: waits for so many seconds.
    """

    def __init__(self, service: str, sleep: Callable[[float], None] | None = None) -> None:
        self.service = service
        self._sleep = sleep or time.sleep
        self._reached = False

    def __call__(self, action: Callable[[], T], what: str) -> T:
        """Return what an action returns that may raise `PassingError`.

        Raises:
            ServiceError, AssetError: it did not pass.
        """
        pause, attempt = 1.0, 0
        while True:
            attempt += 1
            try:
                answer = action()
            except PassingError as error:
                self._reached = self._reached or not error.unreachable
                if error.wait is not None and error.wait > LONGEST_WAIT:
                    minutes = -(-error.wait // 60)
                    raise ServiceError(
                        f"{what}: {error}; {self.service} asks to wait {minutes:.0f} minutes; {AGAIN} then"
                    ) from None
                if attempt >= (ATTEMPTS if self._reached and error.lasting is ServiceError else 2):
                    raise error.lasting(f"{what}: {error}{self._hint(error, attempt)}") from None
                self._sleep(error.wait if error.wait is not None else pause)
                pause = min(2 * pause, LONGEST_WAIT)
            else:
                self._reached = True
                return answer

    def _hint(self, error: PassingError, attempt: int) -> str:
        if not self._reached:
            return "; is this machine offline, or behind a proxy that HTTPS_PROXY should name?"
        return f"; it was tried {attempt} times" + (f"; {AGAIN}" if error.lasting is ServiceError else "")


@dataclass(frozen=True)
class WebFile:
    """A file of a service.

    Attributes:
        url: its address; signatures in its query are never shown or kept.
        size: in bytes; None where the service does not say.
        md5: in hexadecimal; empty where the service does not say.
        limit: the most bytes that are read.
    """

    url: str
    size: int | None = None
    md5: str = ""
    limit: int = MAX_BYTES


class WebClient:
    """Asks one service over HTTP.

    Args:
        service: its name in errors.
        token: what ``Authorization`` says in `record`; it is sent to no other host and stands in no error.
        token_help: how to get a token, for the error of a service that refuses.
        sleep: waits for so many seconds between tries.
    """

    def __init__(
        self, service: str, token: str = "", token_help: str = "", sleep: Callable[[float], None] | None = None
    ) -> None:
        self.retry = Retry(service, sleep)
        self._token, self._token_help = token, token_help
        self._opener = urllib.request.OpenerDirector()
        # No handlers of files and FTP: an address that a service names is one of the web.
        for handler in (
            urllib.request.ProxyHandler,
            urllib.request.UnknownHandler,
            urllib.request.HTTPHandler,
            urllib.request.HTTPSHandler,
            urllib.request.HTTPDefaultErrorHandler,
            urllib.request.HTTPRedirectHandler,
            urllib.request.HTTPErrorProcessor,
        ):
            self._opener.add_handler(handler())

    def record(self, url: str, what: str) -> Any:
        """Return an answer in JSON.

        Args:
            url: where.
            what: names it in errors.

        Raises:
            AssetError: it is not there, too large or not JSON.
            ServiceError: the service cannot be used now.
        """

        def ask() -> bytes:
            request = self._request(url, what)
            if self._token:
                request.add_unredirected_header("Authorization", self._token)
            with self._answer(request, what) as answer:
                data: bytes = answer.read(MAX_RECORD_BYTES + 1)
            return data

        data = self.retry(ask, what)
        if len(data) > MAX_RECORD_BYTES:
            raise AssetError(f"{what}: the answer is larger than {MAX_RECORD_BYTES / 2**20:.0f} MiB")
        try:
            return read_json(data)
        except ValueError as error:
            raise AssetError(f"{what}: the answer of {_place(url)} is not JSON: {error}") from None

    def file(self, wanted: WebFile, path: Path, what: str, advance: Callable[[int], None] = lambda count: None) -> Path:
        """Bring a file to a path, or leave it there where it is the one that is wanted; return the path.

        Args:
            wanted: the file.
            path: its place; the folder is made.
            what: names it in errors.
            advance: called with the bytes that arrived.

        Raises:
            AssetError: not there, larger than its limit, or not what its size and checksum say.
            ServiceError: the service cannot be used now.
            DatasetError: the disk refuses.
        """
        if wanted.size is not None and wanted.size > wanted.limit:
            raise AssetError(_too_large(what, wanted.size, wanted.limit))
        if path.is_file() and not _difference(path, wanted):
            return path
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(path.parent).free
        if wanted.size is not None and wanted.size > free:
            raise AssetError(
                f"{what}: it has {wanted.size / 1e6:,.0f} MB, {path.parent} has {free / 1e6:,.0f} MB free; free some "
                "space, or set TORCHMULTIVERSE_CACHE to a folder of another disk"
            )
        self.retry(lambda: self._transfer(wanted, path, what, advance), what)
        return path

    def _transfer(self, wanted: WebFile, path: Path, what: str, advance: Callable[[int], None]) -> None:
        """Go on with a file where it broke off, check it and give it its name."""
        part, stamp = path.with_name(f".{path.name}.part"), path.with_name(f".{path.name}.stamp")
        request = self._request(wanted.url, what)
        had = part.stat().st_size if part.is_file() and stamp.is_file() else 0
        if had:
            request.add_unredirected_header("Range", f"bytes={had}-")
            request.add_unredirected_header("If-Range", stamp.read_text())
        try:
            with self._answer(request, what) as answer:
                goes_on = answer.status == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {had}-")
                self._receive(answer, wanted, part, stamp, had if goes_on else 0, what, advance)
        except AssetError as error:
            if not isinstance(error, ServiceError):
                _remove(part, stamp)
            raise
        except _BadRangeError:
            _remove(part, stamp)
            raise PassingError("the service has another file now than the one that broke off") from None
        if wrong := _difference(part, wanted):
            _remove(part, stamp)
            raise PassingError(f"{wrong}; nothing of it is kept", lasting=AssetError)
        with disk_errors(path):
            os.replace(part, path)
            stamp.unlink(missing_ok=True)

    def _receive(
        self,
        answer: Any,
        wanted: WebFile,
        part: Path,
        stamp: Path,
        start: int,
        what: str,
        advance: Callable[[int], None],
    ) -> None:
        told = answer.headers.get("Content-Length")
        total = start + int(told) if told and told.isdecimal() else None
        if total is not None and total > wanted.limit:
            raise AssetError(_too_large(what, total, wanted.limit))
        if not start:
            _remove(part, stamp)
            tag = answer.headers.get("ETag") or answer.headers.get("Last-Modified") or ""
            if tag and not tag.startswith("W/"):
                with disk_errors(stamp):
                    write_atomic(stamp, tag.encode("latin-1", "replace"), sync=False)
        with disk_errors(part):
            file = open(part, "ab" if start else "wb")  # noqa: SIM115 - errors of the disk are told apart from the net's
        with file:
            self._copy(answer, file, start, wanted.limit, what, advance)
            if total is not None and file.tell() < total:
                raise PassingError(f"the connection broke off after {file.tell():,} of {total:,} bytes")

    def _copy(
        self, answer: Any, file: IO[bytes], had: int, limit: int, what: str, advance: Callable[[int], None]
    ) -> None:
        while chunk := answer.read(_CHUNK):
            had += len(chunk)
            if had > limit:
                raise AssetError(_too_large(what, None, limit))
            with disk_errors(Path(file.name)):
                file.write(chunk)
            advance(len(chunk))
        with disk_errors(Path(file.name)):
            file.flush()
            os.fsync(file.fileno())

    def _request(self, url: str, what: str) -> urllib.request.Request:
        if urlsplit(url).scheme not in ("https", "http"):
            raise AssetError(f"{what}: {_place(url)} is no address of the web")
        return urllib.request.Request(
            url, headers={"User-Agent": f"torchmultiverse/{__version__}", "Accept-Encoding": "identity"}
        )

    @contextlib.contextmanager
    def _answer(self, request: urllib.request.Request, what: str) -> Iterator[Any]:
        """Open an address, and make of all that can go wrong until it is closed what it means here."""
        place = _place(request.full_url)
        try:
            with self._opener.open(request, timeout=PATIENCE) as answer:
                yield answer
        except (AssetError, PassingError):
            raise
        except urllib.error.HTTPError as error:
            raise self._refusal(error, place, what) from None
        except urllib.error.URLError as error:
            reason = error.reason
            unreachable = isinstance(reason, OSError)
            raise PassingError(f"{place} cannot be reached: {plain_error(reason)}", unreachable=unreachable) from None
        except (http.client.HTTPException, OSError) as error:  # those of the disk are told apart before
            raise PassingError(f"{place}: the connection broke off: {plain_error(error)}") from None
        except ValueError as error:
            raise AssetError(f"{what}: {place} cannot be asked: {error}") from None

    def _refusal(self, error: urllib.error.HTTPError, place: str, what: str) -> Exception:
        status = error.code
        if status == 416:
            return _BadRangeError()
        if status in PASSING:
            known = {429: "it was asked too often"}.get(status, error.reason)
            return PassingError(f"{place} answers {status}: {known}", wait=asked_wait(error.headers))
        if status == 401:
            hint = "its token is refused" if self._token else "it wants a token"
            return ServiceError(f"{what}: {place} answers 401: {hint}. {self._token_help}".strip())
        if status == 403:
            return AssetError(f"{what}: {place} answers 403: it may not be downloaded")
        if status in (404, 410):
            return AssetError(f"{what}: {place} answers {status}: it is not there")
        return AssetError(f"{what}: {place} answers {status}: {error.reason}")


class _BadRangeError(Exception):
    """What was asked for begins behind the end of the file."""


def md5_file(path: Path) -> str:
    """Return the MD5 of a file; services give no better checksum."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _difference(path: Path, wanted: WebFile) -> str:
    """Return how a file differs from the one that is wanted; empty where nothing says that it does."""
    size = path.stat().st_size
    if wanted.size is not None and size != wanted.size:
        return f"it has {size:,} bytes, the service says {wanted.size:,}"
    if wanted.md5 and (found := md5_file(path)) != wanted.md5.lower():
        return f"its MD5 is {found}, the service says {wanted.md5.lower()}"
    return ""


def _remove(*paths: Path) -> None:
    for path in paths:
        with disk_errors(path):
            path.unlink(missing_ok=True)


def asked_wait(headers: Any) -> float | None:
    """Return the seconds that ``Retry-After`` asks for."""
    told = (headers.get("Retry-After") or "").strip()
    if told.isdecimal():
        return float(told)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(told).timestamp() - time.time())
    except (TypeError, ValueError):
        return None


def _place(url: str) -> str:
    """Return an address as it may be shown: without its query, which may hold a signature, and its user."""
    parts = urlsplit(url)
    place = f"{parts.scheme}://{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}{parts.path}"
    return "".join(letter if letter.isprintable() else "�" for letter in place[:120])


def plain_error(error: object) -> str:
    """Return an error of a library as it may stand in a message."""
    return f"{type(error).__name__}: {error}".removesuffix(": ")[:200]


def _too_large(what: str, size: int | None, limit: int) -> str:
    has = f"it has {size / 2**20:,.0f} MiB" if size is not None else "it is larger than its service says"
    return f"{what}: {has}; at most {limit / 2**20:,.0f} MiB are read"
