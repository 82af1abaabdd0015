"""Shared memory between a streamer and a player of one host, and the socket at which they meet.

The streamer listens at a socket that has a random name and no place in any file system (an abstract socket of Linux).
The player connects there, which works on the same host only, says the key that it was told over the data channel, and
is handed an open file: anonymous memory (``memfd``) that can neither shrink nor grow. So both ends know that they share
a host, neither opens a path that the other one named, and the kernel takes everything back when both are gone, however
they end: nothing can be left behind.

Either end talks only to processes of its own user. Files are written and read by ``pwrite`` and ``pread``, one copy
each: a reader that kept a view instead would have its picture change under its hands, after it was proven.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import socket
import stat
import struct
import sys

from torchmultiverse.errors import ProtocolError
from torchmultiverse.protocol.pixels import NAME, REGION

_CREDENTIALS = struct.Struct("3i")
_SIZE = struct.Struct("<Q")


def available() -> bool:
    """Tell whether this system can share memory in this way."""
    return sys.platform == "linux" and hasattr(os, "memfd_create") and hasattr(socket, "recv_fds")


def new_name() -> str:
    """Return a name, or a key, that nobody guesses: 32 hexadecimal digits."""
    return secrets.token_hex(16)


def _address(name: str) -> str:
    if not NAME.fullmatch(name):
        raise ProtocolError(f"{name[:40]!r} is no name of a socket; 32 hexadecimal digits are right")
    return f"\0torchmultiverse-{name}"


def _new_socket() -> socket.socket:
    kind = socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
    return socket.socket(socket.AF_UNIX, kind)


def listen(name: str) -> socket.socket:
    """Return a socket that listens at a name; accepting does not block.

    Raises:
        OSError: it is taken, or there are no such sockets here.
    """
    one = _new_socket()
    try:
        one.bind(_address(name))
        one.listen(128)
    except BaseException:
        one.close()
        raise
    return one


def dial(name: str) -> socket.socket:
    """Return a socket that is connected to the one that listens at a name, if both ends are of one user.

    Raises:
        OSError: nobody listens there: the other end is on another host, or in another network of this one.
        ProtocolError: somebody else does.
    """
    one = _new_socket()
    try:
        one.connect(_address(name))
        check_peer(one)
    except BaseException:
        one.close()
        raise
    return one


def check_peer(connected: socket.socket) -> None:
    """Check that the other end of a socket is of the same user.

    Raises:
        ProtocolError: it is not.
    """
    packed = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, user, _ = _CREDENTIALS.unpack(packed)
    if user != os.geteuid():
        raise ProtocolError(f"the other end is of user {user}, and this one of {os.geteuid()}")


def create_region(size: int = REGION) -> int:
    """Return an open file of anonymous memory of so many bytes, none of which is taken before it is written.

    Raises:
        OSError: there is none.
    """
    file = os.memfd_create("torchmultiverse-pixels", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(file, size)
        fcntl.fcntl(file, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
    except BaseException:
        os.close(file)
        raise
    return file


def send_region(connected: socket.socket, region: int) -> None:
    """Hand an open region to the other end.

    Raises:
        OSError: it is gone.
    """
    socket.send_fds(connected, [_SIZE.pack(os.fstat(region).st_size)], [region])


def receive_region(connected: socket.socket) -> tuple[int, int]:
    """Return the region that the other end handed over, as an open file, and its size in bytes.

    Raises:
        OSError: the other end is gone, or has not said anything yet.
        ProtocolError: what came is no region.
    """
    message, files, _, _ = socket.recv_fds(connected, 64, 4, socket.MSG_CMSG_CLOEXEC)
    try:
        if len(message) != _SIZE.size or len(files) != 1:
            raise ProtocolError(f"{len(message)} bytes and {len(files)} open files came; a size and one file are right")
        (size,) = _SIZE.unpack(message)
        _check_region(files[0], size)
    except BaseException:
        for file in files:
            os.close(file)
        raise
    return files[0], size


def _check_region(file: int, size: int) -> None:
    """Check that an open file is memory that cannot shrink: reading anything else might hang or end this process."""
    try:
        seals = fcntl.fcntl(file, fcntl.F_GET_SEALS)
    except OSError:
        seals = 0
    found = os.fstat(file)
    if not seals & fcntl.F_SEAL_SHRINK or not stat.S_ISREG(found.st_mode):
        raise ProtocolError("the open file that came is no sealed memory")
    if not 0 < size <= REGION or found.st_size != size:
        raise ProtocolError(f"a region of {size} bytes was announced, and has {found.st_size}; at most {REGION}")


def write(region: int, offset: int, data: bytes) -> bool:
    """Write a file to a slot; return whether there was memory for all of it."""
    try:
        return os.pwrite(region, data, offset) == len(data)
    except OSError:
        return False


def read(region: int, offset: int, length: int, *, size: int, limit: int) -> bytes:
    """Return what a slot holds: a copy.

    Args:
        region: an open region.
        offset, length: of the slot, as the other end says.
        size: of the region, in bytes.
        limit: largest file that is accepted, in bytes.

    Raises:
        ProtocolError: the slot is not in the region, or too large.
    """
    if not 0 <= length <= limit:
        raise ProtocolError(f"{length} bytes announced; {limit} is the limit")
    if not 0 <= offset <= size - length:
        raise ProtocolError(f"bytes {offset} to {offset + length} are not in a region of {size}")
    data = os.pread(region, length, offset)
    if len(data) != length:
        raise ProtocolError(f"{len(data)} bytes are there, {length} were announced")
    return data
