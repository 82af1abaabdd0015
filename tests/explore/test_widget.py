"""The explorer in a notebook: a real kernel, spoken to as a notebook's page does.

What could silently be wrong: a widget that shows itself and never answers.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("anywidget")
CODE = """
import sys
sys.path.insert(0, {tests!r})
from explore.worlds import START, Colours, Fields
from torchmultiverse.engines import RenderOptions
from torchmultiverse.explore import Reader, Studio
from torchmultiverse.explore.widget import _kind
from torchmultiverse.scenes import Scene
options = RenderOptions(size=(32, 32), format="raw")
widget = _kind()(lambda tell: Studio(Fields, [Reader(Colours())], tell, options, Scene(START)), None)
widget
"""


class Notebook:
    """What a notebook's page does with the messages of its kernel."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.opened: dict[str, Any] = {}
        self.events: list[dict[str, Any]] = []

    def pump(self) -> None:
        message = self.client.get_iopub_msg(timeout=100)
        content = message["content"]
        if message["msg_type"] == "error":
            raise AssertionError("\\n".join(content["traceback"]))
        if message["msg_type"] == "comm_open":
            self.opened[content["comm_id"]] = content["data"]["state"]
        if message["msg_type"] == "comm_msg" and content["data"].get("method") == "custom":
            self.events.append(content["data"]["content"])

    def until(self, kind: str) -> dict[str, Any]:
        end = time.monotonic() + 200
        while time.monotonic() < end:
            for k, event in enumerate(self.events):
                if event["type"] == kind:
                    del self.events[: k + 1]
                    return event
            self.pump()
        raise AssertionError(kind)

    @property
    def widget(self) -> str:
        return next(name for name, state in self.opened.items() if "_esm" in state)

    def send(self, content: dict[str, Any]) -> None:
        data = {"method": "custom", "content": content}
        message = self.client.session.msg("comm_msg", {"comm_id": self.widget, "data": data})
        self.client.shell_channel.send(message)


def test_a_kernel_answers_the_widget_of_its_notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manager = pytest.importorskip("jupyter_client.manager")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))  # the history of the home is of all kernels there are
    monkeypatch.chdir(tmp_path)  # where the files of the sockets are made
    # Over a socket file: a kernel's ports are chosen before it binds them.
    kernel = manager.KernelManager(kernel_name="python3", transport="ipc")
    kernel.start_kernel()
    client = kernel.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=200)
        notebook = Notebook(client)
        client.execute(CODE.format(tests=str(Path(__file__).parents[1])))
        while not any("_esm" in state for state in notebook.opened.values()):
            notebook.pump()
        assert "msg:custom" in notebook.opened[notebook.widget]["_esm"]
        notebook.send({"type": "hello"})
        assert notebook.until("ready")["models"][0]["name"] == "colours"
        notebook.send({"type": "look", "number": 1, "factors": {"World_Name": "Desert", "Character_Name": "Zebra"}})
        assert notebook.until("picture")["image"].startswith("data:image/")
        assert notebook.until("readings")["readings"][0]["top"][0]["text"] == "Zebra"
        notebook.send({"type": "fly"})
        assert notebook.until("problem")["text"]
    finally:
        client.stop_channels()
        kernel.shutdown_kernel(now=True)
