"""Epic's published browser front ends in Chromium, against our signalling server and streamer.

What could silently be wrong: everything here agrees with itself, and with nobody else: a page of Epic's that gets no
offer, shows a black rectangle, reads other ids than we write, or stays frozen for ever once the engine was restarted.
"""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, get_args

import front_end
import numpy as np
import pytest
from browser import CHROMIUM, Page, browser
from contract.live import serve
from PIL import Image

from torchmultiverse.engines.marker import read_marker
from torchmultiverse.errors import EngineError
from torchmultiverse.protocol import webrtc
from torchmultiverse.scenes import Scene
from torchmultiverse.serve import SignallingServer

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM, reason="no Chromium binary on this machine"),
]
# The oldest reads `Protocol` in another way than the newest; those between are left to the slow tests.
FAST = {front_end.VERSIONS[0], front_end.VERSIONS[-1]}
NEWEST = front_end.VERSIONS[-1]
EACH = [pytest.param(one, marks=[] if one in FAST else [pytest.mark.slow]) for one in front_end.VERSIONS]


@pytest.fixture(params=get_args(webrtc.Stack), autouse=True)
def stack(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The streamer's WebRTC, in its processes as well."""
    monkeypatch.setenv(webrtc.TRANSPORT_VARIABLE, request.param)
    try:
        return webrtc.choose_stack()
    except EngineError as error:
        pytest.skip(str(error))


START = """
const library = {script};
const parent = document.createElement('div');
Object.assign(parent.style, {{ position: 'absolute', width: '640px', height: '480px' }});
document.body.replaceChildren(parent);
window.said = []; window.happened = []; window.errors = [];
for (const kind of ['error', 'warn']) console[kind] = (...all) => window.errors.push(all.map(String).join(' '));
const config = new library.Config({{ initialSettings: {{
  ss: '{url}', AutoConnect: true, AutoPlayVideo: true, StartVideoMuted: true, HoveringMouse: true,
}} }});
window.stream = new library.PixelStreaming(config, {{ videoElementParent: parent }});
for (const name of ['webRtcConnected', 'dataChannelOpen', 'playStream', 'videoInitialized', 'loadFreezeFrame',
                    'webRtcDisconnected', 'streamerListMessage', 'subscribeFailed', 'initialSettings'])
  window.stream.addEventListener(name, () => window.happened.push(name));
window.stream.addResponseEventListener('test', (text) => window.said.push(text));
"""
PLAYING = (
    "(() => { const v = document.querySelector('video'); return !!v && v.videoWidth > 0 && !v.paused "
    "&& v.currentTime > 0 && window.happened.includes('dataChannelOpen'); })()"
)


# The statistics of 5.2 to 5.4 want the name of a codec, and on a busy machine come before the first picture has one.
THEIRS = ("favicon.ico", "Cannot read properties of undefined (reading 'split')")


class FrontEnd:
    """A front end on a page of its own, which is one of the server's, so that its origin is right."""

    def __init__(self, page: Page) -> None:
        self.page = page

    async def ask(self, message: dict[str, Any], state: str) -> dict[str, Any]:
        """Send a ``UIInteraction`` and return its ``Response`` in a state."""
        await self.send(message)
        wanted = f"JSON.parse(t).id === '{message['id']}' && JSON.parse(t).state === '{state}'"
        return dict(json.loads(await self.page.until(f"window.said.find((t) => {wanted})")))

    async def send(self, message: dict[str, Any]) -> None:
        await self.page.until(f"window.stream.emitUIInteraction({json.dumps(message)})")

    async def until_shown(self, scene: Scene, selector: str, width: str) -> tuple[int, int]:
        """Wait until an element shows a scene's test card, and return width and height of what it shows."""
        async with asyncio.timeout(100):
            while read_marker(picture := await self._drawn(selector, width)) != scene.scene_id:
                await asyncio.sleep(0.05)
        return picture.shape[1], picture.shape[0]

    async def _drawn(self, selector: str, width: str) -> np.ndarray[Any, Any]:
        data = await self.page.value(
            f"(() => {{ const e = document.querySelector('{selector}'), c = document.createElement('canvas');"
            f"c.width = e.{width} || 64; c.height = e.{width.replace('Width', 'Height')} || 64;"
            "c.getContext('2d').drawImage(e, 0, 0); return c.toDataURL().split(',')[1]; })()"
        )
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"))


@asynccontextmanager
async def front(version: str, url: str, profile: Path) -> AsyncIterator[FrontEnd]:
    script = front_end.script(version)
    async with browser(profile) as page:
        await page.call("Page.navigate", url=url.replace("ws:", "http:") + "/style.css")
        await page.until("document.contentType === 'text/css' && !!document.body")
        said = await page.call("Runtime.evaluate", expression=START.format(script=script, url=url))
        assert "exceptionDetails" not in said, said
        await page.until(PLAYING)
        yield FrontEnd(page)
        assert not [one for one in page.problems if not any(known in one for known in THEIRS)]


def render(scene: Scene, name: str) -> dict[str, Any]:
    return {"tmv": 1, "do": "render", "id": name, "scene": scene.wire, "size": [256, 256], "format": "jpeg"}


@pytest.mark.parametrize("version", EACH)
def test_video_interaction_response_and_freeze_frame(version: str, tmp_path: Path) -> None:
    front_end.installed()
    scenes = [Scene({"World_Name": "Desert", "Camera_Yaw": yaw}) for yaw in (0, 10, 20)]

    async def test(url: str) -> None:
        async with front(version, url, tmp_path / "profile") as one:
            hello = await one.ask({"tmv": 1, "do": "hello", "id": "h"}, "done")
            assert hello["dialect"] == "tmv"
            for number, scene in enumerate(scenes[:2]):  # that its pixels change, and to what
                done = await one.ask(render(scene, f"r{number}"), "done")
                assert done["scene_id"] == scene.scene_id
                assert await one.until_shown(scene, "video", "videoWidth") == (256, 256)
            await one.send({"Resolution": 1, "X": 160, "Y": 96})
            await one.send(scenes[2].wire)
            assert await one.until_shown(scenes[2], "#freezeFrame img", "naturalWidth") == (160, 96)
            assert await one.page.value("document.querySelector('#freezeFrame').style.display") == "block"
            happened = json.loads(await one.page.value("JSON.stringify(window.happened)"))
            assert {"webRtcConnected", "initialSettings", "loadFreezeFrame"} <= set(happened), happened
            errors = json.loads(await one.page.value("JSON.stringify(window.errors)"))
            # What they have no handler for, they say; above all, none finds our `Protocol` malformed.
            assert not [one for one in errors if "There was no registered handler" not in one]

    with serve() as served:
        asyncio.run(asyncio.wait_for(test(served.url), 250))


async def engine(url: str) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "torchmultiverse.serve.engine_process", "--engine", "marker", "--signalling", url,
        stdout=asyncio.subprocess.PIPE, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert process.stdout is not None
    assert await process.stdout.readline()
    return process


async def signalling(streamer_port: int = 0, player_port: int = 0) -> SignallingServer:
    server = SignallingServer(streamer_port=streamer_port, player_port=player_port)
    await server.start()
    return server


RESTARTS = [
    pytest.param(killed, one, marks=[] if (killed, one) == ("the engine", NEWEST) else [pytest.mark.slow])
    for killed in ("the engine", "the signalling server")
    for one in front_end.VERSIONS
]


@pytest.mark.parametrize(("killed", "version"), RESTARTS)
def test_what_was_killed_and_comes_back_is_found_again_by_itself(killed: str, version: str, tmp_path: Path) -> None:
    front_end.installed()
    scenes = [Scene({"World_Name": "Snow", "Camera_Yaw": yaw}) for yaw in (0, 10)]

    async def test() -> None:
        server = await signalling()
        process = await engine(server.streamer_url)
        try:
            async with front(version, server.url, tmp_path / "profile") as one:
                await one.ask(render(scenes[0], "before"), "done")
                # What plays afterwards must be another video, not the frozen last picture of the first.
                await one.page.value("window.happened.length = 0, document.querySelector('video').srcObject = null, 0")
                if killed == "the engine":
                    process.kill()
                    await process.wait()
                    process = await engine(server.streamer_url)
                else:
                    await server.stop()
                    server = await signalling(server.streamer_port, server.player_port)
                await one.page.until(PLAYING)
                done = await one.ask(render(scenes[1], "after"), "done")
                assert done["scene_id"] == scenes[1].scene_id
                await one.until_shown(scenes[1], "video", "videoWidth")
        finally:
            process.kill()
            await process.wait()
            await server.stop()

    asyncio.run(asyncio.wait_for(test(), 280))
