"""ICE candidates as texts: out of an SDP, and which of a peer's are of use. The same for every stack."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address

from torchmultiverse.protocol.signalling import Message

TRICKLED = 5
"""ICE candidates that a streamer sends at least. The published client answers after the fourth, and only leaves its
signalling loop at the end if one more came."""
_CANDIDATE = "a=candidate:"
_END = "a=end-of-candidates"


def trickled(sdp: str) -> tuple[str, list[Message]]:
    """Take the ICE candidates out of an SDP, to be sent one by one after it, as Unreal does.

    The published client counts them, and breaks on an end of candidates, in the SDP as well as trickled. Where there
    are fewer than `TRICKLED`, they are said again: whoever knows a candidate already leaves it out.
    """
    lines = sdp.splitlines()
    kept = [line for line in lines if not line.startswith((_CANDIDATE, _END))]
    found: list[Message] = []
    session = _attribute(lines[: _starts(lines)[0]], "ice-ufrag")
    for index, (begin, end) in enumerate(_sections(lines)):
        section = lines[begin:end]
        mid, user = _attribute(section, "mid"), _attribute(section, "ice-ufrag") or session
        for line in section:
            if line.startswith(_CANDIDATE):
                text = line.removeprefix("a=")
                found.append({"candidate": text, "sdpMid": mid, "sdpMLineIndex": index, "usernameFragment": user})
    rounds = -(-TRICKLED // len(found)) if found else 0
    return "\r\n".join(kept) + "\r\n", found * max(rounds, 1)


def filtered(sdp: str, keep: Callable[[str], bool]) -> str:
    """Return an SDP with those ICE candidates only whose text (after ``candidate:``) is to be kept."""
    lines = [
        line
        for line in sdp.splitlines()
        if not line.startswith(_CANDIDATE) or keep(line.removeprefix(_CANDIDATE).strip())
    ]
    return "\r\n".join(lines) + "\r\n"


def address(candidate: str) -> str | None:
    """Return the IP address of a UDP candidate, with or without ``candidate:`` before it.

    None for one that is not of use: TCP, a name (mDNS; nobody is asked for it), or no candidate at all.
    """
    fields = candidate.removeprefix("candidate:").split()
    if len(fields) < 8 or fields[2].lower() != "udp":
        return None
    try:
        return str(ip_address(fields[4]))
    except ValueError:
        return None


def is_loopback_candidate(candidate: str) -> bool:
    """Whether a candidate is a UDP port of the loopback interface."""
    found = address(candidate)
    return found is not None and ip_address(found).is_loopback


def _attribute(lines: list[str], name: str) -> str | None:
    found = next((line for line in lines if line.startswith(f"a={name}:")), None)
    return None if found is None else found.partition(":")[2].strip()


def _starts(lines: list[str]) -> list[int]:
    return [number for number, line in enumerate(lines) if line.startswith("m=")] or [len(lines)]


def _sections(lines: list[str]) -> list[tuple[int, int]]:
    starts = _starts(lines)
    return list(zip(starts, [*starts[1:], len(lines)], strict=True))
