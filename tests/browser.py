"""Chromium, driven by its debugging protocol: what tests of pages look with."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), ""
)


class Page:
    """One page of a browser, driven by its debugging protocol."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.number = 0
        self.problems: list[str] = []

    async def call(self, method: str, **parameters: Any) -> Any:
        self.number += 1
        await self.socket.send(json.dumps({"id": self.number, "method": method, "params": parameters}))
        while True:
            message = json.loads(await self.socket.recv())
            if message.get("method") in {"Runtime.exceptionThrown", "Log.entryAdded"}:
                self.problems.append(str(message["params"]))
            if message.get("id") == self.number:
                return message["result"]

    async def value(self, expression: str) -> Any:
        result = await self.call("Runtime.evaluate", expression=expression, awaitPromise=True)
        return result["result"].get("value")

    async def until(self, expression: str, seconds: float = 100) -> Any:
        for _ in range(int(seconds / 0.1)):
            if found := await self.value(expression):
                return found
            await asyncio.sleep(0.1)
        state = await self.value("document.body.innerText")
        raise AssertionError(f"{expression} did not come true; problems: {self.problems}; the page says:\n{state}")


@asynccontextmanager
async def browser(profile: Path) -> AsyncIterator[Page]:
    """An empty page of a browser of its own.

    Args:
        profile: folder to make, for the browser's own files.
    """
    profile.mkdir()
    with (profile / "stderr").open("w") as said:  # a pipe that nobody reads would hold the browser up
        process = subprocess.Popen(
            [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0",
             f"--user-data-dir={profile}", "--window-size=1100,900", "about:blank"],
            stderr=said,
        )  # fmt: skip
    try:
        async with asyncio.timeout(200):
            while not (m := re.search(r"DevTools listening on ws://[^:]+:(\d+)", (profile / "stderr").read_text())):
                assert process.poll() is None, (profile / "stderr").read_text()
                await asyncio.sleep(0.05)
        new = urllib.request.Request(f"http://127.0.0.1:{m[1]}/json/new?about:blank", method="PUT")
        target = json.loads(await asyncio.to_thread(lambda: urllib.request.urlopen(new, timeout=100).read()))
        async with connect(target["webSocketDebuggerUrl"], max_size=None, proxy=None) as socket:
            page = Page(socket)
            await page.call("Log.enable")
            await page.call("Runtime.enable")
            yield page
    finally:
        process.terminate()
        process.wait(timeout=100)
