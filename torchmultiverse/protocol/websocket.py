"""The little of `websockets` that client and streamer share: connecting to a signalling server, and why it failed."""

from __future__ import annotations

import asyncio
import string
from urllib.parse import quote, urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.connection import Connection
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI, WebSocketException

from torchmultiverse.errors import EngineError
from torchmultiverse.protocol.signalling import MAX_MESSAGE

PING = 20.0
"""Seconds between two looks whether the other side still answers, and seconds that it may take to."""
CLOSE_TIMEOUT = 1.0
ROOM = "torchmultiverse-room"
"""What a signalling server of ours says first in a room; another one has no rooms, and says something else."""
_PLAIN = "".join(c for c in string.punctuation if c != "%")


async def dial(url: str, token: str | None, timeout: float = 10.0) -> ClientConnection:
    """Connect to a signalling server.

    Raises:
        EngineError: it refuses, or the address is none; asking again would not help.
        ConnectionError: nothing answers as a signalling server; it may later.
        TimeoutError: no answer.
    """
    headers = {"Authorization": f"Bearer {quote(token, safe=_PLAIN)}"} if token else None
    try:
        return await connect(
            url, additional_headers=headers, max_size=MAX_MESSAGE, compression=None, proxy=None, open_timeout=timeout,
            ping_interval=PING, ping_timeout=PING, close_timeout=CLOSE_TIMEOUT,
        )  # fmt: skip
    except InvalidStatus as error:
        status = error.response.status_code
        said = printable((error.response.body or b"").decode(errors="replace"))
        reason = f"{url} refuses the connection: HTTP {status}" + (f": {said}" if said else "")
        if status == 401 and "token" not in reason:
            reason += "; it asks for a token"
        if status >= 500:
            raise ConnectionError(reason) from None
        raise EngineError(reason) from None
    except (InvalidURI, ValueError) as error:
        raise _no_address(url, error) from None
    except InvalidHandshake as error:
        raise ConnectionError(f"{url} does not answer as a signalling server: {error}") from None
    except WebSocketException as error:
        raise ConnectionError(f"{url}: {error}") from None
    except TimeoutError:
        raise TimeoutError(f"{url} does not answer within {timeout:g} s") from None
    except OSError as error:
        raise ConnectionError(f"{url}: {error}") from None


async def enter_room(url: str, name: str, token: str | None, timeout: float) -> ClientConnection:
    """Connect to a room of a signalling server, where files go directly from a streamer to a player.

    Args:
        url: of the server, as for `dial`.
        name: of the room.
        token: for a server that asks for one.
        timeout: seconds that it may take.

    Raises:
        EngineError: see `dial`.
        ConnectionError: nothing answers, or the server has no such room.
        TimeoutError: no answer.
    """
    parts = urlsplit(url)
    address = parts._replace(path=f"{parts.path.rstrip('/')}/pixels/{name}").geturl()
    room = await dial(address, token, timeout)
    try:
        async with asyncio.timeout(timeout):
            first = await room.recv()
        if first != ROOM:
            raise ConnectionError(f"{url} has no rooms")
    except ConnectionClosed:
        raise ConnectionError(f"{url} does not let us into a room {farewell(room)}") from None
    except BaseException:
        await room.close()
        raise
    return room


def host(url: str) -> str:
    """Return the host of an address.

    Raises:
        EngineError: it is no address.
    """
    try:
        return urlsplit(url).hostname or ""
    except ValueError as error:
        raise _no_address(url, error) from None


def _no_address(url: str, error: Exception) -> EngineError:
    return EngineError(f"{url} is no address of a signalling server, such as ws://127.0.0.1:8080: {error}")


def farewell(connection: Connection) -> str:
    """Return what the other side said when it closed a connection: ``(1013: 256 peers are connected already)``."""
    code, reason = connection.close_code, printable(connection.close_reason or "")
    if code is None or code == 1006:
        return "(without a word)"
    return f"({code}: {reason})" if reason else f"({code})"


def printable(text: str, length: int = 200) -> str:
    """Return the beginning of a stranger's text as one line that a terminal may be shown."""
    return " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * length]).split())[:length]
