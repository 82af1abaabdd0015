"""Pixels by shared memory and by WebSocket, between a real client and a real streamer, and when things go wrong.

What could silently be wrong: bytes that differ with the way they came, a picture that is lost or another's when a way
breaks, a client that takes the memory of all others, memory that nobody gives back when a process dies, and a way into
the pictures for somebody who has no business there.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from contract.live import Served, serve
from typing_extensions import override
from waiting import eventually
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from torchmultiverse.engines import Failure, Frame, RenderOptions
from torchmultiverse.engines import client as engine_client
from torchmultiverse.engines import pixels as client_pixels
from torchmultiverse.engines.marker import MarkerEngine, read_marker
from torchmultiverse.engines.remote import RemoteEngine
from torchmultiverse.errors import EngineError, SpecError
from torchmultiverse.protocol import datachannel as dc
from torchmultiverse.protocol import messages, pixels, shared_memory
from torchmultiverse.scenes import Scene
from torchmultiverse.serve import LocalStack, Streamer
from torchmultiverse.serve import answers as serve_answers
from torchmultiverse.serve import pixels as serve_pixels
from torchmultiverse.serve import rooms as serve_rooms
from torchmultiverse.serve import signalling as serve_signalling

SCENES = [Scene({"World_Name": "Desert", "Camera_Yaw": n}) for n in range(40)]
ALL = ("rgb", "mask", "depth", "normals")
OPTIONS = RenderOptions(size=(96, 64), passes=ALL)
RAW = RenderOptions(size=(96, 64), passes=ALL, format="raw")
WAYS = ("channel", "shared", "websocket")


@contextmanager
def engine(served: Served, way: str = "auto", **client: Any) -> Iterator[RemoteEngine]:
    one = RemoteEngine(served.url, pixels=way, dialect="tmv", **client)
    try:
        yield one
    finally:
        one.close()


def check(answers: list[Frame | Failure], scenes: list[Scene]) -> list[Frame]:
    frames = []
    for scene, answer in zip(scenes, answers, strict=True):
        assert isinstance(answer, Frame), answer
        assert read_marker(answer.array()) == scene.scene_id
        frames.append(answer)
    return frames


def by(one: RemoteEngine) -> list[str | None]:
    """Note which way the pictures of an engine come."""
    ways: list[str | None] = []
    session = one.client._bridge
    feed = session.feed

    def noted(event: dc.Event) -> Any:
        outcomes = feed(event)
        ways.extend(outcome.done.by for outcome in outcomes if hasattr(outcome, "done"))
        return outcomes

    session.feed = noted  # type: ignore[method-assign]
    return ways


def identity(file: int) -> tuple[int, int]:
    """Return what tells a file from all others, however often it is opened."""
    facts = os.fstat(file)
    return facts.st_dev, facts.st_ino


def open_files(name: str = "") -> set[tuple[int, int]]:
    """Return the files that this process has open, of which what earlier tests left is closed at any moment.

    Args:
        name: that must be in what the system calls them.
    """
    found = set()
    for file in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            if name in os.readlink(f"/proc/self/fd/{file}"):
                found.add(identity(int(file)))
    return found


def regions() -> set[tuple[int, int]]:
    """Return the open regions of this process."""
    return open_files("torchmultiverse-pixels")


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serve() as one:
        yield one


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A way that broke is tried again soon; none is given up because a busy machine takes its time to open it."""
    monkeypatch.setattr(client_pixels, "FIRST_PAUSE", 0.05)
    monkeypatch.setattr(client_pixels, "PATIENCE", 60.0)
    monkeypatch.setattr(serve_pixels, "PATIENCE", 60.0)


@pytest.mark.parametrize("format", ["png", "jpeg", "raw"])
def test_the_bytes_are_the_same_by_all_ways(served: Served, format: Any) -> None:
    options = RenderOptions(size=(96, 64), passes=ALL, format=format)
    here = [frame for frame in MarkerEngine().render(SCENES[:6], options) if isinstance(frame, Frame)]
    for way in WAYS:
        with engine(served, way) as one:
            ways = by(one)
            assert one.client.pixels == way
            frames = check(list(one.render(SCENES[:6], options)), SCENES[:6])
        assert set(ways) == {None if way == "channel" else way}, "the pictures came another way"
        for mine, other in zip(here, frames, strict=True):
            # Without compression they would be later over the data channel, and are compressed.
            assert other.format == ("png" if (format, way) == ("raw", "channel") else format)
            for name in ALL:
                assert other.in_format(format).encoded(name) == mine.encoded(name), (way, name)


def test_hosted_engines_share_memory_by_themselves_and_a_crash_leaves_nothing() -> None:
    before, mine = set(os.listdir("/dev/shm")), regions()
    with LocalStack("marker") as stack:
        one = RemoteEngine(stack.url, lost=stack.lost, dialect="tmv", hello_timeout=60)
        ways = by(one)
        answers = one.render(SCENES, RAW)
        frames = [next(answers)]
        assert set(ways) == {"shared"}
        stack.kill_engine()
        frames += [next(answers) for _ in range(10)]
        assert len(regions() - mine) <= 1
        frames += answers
        check(frames, SCENES)
        assert one.client.pixels == "shared"
        one.close()
    assert eventually(lambda: not regions() - mine), "memory is kept"
    # Other programs put their own there meanwhile, under names of their own.
    left = [name for name in set(os.listdir("/dev/shm")) - before if "torchmultiverse" in name or name[:4] == "psm_"]
    assert not left


CLIENT = """
import sys
from torchmultiverse.engines import RenderOptions
from torchmultiverse.engines.remote import RemoteEngine
from torchmultiverse.scenes import Scene
engine = RemoteEngine(sys.argv[1], pixels=sys.argv[2], hello_timeout=60)
options = RenderOptions(size=(512, 512), format="raw")
for answer in engine.render((Scene({"World_Name": "Desert", "Camera_Yaw": n / 100}) for n in range(36000)), options):
    print(answer.sha256(), flush=True)
"""


@pytest.mark.parametrize("way", ["shared", "websocket"])
def test_a_client_that_is_killed_leaves_nothing_and_nobody_notices(way: str) -> None:
    mine = regions()
    with serve() as served:
        client = subprocess.Popen([sys.executable, "-c", CLIENT, served.url, way], stdout=subprocess.PIPE)
        with client, engine(served, way) as one:
            assert client.stdout is not None
            assert [len(client.stdout.readline()) for _ in range(3)] == [65] * 3
            outlets = served.streamer._outlets
            assert eventually(lambda: _count(outlets) == 2)
            client.send_signal(signal.SIGKILL)
            check(list(one.render(SCENES[:8], RAW)), SCENES[:8])
            assert eventually(lambda: _count(outlets) == 1), "what the dead client had is kept"
            assert one.client.pixels == way
        assert eventually(lambda: _count(outlets) == 0)
        assert eventually(lambda: len(served.server._rooms) == 0)
    assert eventually(lambda: not regions() - mine)


def _count(outlets: serve_pixels.Outlets) -> int:
    return len(outlets._rooms) + (len(outlets._door._outlets) if outlets._door else 0)


def test_a_client_that_never_frees_its_slots_falls_back_and_blocks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pixels, "REGION", 2**20)
    with serve() as served, engine(served) as greedy, engine(served) as other:
        greedy_ways, other_ways = by(greedy), by(other)
        region = greedy.client._bridge.region
        assert region is not None
        region.free = lambda offset: None  # type: ignore[method-assign]
        check(list(greedy.render(SCENES, RAW)), SCENES)
        check(list(other.render(SCENES, RAW)), SCENES)
        assert set(greedy_ways) == {"shared", None}
        assert greedy_ways[-1] is None, "the region has no end"
        assert set(other_ways) == {"shared"}, "one client takes the room of another"
        outlet = next(iter(served.streamer._players.values())).outlet
        assert isinstance(outlet, serve_pixels._SharedOutlet)
        assert outlet._slots.used * 4096 <= 2**20


def test_a_picture_larger_than_the_region_comes_over_the_data_channel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pixels, "REGION", 2**14)
    with serve() as served, engine(served) as one:
        ways = by(one)
        check(list(one.render(SCENES[:3], RAW)), SCENES[:3])
        assert set(ways) == {None}


def _overwritten(outlet: serve_pixels._SharedOutlet, told: dict[str, Any]) -> dict[str, Any]:
    offset, length = told["slots"]["rgb"]
    assert outlet._region is not None
    shared_memory.write(outlet._region, offset + length - 1, b"\0\1")
    return told


LIES = {
    "used again before it was read": _overwritten,
    "beyond the region": lambda outlet, told: told | {"slots": told["slots"] | {"rgb": (2**60, 100)}},
    "before it": lambda outlet, told: told | {"slots": told["slots"] | {"rgb": (-4096, 100)}},
    "its end beyond": lambda outlet, told: told | {"slots": told["slots"] | {"rgb": (outlet._slots.size - 10, 100)}},
    "too large": lambda outlet, told: told | {"slots": told["slots"] | {"rgb": (0, 2**40)}},
    "shorter": lambda outlet, told: told | {"slots": told["slots"] | {"rgb": (told["slots"]["rgb"][0], 100)}},
    "negative": lambda outlet, told: told | {"slots": told["slots"] | {"rgb": (0, -1)}},
    "another's": lambda outlet, told: told | {"slots": told["slots"] | {"rgb": told["slots"]["mask"]}},
    "missing": lambda outlet, told: told | {"slots": {}},
    "not shared": lambda outlet, told: told | {"by": "websocket", "slots": None},
}


def test_a_streamer_that_lies_about_its_slots_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    put = serve_pixels._SharedOutlet.put
    lies: list[str] = []

    def altered(self: serve_pixels._SharedOutlet, files: serve_pixels.Files) -> Any:
        told = put(self, files)
        return LIES[lies.pop()](self, told) if told is not None and lies else told

    monkeypatch.setattr(serve_pixels._SharedOutlet, "put", altered)
    with serve() as served, engine(served, "shared", retries=0) as alone, engine(served, "shared", retries=1) as one:
        for lie in LIES:
            lies.append(lie)
            (failure,) = alone.render(SCENES[:1], RAW)
            assert isinstance(failure, Failure), f"{lie}: believed"
            lies.append(lie)
            check(list(one.render(SCENES[:2], RAW)), SCENES[:2])
        assert one.client.pixels == alone.client.pixels == "shared"


def test_strangers_get_no_memory(served: Served) -> None:
    with engine(served, "shared") as one:
        door = served.streamer._outlets._door
        assert door is not None
        strangers = [shared_memory.dial(door.name) for _ in range(20)]
        for number, stranger in enumerate(strangers[:10]):
            try:
                stranger.send([b"", b"x", b"0" * 32, b"\xff" * 64][number % 4])
            except OSError:
                continue
        check(list(one.render(SCENES[:2], RAW)), SCENES[:2])
        for stranger in strangers[:10]:
            stranger.setblocking(True)
            stranger.settimeout(60)
            with suppress(ConnectionError):
                assert stranger.recv(100) == b"", "a region without a key"
        for stranger in strangers:
            stranger.close()
        with engine(served, "shared") as other:
            check(list(other.render(SCENES[:2], RAW)), SCENES[:2])
        with pytest.raises(Exception, match="no name of a socket"):
            shared_memory.dial("../../etc/passwd")


def test_only_sealed_memory_is_taken_for_a_region(tmp_path: Path) -> None:
    """Any other file might hang its reader, or end it by growing shorter."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    reader, writer = os.pipe()
    unsealed = os.memfd_create("x")
    os.ftruncate(unsealed, 4096)
    plain = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    sealed = shared_memory.create_region(8192)
    for size, files in ((4096, [reader]), (4096, [unsealed]), (0, [plain]), (4096, [sealed]), (2**40, [sealed]),
                        (8192, []), (8192, [sealed, sealed])):  # fmt: skip
        socket.send_fds(theirs, [size.to_bytes(8, "little")], files)
        with pytest.raises(Exception, match=r"region|sealed memory|open files"):
            shared_memory.receive_region(ours)
    socket.send_fds(theirs, [b"12345"], [sealed])
    with pytest.raises(Exception, match="open files"):
        shared_memory.receive_region(ours)
    shared_memory.send_region(theirs, sealed)
    region, size = shared_memory.receive_region(ours)
    assert size == 8192
    assert shared_memory.write(sealed, 4096, b"picture")
    assert shared_memory.read(region, 4096, 7, size=size, limit=100) == b"picture"
    with pytest.raises(OSError, match="not permitted"):
        os.ftruncate(region, 0)
    files = {identity(file) for file in (reader, writer, unsealed, plain, sealed)}
    for file in (reader, writer, unsealed, plain, sealed, region):
        os.close(file)
    assert not files & open_files(), "files are left open"
    ours.close()
    theirs.close()


@pytest.mark.parametrize("way", ["shared", "websocket"])
def test_a_way_that_breaks_loses_nothing_and_comes_back(way: str) -> None:
    with serve() as served, engine(served, way) as one:
        ways = by(one)
        answers = one.render(SCENES, RAW)
        frames = [next(answers) for _ in range(5)]

        def cut() -> None:
            for player in served.streamer._players.values():
                assert player.outlet is not None
                player.outlet.close()

        served.loop.call_soon_threadsafe(cut)
        frames += answers
        check(frames, SCENES)
        assert None in ways or eventually(lambda: one.client.pixels == way)
        assert eventually(lambda: one.client.pixels == way), "it does not come back"
        ways.clear()
        check(list(one.render(SCENES[:5], RAW)), SCENES[:5])
        assert set(ways) == {way}


class Slow(MarkerEngine):
    def __init__(self) -> None:
        super().__init__(delay=0.02)


def test_a_server_that_is_started_again_does_not_lose_pictures() -> None:
    with serve(Slow) as served, engine(served, "websocket") as one:
        answers = one.render(SCENES, RAW)
        frames = [next(answers) for _ in range(5)]
        for room in list(served.server._rooms._rooms.values()):
            served.loop.call_soon_threadsafe(room.streamer.transport.abort)
        check([*frames, *answers], SCENES)


def test_rooms_are_for_those_who_may_come_and_were_told() -> None:
    async def test(served: Served) -> None:
        name = "0" * 32
        for url in (served.url, served.server.streamer_url):
            with pytest.raises(InvalidStatus, match="401"):
                await connect(f"{url}/pixels/{name}")
            with pytest.raises(InvalidStatus, match="403"):
                await connect(f"{url}/pixels/{name}?token=right", additional_headers={"Origin": "http://evil.example"})
        with pytest.raises(ConnectionClosed, match="no such room"):
            await (await connect(f"{served.url}/pixels/{name}?token=right")).recv()
        async with connect(f"{served.server.streamer_url}/pixels/{name}?token=right") as host:
            assert await host.recv() == "torchmultiverse-room"
            with pytest.raises(ConnectionClosed, match="rooms are taken"):
                await (await connect(f"{served.server.streamer_url}/pixels/{name}?token=right")).recv()
            async with connect(f"{served.url}/pixels/{name}?token=right") as guest:
                assert await guest.recv() == "torchmultiverse-room"
                with pytest.raises(ConnectionClosed, match="somebody is in it"):
                    await (await connect(f"{served.url}/pixels/{name}?token=right")).recv()
                await host.send(b"x" * 200_000)
                assert await guest.recv() == b"x" * 200_000
                await guest.send("words")
                assert await host.recv() == "words"
            with pytest.raises(ConnectionClosed):
                await host.recv()

    with serve(token="right") as served:
        asyncio.run(asyncio.wait_for(test(served), 100))
        with engine(served, "websocket", token="right") as one:
            check(list(one.render(SCENES[:3], RAW)), SCENES[:3])


def test_whoever_comes_into_a_room_without_its_key_gets_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_pixels._SocketWay, "open", _wrong_key(client_pixels._SocketWay.open))
    with serve() as served, engine(served, "auto") as one:
        assert one.client.pixels == "shared"
    with serve(pixel_ways="websocket") as served, engine(served, "auto") as one:
        assert one.client.pixels == "channel"
        check(list(one.render(SCENES[:3], RAW)), SCENES[:3])


def _wrong_key(right: Any) -> Any:
    async def wrong(self: Any, url: str, token: str | None, place: messages.PixelsDone) -> None:
        await right(self, url, token, place.model_copy(update={"key": "0" * 32}))

    return wrong


def test_a_server_without_rooms_and_a_host_without_memory_leave_the_data_channel(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(serve_signalling, "room_of", lambda target: None)
    with serve() as served:
        with engine(served) as one:
            assert one.client.pixels == "shared"
        with pytest.raises(EngineError, match=r"pixels = 'websocket' is not to be had .* has no rooms"):
            RemoteEngine(served.url, pixels="websocket", dialect="tmv", reconnects=1)
        monkeypatch.setattr(shared_memory, "dial", _refused)
        with engine(served) as one:
            assert one.client.pixels == "channel"
            check(list(one.render(SCENES[:3], RAW)), SCENES[:3])
        with pytest.raises(EngineError, match=r"pixels = 'shared' is not to be had .* shared memory: .*refused"):
            RemoteEngine(served.url, pixels="shared", reconnects=1)


def _refused(name: str) -> socket.socket:
    raise ConnectionRefusedError("connection refused")  # as from a host where nobody listens under this name


def test_another_host_takes_the_websocket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_memory, "dial", _refused)
    with serve() as served, engine(served) as one:
        ways = by(one)
        check(list(one.render(SCENES[:10], RAW)), SCENES[:10])
        assert set(ways) == {"websocket"}


class Older(Streamer):
    """A streamer that knows of no other way and of no other format."""

    @override
    def _interaction(self, player: Any, text: str) -> None:
        assert '"do":"pixels"' not in text, "asked for what was not offered"
        super()._interaction(player, text.replace('"raw":true,', ""))


def test_pictures_so_large_that_few_find_room_are_compressed(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pixels, "MOST_RAW", 96 * 64 * 4 * 4 - 1)
    with engine(served, "shared") as one:
        assert [frame.format for frame in check(list(one.render(SCENES[:2], RAW)), SCENES[:2])] == ["png"] * 2


def test_older_ends_are_served_as_before() -> None:
    with serve(streamer_class=Older, pixel_ways="channel") as served, engine(served) as one:
        frames = check(list(one.render(SCENES[:3], RAW)), SCENES[:3])
        assert one.client.pixels == "channel"
        assert [frame.format for frame in frames] == ["png"] * 3
        for mine, other in zip(MarkerEngine().render(SCENES[:3], OPTIONS), frames, strict=True):
            assert isinstance(mine, Frame)
            assert all(mine.encoded(name) == other.encoded(name) for name in ALL)


def test_an_engine_that_does_not_answer_hello_is_served_over_the_data_channel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "HelloDone", lambda **fields: messages.Accepted(id=fields["id"]))
    with serve() as served, engine(served, hello_timeout=0.2) as one:
        check(list(one.render(SCENES[:3], RAW)), SCENES[:3])
    with serve() as served, pytest.raises(EngineError, match="does not say which ways of pixels it has"):
        RemoteEngine(served.url, pixels="shared", hello_timeout=0.2)


@pytest.mark.parametrize(
    ("way", "quick", "states"),
    [
        ("shared", 0.0, 2 * ["done"]),
        ("channel", 0.1, ["accepted", "settled", "done", "done"]),
        ("channel", 0.0, 2 * ["accepted", "settled", "done"]),
    ],
)
def test_what_costs_as_much_as_the_answer_is_left_out_where_it_may_be(
    served: Served, monkeypatch: pytest.MonkeyPatch, way: str, quick: float, states: list[str]
) -> None:
    """Over the data channel signs of life come until a picture was quick, a small share of what is waited for."""
    monkeypatch.setattr(engine_client, "QUICK", quick)
    with engine(served, way, timeout=10_000) as one:
        seen: list[str] = []
        event = one.client._event

        def noted(what: dc.Event) -> None:
            if isinstance(what, dc.Response):
                seen.append(json.loads(what.text)["state"])
            event(what)

        assert one.client._connection is not None
        one.client._connection._on_event = noted
        for scene in SCENES[:2]:
            check(list(one.render([scene], RAW)), [scene])
    assert seen == states


def test_a_picture_that_nobody_asked_to_be_raw_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    right = serve_answers.read_request

    def raw(request: messages.RenderRequest) -> Any:
        return right(request.model_copy(update={"raw": True}))

    monkeypatch.setattr(serve_answers, "read_request", raw)
    with serve() as served, engine(served, retries=0) as one:
        (failure,) = one.render(SCENES[:1], OPTIONS)
    assert isinstance(failure, Failure)
    assert "came without compression; asked was png" in failure.reason


def test_questions_for_ways_without_end_cost_nothing(served: Served) -> None:
    async def ask(one: RemoteEngine) -> None:
        for number in range(300):
            by_: Any = pixels.WAYS[number % 2]
            one.client._live().send(messages.PixelsRequest(id=f"x{number}", by=by_).encode())
        one.client._live().send('{"tmv":1,"id":"y","do":"pixels","by":"pigeon"}')

    with engine(served, "shared") as one:
        one._wait(ask(one))
        check(list(one.render(SCENES[:5], RAW)), SCENES[:5])
        assert one.client.pixels == "shared"
        outlets = served.streamer._outlets
        assert outlets._door is not None
        assert len(outlets._door._expected) <= serve_pixels.MAX_REGIONS
        assert len(outlets._rooms) <= serve_rooms.MAX_ROOMS
        outlets._door._expected.clear()
        served.loop.call_soon_threadsafe(lambda: [room.close() for room in list(outlets._rooms)])
        assert eventually(lambda: not outlets._rooms)


def test_the_environment_chooses_where_nothing_else_is_asked_for(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHMULTIVERSE_PIXELS", "websocket")
    with engine(served) as one:
        assert one.client.pixels == "websocket"
    with engine(served, "shared") as one:
        assert one.client.pixels == "shared"
    monkeypatch.setenv("TORCHMULTIVERSE_PIXELS", "pigeon")
    with pytest.raises(SpecError, match=r"pixels = 'pigeon' is unknown"):
        RemoteEngine(served.url)


def test_several_clients_at_a_time_get_their_own_pictures() -> None:
    frames: dict[int, list[Frame | Failure]] = {}

    def run(number: int) -> None:
        with engine(served, WAYS[number % 3], in_flight=6) as one:
            frames[number] = list(one.render(SCENES[number:], RAW))

    with serve() as served:
        threads = [threading.Thread(target=run, args=(number,)) for number in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(200)
    for number in range(3):
        check(frames[number], SCENES[number:])


def test_a_player_who_comes_late_finds_no_region(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve_pixels, "PATIENCE", 0.0)
    with serve() as served, engine(served) as one:
        assert one.client.pixels == "channel"
        check(list(one.render(SCENES[:2], RAW)), SCENES[:2])
        assert served.streamer._outlets._door is not None
        assert not served.streamer._outlets._door._expected
