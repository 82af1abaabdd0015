"""What answers before a WebSocket stands: who may connect, and the files of a page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit

from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from torchmultiverse.protocol import printable
from torchmultiverse.serve.security import authorised, origin_allowed

KNOCK = "knock.json"
"""A file that only those get who may connect: so a page learns why it may not, which a WebSocket does not tell it."""
TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".json": "application/json"}


def header(request: Request, name: str) -> str:
    """Return a header, "" where there is none; the values of one that comes several times with commas between."""
    values = request.headers.get_all(name)  # of bytes beyond ASCII as Latin-1, or escaped
    return ", ".join(values).encode("latin-1", "surrogateescape").decode(errors="replace")


def is_page_request(request: Request) -> bool:
    """Whether a file is asked for, and no WebSocket."""
    return header(request, "Upgrade").lower() != "websocket"


def refused(
    connection: ServerConnection, request: Request, token: str | None, allowed: frozenset[str]
) -> Response | None:
    """Return why a request has no way in, or ``None``.

    Args:
        connection: that answers.
        request: for a file or a WebSocket.
        token: that WebSockets have to show, and who knocks.
        allowed: origins whose pages may connect, of `security.check_origins`.
    """
    if is_page_request(request):
        if getattr(request, "method", "GET") != "GET":  # older versions of the library let nothing else through
            return connection.respond(HTTPStatus.METHOD_NOT_ALLOWED, "GET is right\n")
        if urlsplit(request.path).path.strip("/") != KNOCK:
            return None
    if not authorised(token, urlsplit(request.path).query, header(request, "Authorization")):
        return connection.respond(HTTPStatus.UNAUTHORIZED, "a token is needed: ?token=…\n")
    origin = header(request, "Origin") if "Origin" in request.headers else None
    if not origin_allowed(origin, header(request, "Host"), token=token, allowed=allowed):
        return connection.respond(HTTPStatus.FORBIDDEN, f"pages of {printable(origin or '')} may not connect\n")
    return None


def page_file(
    connection: ServerConnection,
    request: Request,
    folder: Path,
    headers: Mapping[str, str],
    made: Mapping[str, Callable[[], str]] = MappingProxyType({}),
) -> Response:
    """Return a file of a page; ``index.html`` for the page itself, and "not found" for all that is not there.

    Args:
        connection: that answers.
        request: for the file.
        folder: whose files of `TYPES` are handed out.
        headers: further ones, such as the policy of the page's content.
        made: files that are in no folder, by name, and what makes their text.
    """
    name = urlsplit(request.path).path.strip("/") or "index.html"
    known = {file.name: file for file in folder.iterdir() if file.suffix in TYPES}
    if name not in known and name not in made and name != KNOCK:
        return connection.respond(HTTPStatus.NOT_FOUND, "")
    text = "{}" if name == KNOCK else made[name]() if name in made else known[name].read_text(encoding="utf-8")
    response = connection.respond(HTTPStatus.OK, text)
    del response.headers["Content-Type"]
    response.headers["Content-Type"] = f"{TYPES[Path(name).suffix]}; charset=utf-8"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Cache-Control"] = "no-cache"
    for key, value in headers.items():
        response.headers[key] = value
    return response
