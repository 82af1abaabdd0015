"""Who may connect: loopback by default, anything else only with a token."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Iterable
from urllib.parse import parse_qs, unquote, urlsplit

from torchmultiverse.errors import EngineError


def is_loopback(host: str) -> bool:
    """Whether an address or name stands for this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check_bind(host: str, token: str | None) -> None:
    """Refuse to listen to other machines without a token.

    Raises:
        EngineError: says how to set one.
    """
    if not is_loopback(host) and not token:
        raise EngineError(
            f"binding to {host} lets other machines in and needs a token: --token … or TORCHMULTIVERSE_TOKEN=…"
        )


def check_origins(origins: Iterable[str]) -> frozenset[str]:
    """Return the origins whose pages may connect besides our own, in the spelling of browsers.

    Raises:
        EngineError: one that is no origin.
    """
    allowed = set()
    for origin in origins:
        try:
            parts = urlsplit(origin)
            netloc = parts.netloc if parts.port is None or parts.port >= 0 else ""
        except ValueError:
            netloc = ""
        if not netloc or parts.scheme not in ("http", "https") or parts.path.strip("/") or parts.query or "@" in netloc:
            raise EngineError(f"origin = {origin!r}; scheme and host of a page are right: https://example.org:8443")
        allowed.add(f"{parts.scheme}://{netloc.lower()}")
    return frozenset(allowed)


def origin_allowed(origin: str | None, host: str, *, token: str | None, allowed: frozenset[str] = frozenset()) -> bool:
    """Whether a page may connect: somebody else's must not steer an engine here.

    Args:
        origin: of the page, as the browser says; ``None``: no page.
        host: under which name the browser reached this server.
        token: that this server asks for.
        allowed: of `check_origins`.
    """
    if origin is None or origin.lower() in allowed:
        return True
    if origin.partition("://")[2] != host:
        return False
    # A foreign name that was made to point at this machine has the right origin, but not a name of this machine.
    try:
        return token is not None or is_loopback(urlsplit(f"//{host}").hostname or "")
    except ValueError:
        return False


def authorised(token: str | None, query: str, authorization: str) -> bool:
    """Whether a request carries the token: as ``?token=``, or as a bearer, plain or percent-encoded."""
    if token is None:
        return True
    bearer = authorization.removeprefix("Bearer ")
    given = [*parse_qs(query).get("token", ()), bearer, unquote(bearer)]
    return any([hmac.compare_digest(one.encode(errors="replace"), token.encode()) for one in given])
