"""The page, in a real browser: live video over WebRTC, and a picture rendered on request.

What could silently be wrong: a page that connects and shows a black rectangle.
"""

from __future__ import annotations

import asyncio
import base64
import io
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from browser import CHROMIUM, Page, browser
from conditioned import ConditionedEngine
from contract.live import Served, serve
from PIL import Image

from torchmultiverse.engines import Catalogue, Choice, class_list
from torchmultiverse.engines.marker import MarkerEngine, read_marker
from torchmultiverse.scenes import FACTORS, Scene
from torchmultiverse.serve.streamer import Streamer


@asynccontextmanager
async def browse(address: str, profile: Path) -> AsyncIterator[Page]:
    """A page of a browser of its own, once it can be used."""
    async with browser(profile) as page:
        await page.call("Page.navigate", url=address)
        await page.until("document.getElementById('fields')?.disabled === false", 200)
        yield page


CHOSEN = {"world": "Museum", "character": "Zebra", "texture": "Grass", "light": "255,0,0,0"}


async def look(address: str, profile: Path) -> tuple[str, np.ndarray[Any, Any], np.ndarray[Any, Any], Page]:
    async with browse(address, profile) as page:
        light = "[...document.getElementById('light').options].map((one) => one.text).join()"
        assert await page.value(light) == "white,red"
        for name, level in CHOSEN.items():
            await page.value(f"document.getElementById('{name}').value = '{level}'")
        await page.value("document.querySelector('button').click()")
        caption = await page.until("document.getElementById('caption').textContent")
        scene_id = re.search(r"scene ([0-9a-f]{32})", caption)
        assert scene_id is not None, caption
        picture = await drawn(page, "picture", "naturalWidth")
        async with asyncio.timeout(100):  # the video follows at its own pace
            while read_marker(video := await drawn(page, "video", "videoWidth")) != scene_id[1]:
                await asyncio.sleep(0.2)
        return scene_id[1], picture, video, page


async def drawn(page: Page, name: str, width: str) -> np.ndarray[Any, Any]:
    """Return what an element shows, as the browser draws it."""
    data = await page.value(
        f"(() => {{ const e = document.getElementById('{name}'), c = document.createElement('canvas');"
        f"c.width = c.height = e.{width} || 64; c.getContext('2d').drawImage(e, 0, 0, c.width, c.height);"
        "return c.toDataURL().split(',')[1]; })()"
    )
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"))


@pytest.mark.browser
@pytest.mark.skipif(not CHROMIUM, reason="no Chromium binary on this machine")
@pytest.mark.parametrize(
    ("token", "generation", "transport"),
    [
        (None, "modern", "auto"),
        (None, "legacy", "aiortc"),
        ("secret", "modern", "aiortc"),
        ("secret", "legacy", "auto"),
    ],
)
def test_a_browser_shows_the_picture_and_the_video(
    tmp_path: Path, token: str | None, generation: str, transport: str
) -> None:
    with serve(token=token, generation=generation, transport=transport) as served:
        address = served.url.replace("ws:", "http:") + (f"/?token={token}" if token else "/")
        scene_id, picture, video, page = asyncio.run(look(address, tmp_path / "profile"))
    world, character, texture, light = CHOSEN.values()
    wanted = {"World_Name": world, "Character_Name": character, "Character_Texture": texture, "Scene_Light": light}
    assert read_marker(picture) == scene_id == Scene(wanted).scene_id
    assert picture.shape == (512, 512, 3)
    assert video.shape == (256, 256, 3)
    assert not page.problems


class Silent(Streamer):
    """A streamer that forgets its first offer, and leaves the first question unanswered."""

    forgotten: ClassVar[list[str]]

    async def _offer(self, name: str) -> None:
        if "offer" in self.forgotten:
            await super()._offer(name)
        else:
            self.forgotten.append("offer")

    def _interaction(self, player: Any, text: str) -> None:
        if "question" in self.forgotten:
            super()._interaction(player, text)
        else:
            self.forgotten.append("question")


@pytest.mark.browser
@pytest.mark.skipif(not CHROMIUM, reason="no Chromium binary on this machine")
@pytest.mark.parametrize("generation", ["modern", "legacy"])
def test_a_page_begins_again_when_a_step_never_comes_and_when_the_engine_was_gone(
    tmp_path: Path, generation: str
) -> None:
    async def status(served: Served) -> tuple[str, str]:
        async with browse(served.url.replace("ws:", "http:") + "/?patience=1500", tmp_path / "profile") as page:
            first = await page.value("document.getElementById('status').textContent")
            await page.value(  # a busy browser may be asked only when it is connected again
                "new MutationObserver(([one]) => { window.gone ||= one.target.disabled "
                "&& document.getElementById('status').textContent; })"
                ".observe(document.getElementById('fields'), { attributes: true })"
            )
            socket = served.streamer._socket
            assert socket is not None
            asyncio.run_coroutine_threadsafe(socket.close(), served.loop).result(100)
            await page.until("window.gone")
            await page.until("!document.getElementById('fields').disabled", 200)
            return str(first), str(await page.value("document.getElementById('status').textContent"))

    Silent.forgotten = []
    with serve(MarkerEngine, generation=generation, streamer_class=Silent) as served:
        said = asyncio.run(status(served))
    assert Silent.forgotten == ["offer", "question"]
    assert all(one.startswith("connected to engine") for one in said)


@pytest.mark.browser
@pytest.mark.skipif(not CHROMIUM, reason="no Chromium binary on this machine")
def test_conditions_that_the_engine_offers_are_controls_and_empty_ones_are_not_asked_for(tmp_path: Path) -> None:
    async def rendered(address: str) -> tuple[list[str], str, str]:
        async with browse(address, tmp_path / "profile") as page:
            names = "[...document.querySelectorAll('#conditions label')].map((one) => one.textContent).join('|')"
            labels = str(await page.value(names)).split("|")
            fog = "document.querySelector('#conditions [name=Fog_Visibility]')"
            limits = str(await page.value(f"[{fog}.min, {fog}.max, {fog}.placeholder].join()"))
            await page.value(f"{fog}.value = '30'; document.querySelector('button').click()")
            caption = str(await page.until("document.getElementById('caption').textContent"))
            assert not page.problems
            return labels, limits, caption

    with serve(ConditionedEngine) as served:
        labels, limits, caption = asyncio.run(rendered(served.url.replace("ws:", "http:") + "/"))
    numbers = [factor for factor in FACTORS if factor.group and factor.kind == "number"]
    assert len(labels) == len(numbers)
    assert {"Fog Visibility (m)", "Rain (mm/h)", "Camera Electrons"} <= set(labels)
    assert limits == "5,100000,own"
    assert re.search(r"scene ([0-9a-f]{32})", caption), caption
    scene = {"World_Name": caption.split(" · ")[1], "Character_Name": caption.split(" · ")[0], "Fog_Visibility": 30}
    assert Scene(scene).scene_id in caption


class Classed(MarkerEngine):
    """Test cards of characters whose classes are known: an animal, and two of one class of objects."""

    def catalogue(self) -> Catalogue:
        found = super().catalogue()
        names = ["blank", "Zebra", "Cofee_Mug_1", "Cofee_Mug_2"]
        choice = Choice(levels=names, about={"Cofee_Mug_2": "coffee mug: tin"})
        factors = {**found.factors, "Character_Name": choice}
        return found.model_copy(update={"factors": factors, "classes": class_list(names[1:])})


@pytest.mark.browser
@pytest.mark.skipif(not CHROMIUM, reason="no Chromium binary on this machine")
def test_characters_are_chosen_by_class_where_the_engine_says_which_they_are_of(tmp_path: Path) -> None:
    texts = "[...document.getElementById('{}').options].map((one) => one.text).join('|')"

    async def chosen(address: str) -> list[str]:
        async with browse(address, tmp_path / "profile") as page:
            said = [await page.value(texts.format("class"))]
            for option in ("coffee mug", "zebra", "no character"):
                await page.value(
                    "(() => { const list = document.getElementById('class'); const one = [...list.options].find((o) => "
                    f"o.text.startsWith('{option}')); list.value = one.value; "
                    "list.dispatchEvent(new Event('change', { bubbles: true })); })()"
                )
                said.append(await page.value(texts.format("character")))
                said.append(await page.value("document.getElementById('character').value"))
                said.append(str(await page.value("document.getElementById('character-field').hidden")))
            assert not page.problems
            return said

    with serve(Classed) as served:
        said = asyncio.run(chosen(served.url.replace("ws:", "http:") + "/"))
    assert said[0] == "no character|zebra|coffee mug (2)"
    assert said[1:4] == ["Cofee_Mug_1|coffee mug: tin", "Cofee_Mug_1", "False"]
    assert said[4:7] == ["Zebra", "Zebra", "True"]
    assert said[7:] == ["blank", "blank", "True"]
