"""The explorer's server, and its page in a real browser.

What could silently be wrong: a page that shows the picture of one scene beside the scores of another, a page of
somebody else that steers the engine, or a bundle that is not what its sources say.
"""

from __future__ import annotations

import asyncio
import filecmp
import json
import re
import shutil
import socket
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from browser import CHROMIUM, Page, browser
from explore.worlds import START, Broken, Colours, Fields, served
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

import torchmultiverse.explore
from torchmultiverse.connect import open_engine
from torchmultiverse.engines import Catalogue, Choice
from torchmultiverse.errors import EngineError
from torchmultiverse.explore import Explorer, Studio, explore_forever

PAGE = Path(torchmultiverse.explore.__file__).parent / "page"
SOURCES = Path(__file__).parents[2] / "web" / "explorer"
in_browser = pytest.mark.skipif(not CHROMIUM, reason="no Chromium binary on this machine")


async def heard(socket: Any, kind: str) -> dict[str, Any]:
    async with asyncio.timeout(100):
        while (event := json.loads(await socket.recv()))["type"] != kind:
            pass
    return event


def address(url: str, **more: str) -> str:
    return url.replace("http:", "ws:") + "".join(f"?{name}={value}" for name, value in more.items())


def test_what_is_no_page_and_no_message_of_it_is_refused() -> None:
    async def talk(url: str) -> None:
        for origin in ("http://example.org", "null", url.replace("127.0.0.1", "evil.test").rstrip("/")):
            with pytest.raises(InvalidStatus, match="403"):
                await connect(address(url), origin=origin, proxy=None)  # type: ignore[arg-type]
        async with connect(address(url), origin=url.rstrip("/"), proxy=None, max_size=None) as socket:  # type: ignore[arg-type]
            for wrong in (
                "",
                "{",
                "[]",
                '{"type":"look"}',
                '{"type":"fly"}',
                '{"type":"look","number":-1,"factors":{}}',
            ):
                await socket.send(wrong)
                assert (await heard(socket, "problem"))["text"]
            await socket.send(json.dumps({"type": "look", "number": 3, "factors": START}))
            assert (await heard(socket, "readings"))["number"] == 3
        socket = await connect(address(url), proxy=None, max_size=None)
        await socket.send("x" * (21 * 2**20))
        with pytest.raises(ConnectionClosed):
            await heard(socket, "never")

    with served(Fields(), Colours()) as url:
        asyncio.run(talk(url))
        for path in ("../studio.py", "..%2fstudio.py", "no.html", "/etc/passwd"):
            with pytest.raises(urllib.error.HTTPError, match="404"):
                urllib.request.urlopen(url + path, timeout=100)
        page = urllib.request.urlopen(url, timeout=100)
        assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]
        assert "http" not in page.read().decode().replace("</html>", "")


def test_a_token_is_asked_for() -> None:
    async def talk(url: str) -> None:
        for wrong in ({}, {"token": "wrong"}):
            with pytest.raises(InvalidStatus, match="401"):
                await connect(address(url, **wrong), proxy=None)
        async with connect(address(url, token="secret"), proxy=None, max_size=None) as socket:
            assert (await heard(socket, "ready"))["engine"] == "marker"

    with served(Fields(), token="secret") as url:
        asyncio.run(talk(url))
    with pytest.raises(EngineError, match="needs a token"):
        Explorer(lambda tell: None, "0.0.0.0")  # type: ignore[arg-type,return-value]


def test_what_keeps_an_explorer_from_starting_is_said_in_words() -> None:
    """An engine that did not start left a page that loads for ever; a port that is taken was a stack of calls."""

    def make(tell: Any) -> Studio:
        return Studio(lambda: open_engine("bultin"), [], tell)

    with pytest.raises(EngineError, match="Did you mean 'builtin'"):
        explore_forever(make, host="127.0.0.1", port=0, show=lambda address: None)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(EngineError, match=f"--port {port}: something listens there already"):
            explore_forever(make, host="127.0.0.1", port=port, show=lambda address: None)
    with pytest.raises(EngineError, match="no address of this machine"):
        explore_forever(make, host="no.such.host.invalid", port=0, token="x", show=lambda address: None)


def test_who_comes_later_sees_what_there_is() -> None:
    async def talk(url: str) -> None:
        async with connect(address(url), proxy=None, max_size=None) as first:
            await first.send(json.dumps({"type": "look", "number": 1, "factors": START | {"Camera_Yaw": 90}}))
            await heard(first, "readings")
            async with connect(address(url), proxy=None, max_size=None) as second:
                assert (await heard(second, "ready"))["factors"] == START | {"Camera_Yaw": 90}
                assert (await heard(second, "readings"))["readings"][0]["model"] == "colours"

    with served(Fields(), Colours()) as url:
        asyncio.run(talk(url))


_PIXEL = """(async () => {
  const image = document.querySelector('.frames img');
  await image.decode();
  const canvas = Object.assign(document.createElement('canvas'), { width: 1, height: 1 });
  const context = canvas.getContext('2d');
  context.drawImage(image, 0, 0);
  return [...context.getImageData(0, 0, 1, 1).data].slice(0, 3).join();
})()"""
_FINAL = "!!document.querySelector('.frames img.final') && !document.querySelector('[aria-busy=true]')"


async def turned(page: Page, factor: str, value: float | str) -> None:
    """Write a number into a control, as a person does."""
    await page.value(
        f"(() => {{ const box = document.querySelector('#control-{factor}').parentElement.querySelector("
        f"'.number'); box.value = {value}; box.dispatchEvent(new Event('change', {{ bubbles: true }})); }})()"
    )


async def shows(page: Page, red: int) -> None:
    """Wait until the final picture is the one of a red."""
    async with asyncio.timeout(100):
        while not (await page.value(_FINAL) and await page.value(_PIXEL) == f"{red},0,40"):
            await asyncio.sleep(0.1)


async def pressed(page: Page, key: str) -> None:
    for kind in ("keyDown", "keyUp"):
        text = key if kind == "keyDown" and len(key) == 1 else ""
        await page.call("Input.dispatchKeyEvent", type=kind, key=key, text=text)


@pytest.mark.browser
@in_browser
def test_a_factor_is_turned_and_picture_and_scores_follow(tmp_path: Path) -> None:
    async def look(url: str) -> None:
        async with browser(tmp_path / "profile") as page:
            await page.call("Page.navigate", url=url)
            await page.until(f"{_FINAL} && document.querySelectorAll('.model li').length === 3")
            assert await page.value(_PIXEL) == "0,0,40"
            assert await page.value("document.querySelector('.model li.true .text').textContent") == "Zebra ✓"
            await pressed(page, "p")
            await page.until("!document.querySelector('[title^=\"Show the reference\"]').disabled")
            await turned(page, "Camera_Yaw", 300)
            await page.until("!!document.querySelector('.badge.wrong')")
            assert await page.value(_PIXEL) == "212,0,40"
            assert await page.value("document.querySelector('.change.down') !== null")
            assert await page.value("document.querySelectorAll('.film li').length") >= 2
            await pressed(page, "u")
            await page.until("!!document.querySelector('.badge.right')")
            assert await page.value(_PIXEL) == "0,0,40"
            await pressed(page, "r")
            await page.until("!!document.querySelector('.badge.wrong')")
            # A sweep, its curve and its pictures.
            await pressed(page, "w")
            await page.value("document.querySelector('.panel form button:not([type=button])').click()")
            await page.until("document.querySelectorAll('.panel .strip li').length === 9")
            await page.until("document.querySelectorAll('.panel svg circle').length === 9")
            # A failure. Keys are letters while a field has the focus.
            await page.value("document.activeElement.blur()")
            await pressed(page, "u")
            await page.until("!!document.querySelector('.badge.right')")
            await pressed(page, "f")
            await page.value("document.querySelector('.panel form > button').click()")
            await page.until("document.querySelector('.panel [role=status]')?.textContent.includes('a failure after')")
            await page.value("document.querySelector('.found').click()")
            await page.until("!!document.querySelector('.badge.wrong')")
            assert not page.problems

    with served(Fields(), Colours()) as url:
        asyncio.run(look(url))


@pytest.mark.browser
@in_browser
def test_what_is_refused_is_taken_back_and_a_page_that_is_loaded_again_goes_on(tmp_path: Path) -> None:
    """A number that was refused held up all that came after it; pictures of a page from before a reload, all later."""

    engine = Fields()

    async def look(url: str) -> None:
        async with browser(tmp_path / "profile") as page:
            await page.call("Page.navigate", url=url)
            await page.until(f"{_FINAL} && document.querySelectorAll('.model li').length === 3")
            for yaw in (30, 60, 90):
                await turned(page, "Camera_Yaw", yaw)
                await shows(page, round(yaw / 360 * 255))
            await turned(page, "Character_Scale", 99999)
            await page.until("document.querySelector('.banner')?.textContent.includes('out of range')")
            await turned(page, "Camera_Yaw", 120)
            await shows(page, 85)
            assert await page.value("document.querySelector('.banner')") is None
            await page.value("window.loadedBefore = true")
            asked = len(engine.asked)
            await page.call("Page.reload")
            await page.until(f"!window.loadedBefore && {_FINAL} && document.querySelectorAll('.film li').length === 5")
            assert len(engine.asked) == asked, "nothing is rendered anew for a page that is loaded again"
            await pressed(page, "u")  # what was looked at, and what can be undone, is there as before
            await shows(page, 64)
            await pressed(page, "r")
            await shows(page, 85)
            await turned(page, "Camera_Yaw", 300)
            await shows(page, 212)
            await page.until("!!document.querySelector('.badge.wrong')")
            assert not page.problems

    with served(engine, Colours()) as url:
        asyncio.run(look(url))


@pytest.mark.browser
@in_browser
def test_the_page_fits_a_laptop_and_a_phone_and_every_control_has_a_name(tmp_path: Path) -> None:
    async def look(url: str) -> None:
        async with browser(tmp_path / "profile") as page:
            await page.call("Page.navigate", url=url)
            await page.until(f"{_FINAL} && !!document.querySelector('.model li')")
            for width in (1366, 820, 390):
                await page.call(
                    "Emulation.setDeviceMetricsOverride",
                    width=width,
                    height=800,
                    deviceScaleFactor=1,
                    mobile=width < 500,
                )
                wide = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
                assert await page.value(wide), f"{width} pixels are not enough"
            nameless = await page.value(
                "[...document.querySelectorAll('input:not([hidden]), select, textarea, button')].filter((one) => "
                "!one.labels?.length && !one.ariaLabel && !one.textContent.trim()).map((one) => one.outerHTML).join()"
            )
            assert nameless == ""
            names = await page.value(
                "[...document.querySelectorAll('.controls :is(input, select)')].map((one) => one.ariaLabel || "
                "one.labels[0].textContent.trim()).join('|')"
            )
            assert len(set(names.split("|"))) == len(names.split("|")), "two fields have one name"
            assert await page.value("[...document.images].every((one) => one.hasAttribute('alt'))")
            assert not page.problems

    with served(Fields(), Colours()) as url:
        asyncio.run(look(url))


@pytest.mark.browser
@in_browser
def test_a_number_is_taken_as_it_is_meant(tmp_path: Path) -> None:
    """Silently wrong was: "45,5" became 455, since a browser's own field drops the comma."""

    async def look(url: str) -> None:
        async with browser(tmp_path / "profile") as page:
            await page.call("Page.navigate", url=url)
            await page.until(_FINAL)
            for text, red in (("45,5", 32), ("90.0", 64), ("1.8e2", 128)):
                await turned(page, "Camera_Yaw", f"'{text}'")
                await shows(page, red)
            for text in ("1,000", "ninety", "", "4.5.6"):
                await turned(page, "Camera_Yaw", f"'{text}'")
                await page.until("document.querySelector('.banner')?.textContent.includes('no number that is clear')")
                assert await page.value("document.querySelector('#control-Camera_Yaw + .number').value") == "180"
            await page.value("document.querySelector('#control-Camera_Yaw + .number').focus()")
            await pressed(page, "ArrowUp")
            await shows(page, round(182 / 360 * 255))
            assert not page.problems

    with served(Fields(), Colours()) as url:
        asyncio.run(look(url))


class Worlds(Fields):
    """With so many worlds that one of them is found by its name."""

    def catalogue(self) -> Catalogue:
        found = super().catalogue()
        levels = [*(found.factors["World_Name"].levels or ()), *(f"Valley{k}" for k in range(12))]
        return found.model_copy(
            update={"factors": found.factors | {"World_Name": Choice(levels=levels)}}  # all else as it is
        )


@pytest.mark.browser
@in_browser
def test_what_is_wrong_is_said_by_the_name_of_the_control_until_it_is_right(tmp_path: Path) -> None:
    """A banner stayed although what is shown was written again, and had the name of the factor, "Character_Scale"."""

    async def wrong(page: Page, text: str) -> None:
        await page.until(f"document.querySelector('.banner')?.textContent.startsWith({json.dumps(text)})")

    async def typed(page: Page, selector: str, text: str) -> None:
        await page.value(f"document.querySelector('{selector}').focus()")
        await page.call("Input.insertText", text=text)
        await page.value("document.activeElement.blur()")

    async def look(url: str) -> None:
        async with browser(tmp_path / "profile") as page:
            await page.call("Page.navigate", url=url)
            await page.until(f"{_FINAL} && !!document.querySelector('.badge.right')")
            scale, world = "#control-Character_Scale ~ .number", "#control-World_Name"
            for text, told in (
                ("-3", "First character: scale = -3 is out of range; 0.1 to 4 × is right"),
                ("abc", "First character: scale = “abc” is no number that is clear; 0.1 to 4 × is right"),
            ):
                await typed(page, scale, text)
                await wrong(page, told)
                await typed(page, scale, "1")  # what is shown already
                await page.until("!document.querySelector('.banner')")
            await typed(page, world, "Nowhere")
            await wrong(page, "World = “Nowhere”: nothing is called that; the nearest are Desert, Snow, Museum")
            assert await page.value(f"document.querySelector('{world}').value") == "Desert"
            await typed(page, world, "Desert")
            await page.until("!document.querySelector('.banner')")
            async with connect(address(url), proxy=None, max_size=None) as other:  # and by the engine's side
                asked = {"type": "look", "number": 1, "factors": START | {"Character_Scale": 9}}
                await other.send(json.dumps(asked))
                await wrong(page, "First character: scale = 9 is out of range")
            await turned(page, "Camera_Roll", 90)
            await page.until(f"{_FINAL} && !document.querySelector('.banner')")
            await typed(page, world, "Museum")  # refused when it is rendered
            await wrong(page, "no roll in a museum")
            await page.until(f"document.querySelector('{world}').value === 'Desert'")
            await typed(page, world, "Desert")
            await page.until("!document.querySelector('.banner')")
            assert not page.problems

    with served(Worlds(), Colours()) as url:
        asyncio.run(look(url))


@pytest.mark.browser
@in_browser
def test_levels_of_a_category_are_chosen_and_shown_as_bars(tmp_path: Path) -> None:
    async def look(url: str) -> None:
        async with browser(tmp_path / "profile") as page:
            await page.call("Page.navigate", url=url)
            await page.until(f"{_FINAL} && !!document.querySelector('.model li')")
            await pressed(page, "w")
            await page.until("document.activeElement.matches('.panel select')")
            options = "[...document.querySelectorAll('.panel optgroup')].map((one) => one.label).join()"
            assert "First character,Second character" in await page.value(options)
            await page.value(
                "(() => { const box = document.activeElement; box.value = 'Character_Name'; "
                "box.dispatchEvent(new Event('change', { bubbles: true })); })()"
            )
            await page.until("document.querySelector('.picker legend')?.textContent === '5 of 5 levels'")
            await page.value("document.querySelector('.picker .line button').click()")  # none
            await page.until("document.querySelector('.panel button:not([type])').disabled")
            for name in ("Zebra", "Penguin", "Camel"):
                box = f"[...document.querySelectorAll('.picker .check')].find((one) => one.textContent === '{name}')"
                await page.value(f"{box}.querySelector('input').click()")
            await page.until("document.querySelector('.picker legend').textContent.startsWith('3 of')")
            await page.value("document.querySelector('.panel button:not([type])').click()")
            await page.until("document.querySelectorAll('.panel .strip li').length === 3")
            levels = "[...document.querySelectorAll('.panel .strip li')].map((one) => one.textContent).join()"
            assert await page.value(levels) == "Zebra,Penguin,Camel"
            # Names have no order: nothing joins them. Of penguins the model has no word.
            assert await page.value("document.querySelectorAll('.panel svg rect').length") == 2
            assert await page.value("document.querySelectorAll('.panel svg :is(polyline, circle)').length") == 0
            assert not page.problems

    with served(Fields(), Colours()) as url:
        asyncio.run(look(url))


@pytest.mark.browser
@in_browser
def test_a_page_follows_another_one(tmp_path: Path) -> None:
    async def look(url: str) -> None:
        async with browser(tmp_path / "profile") as page:
            await page.call("Page.navigate", url=url)
            await page.until(_FINAL)
            async with connect(address(url), proxy=None, max_size=None) as other:
                number = await page.value("Date.now() + 1000")
                asked = {"type": "look", "number": number, "factors": START | {"Camera_Yaw": 300}}
                await other.send(json.dumps(asked))
                await shows(page, 212)
                yaw = "document.querySelector('#control-Camera_Yaw + .number').value"
                await page.until(f"{yaw} === '300'")
                assert "another page" in await page.value("document.querySelector('.notice').textContent")
                await pressed(page, "u")  # and has the last word: what was here before comes back
                await shows(page, 0)
                assert await page.value(yaw) == "0"
            assert not page.problems

    with served(Fields(), Colours()) as url:
        asyncio.run(look(url))


@pytest.mark.browser
@in_browser
def test_a_page_without_the_token_says_so(tmp_path: Path) -> None:
    async def look(url: str) -> None:
        async with browser(tmp_path / "profile") as page:
            for query, told in (("", "a token is needed"), ("?token=wrong", "another token is right")):
                await page.call("Page.navigate", url=url + query)
                await page.until(f"document.querySelector('.banner')?.textContent.includes('{told}')")
            await page.call("Page.navigate", url=url + "?token=secret")
            await page.until(_FINAL)

    with served(Fields(), token="secret") as url:
        asyncio.run(look(url))


@pytest.mark.browser
@in_browser
def test_what_fails_is_shown_and_comes_back(tmp_path: Path) -> None:
    engine = Fields()

    async def look(page: Page) -> None:
        await page.until("document.querySelector('.model .problem')?.textContent.includes('out of memory')")
        engine.dies = 1
        await turned(page, "Camera_Yaw", 90)
        await page.until("document.querySelector('.banner')?.textContent.includes('its process ended')")
        await page.until(f"{_FINAL} && document.querySelectorAll('.film li').length === 2")

    async def main() -> None:
        async with browser(tmp_path / "profile") as page:
            with served(engine, Broken(), Colours()) as url:
                await page.call("Page.navigate", url=url)
                await page.until(_FINAL)
                await look(page)
            await page.until("document.querySelector('.banner')?.textContent.includes('the server is gone')")
            with served(Fields(), Colours(), port=int(url.rstrip("/").rpartition(":")[2])):
                await page.until("!document.querySelector('.banner')?.textContent.includes('the server is gone')")
                await turned(page, "Camera_Yaw", 300)
                await page.until("!!document.querySelector('.badge.wrong')")

    asyncio.run(main())


@pytest.mark.skipif(not shutil.which("npm"), reason="no npm on this machine")
@pytest.mark.network
def test_the_bundle_is_what_its_sources_make(tmp_path: Path) -> None:
    sources = tmp_path / "web" / "explorer"
    shutil.copytree(SOURCES, sources, ignore=shutil.ignore_patterns("node_modules"))
    fetch = ["npm", "ci", "--no-audit", "--no-fund", "--fetch-retries=1"]
    try:
        done = subprocess.run(fetch, cwd=sources, capture_output=True, text=True, timeout=120)
    except subprocess.TimeoutExpired:
        pytest.skip("npm did not fetch what the page is built with within two minutes")
    if done.returncode:
        assert not re.search(r"EUSAGE|EINTEGRITY|ERESOLVE|lock file", done.stderr), done.stderr
        pytest.skip(f"npm could not fetch what the page is built with: {' '.join(done.stderr.split())[:200]}")
    subprocess.run(["npm", "run", "check"], cwd=sources, check=True, timeout=250)
    subprocess.run(["node", "build.mjs", str(tmp_path / "page")], cwd=sources, check=True, timeout=100)
    made = sorted(path.name for path in (tmp_path / "page").iterdir())
    assert made == sorted(path.name for path in PAGE.iterdir())
    same, different, _ = filecmp.cmpfiles(PAGE, tmp_path / "page", made, shallow=False)
    assert not different, "run `npm run build` in web/explorer"
    assert len(same) == len(made)
