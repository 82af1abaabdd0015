"""A web server on this machine that answers as a service of assets does, breaks off where it is told to, and notes
what it was asked.
"""

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Asked:
    """A request."""

    method: str
    path: str
    headers: dict[str, str]


@dataclass
class WebService:
    """Files by path; ``faults`` of a path come first, one for each request.

    A fault is a status (int), a status with headers (tuple), or ``("cut", count)``: only so many bytes are sent, and
    the connection is closed.
    """

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    more: dict[str, dict[str, str]] = field(default_factory=dict)
    """Headers of a path."""
    faults: dict[str, list[Any]] = field(default_factory=dict)
    guarded: str = ""
    """What ``Authorization`` must say under ``/v3/models/…/download``."""
    asked: list[Asked] = field(default_factory=list)

    def put(self, path: str, data: Any, **headers: str) -> str:
        """Serve bytes, or anything else as JSON; return the address."""
        self.files[path] = data if isinstance(data, bytes) else json.dumps(data).encode()
        self.more[path] = {name.replace("_", "-"): text for name, text in headers.items()}
        return self.url + path

    def paths(self, method: str = "GET") -> list[str]:
        return [one.path for one in self.asked if one.method == method]


class _Handler(BaseHTTPRequestHandler):
    service: WebService
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._answer(True)

    def do_HEAD(self) -> None:
        self._answer(False)

    def _refuse(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, text in headers.items():
            self.send_header(name.replace("_", "-"), text)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _answer(self, body: bool) -> None:
        service = self.service
        path = self.path.partition("?")[0]
        service.asked.append(Asked(self.command, self.path, dict(self.headers)))
        fault = service.faults[path].pop(0) if service.faults.get(path) else None
        if isinstance(fault, int):
            return self._refuse(fault)
        if isinstance(fault, tuple) and fault[0] != "cut":
            return self._refuse(fault[0], **fault[1])
        if service.guarded and path.endswith("/download") and self.headers.get("Authorization") != service.guarded:
            return self._refuse(401)
        data = service.files.get(self.path, service.files.get(path))
        if data is None:
            return self._refuse(404, **service.more.get("404", {}))
        tag = f'"{hashlib.sha256(data).hexdigest()}"'
        first, total = 0, len(data)
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if wanted and self.headers.get("If-Range", tag) == tag:
            first = int(wanted[1])
            if first >= total:
                return self._refuse(416)
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{total - 1}/{total}")
        else:
            self.send_response(200)
        said = {"ETag": tag, "Content-Length": str(total - first)} | service.more.get(path, {})
        self.close_connection = not said["Content-Length"]
        for name, text in said.items():
            if text:
                self.send_header(name, text)
        self.end_headers()
        if not body:
            return None
        if isinstance(fault, tuple):
            self.wfile.write(data[first : first + fault[1]])
            self.wfile.flush()
            self.close_connection = True
            self.connection.shutdown(1)
            return None
        self.wfile.write(data[first:])
        return None


@contextmanager
def web_service() -> Iterator[WebService]:
    """A running one."""
    service = WebService()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"service": service}))
    server.daemon_threads = True
    service.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
