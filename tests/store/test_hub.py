"""A push to a Hub, here a small server that speaks the part of its interface that a push needs.

What could be silently wrong: files that are not the dataset's are sent, or some of its own are not; files of an earlier
version stay, and whoever reads the repository gets their rows as well.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from torchmultiverse.engines.marker import MarkerEngine
from torchmultiverse.errors import DatasetError
from torchmultiverse.farm import generate
from torchmultiverse.store.hub import files_to_push, push

pytest.importorskip("huggingface_hub", reason="the Hub's client is not installed")


class Hub(BaseHTTPRequestHandler):
    """Takes every file inline, as the real one does with small text files."""

    sent: dict[str, bytes]
    held: set[str]
    made: list[dict[str, Any]]

    def log_message(self, *args: Any) -> None:
        pass

    def _answer(self, what: Any, code: int = 200) -> None:
        body = json.dumps(what).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        if "/tree/" in self.path:
            self._answer([{"type": "file", "path": p, "oid": "0" * 40, "size": 1} for p in sorted(self.held)])
            return
        self._answer({"id": "me/small", "sha": "0" * 40, "siblings": [], "private": True, "name": "me"})

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/api/repos/create":
            self.made.append(json.loads(data))
            if self.made[-1]["name"] == "refused":
                self._answer({"error": "You don't have the rights"}, 403)
                return
            self._answer({"url": f"http://{self.headers['Host']}/datasets/me/small", "name": "me/small"})
        elif "/preupload/" in self.path:
            files = json.loads(data)["files"]
            self._answer(
                {"files": [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in files]}
            )
        elif "/commit/" in self.path:
            for line in data.splitlines():
                entry = json.loads(line)
                if entry["key"] == "file":
                    self.sent[entry["value"]["path"]] = base64.b64decode(entry["value"]["content"])
                    self.held.add(entry["value"]["path"])
                elif entry["key"] == "deletedFile":
                    self.held.remove(entry["value"]["path"])
            address = f"http://{self.headers['Host']}/datasets/me/small/commit/{'1' * 40}"
            self._answer({"success": True, "commitUrl": address, "commitOid": "1" * 40})
        else:
            self._answer({"message": "ok"})


@pytest.fixture
def hub() -> Iterator[tuple[str, type[Hub]]]:
    handler = type("Handler", (Hub,), {"sent": {}, "made": [], "held": {".gitattributes"}})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", handler
    server.shutdown()
    server.server_close()
    thread.join(10)


def test_exactly_the_files_of_the_dataset_are_sent(
    hub: tuple[str, type[Hub]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    address, handler = hub
    out = tmp_path / "small"
    spec = {"World_Name": ["Desert", "Snow"], "Character_Name": ["Camel"]}
    generate(spec, out, MarkerEngine, size=32, progress=False)
    (out / "notes.txt").write_text("mine")
    (out / "data" / "other.parquet").write_text("mine")
    assert push(out, "me/small", private=True, endpoint=address).endswith("/datasets/me/small")
    assert handler.sent == {str(file.relative_to(out)): file.read_bytes() for file in files_to_push(out)}
    assert {"README.md", "manifest.json", "samples.jpg", "data/train-00000.parquet"} <= set(handler.sent)
    assert "private" in (handler.made[0].get("visibility"), handler.made[0].get("private") and "private")
    assert handler.made[0]["type"] == "dataset"


def test_what_an_earlier_version_left_goes_and_nothing_else(
    hub: tuple[str, type[Hub]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    address, handler = hub
    out = tmp_path / "small"
    generate({"World_Name": ["Desert"], "Character_Name": ["Camel"]}, out, MarkerEngine, size=32, progress=False)
    own = {str(file.relative_to(out)) for file in files_to_push(out)}
    theirs = {".gitattributes", "notes.md", "figures/data.png", "data.csv"}
    stale = {"data/train-00001.parquet", "data/test-00000.parquet", "data/train-00000-of-00004.parquet", "failed.jpg"}
    assert not own & stale
    handler.held |= theirs | stale | {"data/train-00000.parquet", "README.md"}
    push(out, "me/small", endpoint=address)
    assert handler.held == own | theirs
    push(out, "me/small", endpoint=address)
    assert handler.held == own | theirs


def test_a_refusal_and_no_way_to_the_hub_are_told(
    hub: tuple[str, type[Hub]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    out = tmp_path / "small"
    generate({"World_Name": ["Desert"], "Character_Name": ["Camel"]}, out, MarkerEngine, size=32, progress=False)
    with pytest.raises(DatasetError, match="me/refused could not be sent"):
        push(out, "me/refused", endpoint=hub[0])
    with pytest.raises(DatasetError, match=r"could not be sent to http://127\.0\.0\.1:9"):
        push(out, "me/small", endpoint="http://127.0.0.1:9")
