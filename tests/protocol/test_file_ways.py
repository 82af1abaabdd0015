"""Files by shared memory and by WebSocket, without a network: the books of slots, the parts of files, the proofs.

What could silently be wrong: a slot that is handed out twice shows one picture under another's hash, a part that is
taken for another file's, a size that is believed, and a picture whose file came by another way and was never proven.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress

import numpy as np
import pytest

from torchmultiverse.engines import codec
from torchmultiverse.errors import ProtocolError, SpecError
from torchmultiverse.protocol import bridge, pixels
from torchmultiverse.protocol import datachannel as dc
from torchmultiverse.scenes import Scene

SCENE = Scene({"World_Name": "Desert"})


def test_slots_never_overlap_and_are_used_again() -> None:
    rng = np.random.default_rng(0)
    slots, held = pixels.Slots(1 << 20), {}
    refused = 0
    for _ in range(3000):
        if held and rng.random() < 0.5:
            offset = int(rng.choice(list(held)))
            slots.free(offset)
            del held[offset]
            continue
        length = int(rng.integers(0, 200_000))
        found = slots.take(length)
        if found is None:
            refused += 1
            continue
        assert 0 <= found <= slots.size - length
        assert all(found + length <= other or other + size <= found for other, size in held.items())
        held[found] = length
    assert refused, "it never was full"
    for offset in held:
        slots.free(offset)
    assert slots.take(1 << 20) == 0
    slots.free(4096)  # nobody's
    assert slots.used == 1


def test_what_was_read_is_said_in_packets_that_are_checked() -> None:
    assert pixels.decode_freed(pixels.encode_freed([0, 4096, 2**40])) == [0, 4096, 2**40]
    for packet in (b"", b"1234567", b"123456789"):
        with pytest.raises(ProtocolError, match="a multiple of 8 is right"):
            pixels.decode_freed(packet)


@pytest.mark.parametrize("length", [0, 1, pixels.PART - 1, pixels.PART, pixels.PART + 1, 3 * pixels.PART + 5])
def test_a_file_comes_out_as_it_went_in(length: int) -> None:
    data = np.random.default_rng(length).bytes(length)
    assembler = pixels.Assembler()
    events = [event for part in pixels.parts("r1.rgb.png", data) for event in assembler.feed(part)]
    assert events == [dc.File("r1.rgb.png", "", data)]
    assert all(len(part) <= 256 * 1024 for part in pixels.parts("r" * 64 + ".normals.tiff", data))


def test_parts_that_do_not_fit_break_their_file_alone() -> None:
    one, two = (list(pixels.parts(f"{name}.rgb.png", name.encode() * 2 * pixels.PART)) for name in ("a", "b"))
    assembler = pixels.Assembler()
    assert assembler.feed(one[0]) == []
    (broken,) = assembler.feed(two[0])  # in the middle of the other
    assert isinstance(broken, dc.Broken)
    assert broken.extension == "a.rgb.png"
    (late,) = assembler.feed(one[1])[1:] or assembler.feed(one[1])
    assert isinstance(late, dc.Broken)
    assert late.extension == "a.rgb.png"
    events = [event for part in two for event in assembler.feed(part)]
    assert [type(event) for event in events] == [dc.File], "it does not recover"
    (twice,) = [*assembler.feed(one[0]), *assembler.feed(one[0])]
    assert isinstance(twice, dc.Broken)


def test_lies_about_sizes_cost_no_memory() -> None:
    assembler = pixels.Assembler(max_payload=1000)
    head = pixels._HEAD
    for total, start, body in ((2**63, 0, b"x"), (1001, 0, b""), (10, 0, b"x" * 11), (10, 8, b"xxx")):
        (broken,) = assembler.feed(head.pack(b"TMVP", 1, total, start) + b"a" + body)
        assert isinstance(broken, dc.Broken)
        assert not assembler._parts
    (broken,) = assembler.feed(head.pack(b"TMVP", 1, 10, 0) + b"a")
    assert isinstance(broken, dc.Broken), "an empty part would be waited on for ever"
    for message in (b"", b"TMVP", head.pack(b"XXXX", 1, 1, 0) + b"ax", head.pack(b"TMVP", 0, 1, 0) + b"x",
                    head.pack(b"TMVP", 9, 1, 0) + b"a", head.pack(b"TMVP", 2, 1, 0) + b"\xff\xffx",
                    head.pack(b"TMVP", 500, 1, 0) + b"a" * 501):  # fmt: skip
        with pytest.raises(ProtocolError):
            assembler.feed(message)
    rng = np.random.default_rng(1)
    good = next(pixels.parts("a.rgb.png", b"x" * 300))
    for _ in range(3000):
        bad = bytearray(good)
        bad[int(rng.integers(0, len(bad)))] = int(rng.integers(0, 256))
        with suppress(ProtocolError):
            assembler.feed(bytes(bad[: int(rng.integers(0, len(bad) + 1))]))
        assert sum(map(len, assembler._parts)) <= 1000


class Memory:
    """A region as its reader sees it."""

    def __init__(self, slots: dict[int, bytes]) -> None:
        self.slots = slots
        self.freed: list[int] = []

    def take(self, offset: int, length: int) -> bytes:
        self.freed.append(offset)
        if offset not in self.slots:
            raise ProtocolError("no such slot")
        return self.slots[offset][:length]

    def free(self, offset: int) -> None:
        self.freed.append(offset)


def done(request: str = "r1", scene_id: str = SCENE.scene_id, **fields: object) -> dc.Response:
    sha = {name: hashlib.sha256(data).hexdigest() for name, data in (("rgb", b"picture"), ("mask", b"mask"))}
    message = {
        "tmv": 1,
        "id": request,
        "state": "done",
        "scene_id": scene_id,
        "sha256": sha,
        "settle": {"settled": True},
    }
    return dc.Response(json.dumps(message | fields))


def session(passes: tuple[str, ...] = ("rgb", "mask")) -> bridge.BridgeSession:
    one = bridge.BridgeSession()
    one.expect("r1", SCENE, passes)
    return one


SLOTS = {"rgb": [0, 7], "mask": [4096, 4]}


def test_files_in_shared_memory_are_proven_like_all_others() -> None:
    one = session()
    memory = one.region = Memory({0: b"picture", 4096: b"mask"})
    (delivery,) = one.feed(done(by="shared", slots=SLOTS))
    assert isinstance(delivery, bridge.Delivery)
    assert delivery.passes == {"rgb": b"picture", "mask": b"mask"}
    assert memory.freed == [0, 4096]


@pytest.mark.parametrize(
    ("held", "slots", "reason"),
    [
        ({0: b"pictuRe", 4096: b"mask"}, SLOTS, "the pass 'rgb' does not have the announced SHA-256"),  # written again
        ({0: b"picture", 4096: b"mask"}, {"rgb": [4096, 4], "mask": [0, 7]}, "SHA-256"),
        ({0: b"picture", 4096: b"mask"}, {"rgb": [0, 6], "mask": [4096, 4]}, "SHA-256"),
        ({4096: b"mask"}, SLOTS, "the pass 'rgb': no such slot"),
        ({0: b"picture"}, {"rgb": [0, 7]}, "the pass 'mask' did not come"),
        ({0: b"picture", 4096: b"mask"}, SLOTS | {"depth": [0, 7]}, "the pass 'depth' came, which was not asked for"),
        ({0: b"picture"}, {"rgb": [0]}, "the answer is not understood: slots.rgb"),
        ({0: b"picture"}, {"rgb": [0.5, 7]}, "the answer is not understood: slots.rgb"),
        ({0: b"picture"}, [[0, 7]], "the answer is not understood: slots"),
    ],
)
def test_what_is_wrong_in_shared_memory_is_refused(held: dict[int, bytes], slots: object, reason: str) -> None:
    one = session()
    one.region = Memory(held)
    (refusal,) = one.feed(done(by="shared", slots=slots))
    assert isinstance(refusal, bridge.Refusal)
    assert reason in refusal.reason
    assert one.feed(done(by="shared", slots=SLOTS)) == [], "it is still believed"


def test_slots_of_forgotten_pictures_are_given_back() -> None:
    one = session()
    memory = one.region = Memory({0: b"picture", 4096: b"mask"})
    one.forget("r1")
    assert one.feed(done(by="shared", slots=SLOTS)) == []
    assert sorted(memory.freed) == [0, 4096]
    one.feed(done("r9", by="shared", slots={"rgb": "nonsense"}))  # of nobody's picture


def test_without_shared_memory_there_is_no_picture_in_it() -> None:
    (refusal,) = session().feed(done(by="shared", slots=SLOTS))
    assert isinstance(refusal, bridge.Refusal)
    assert "which is not shared" in refusal.reason


@pytest.mark.parametrize("early", [0, 1, 2])
def test_files_over_a_websocket_may_come_before_and_after_the_answer(early: int) -> None:
    one = session()
    one.socket = True
    files = [dc.File("r1.rgb.png", "", b"picture"), dc.File("r1.mask.png", "", b"mask")]
    outcomes = [
        outcome for event in [*files[:early], done(by="websocket"), *files[early:]] for outcome in one.feed(event)
    ]
    *waits, delivery = outcomes
    assert isinstance(delivery, bridge.Delivery)
    assert delivery.passes == {"rgb": b"picture", "mask": b"mask"}
    assert waits == ([] if early == 2 else [bridge.Progress("r1", "sent")])


def test_a_wrong_file_over_a_websocket_is_refused() -> None:
    one = session(("rgb",))
    one.socket = True
    one.feed(done(by="websocket"))
    (refusal,) = one.feed(dc.File("r1.rgb.png", "", b"pictuRe"))
    assert isinstance(refusal, bridge.Refusal)


def test_a_broken_websocket_refuses_what_was_on_its_way() -> None:
    one = session()
    one.socket = True
    one.expect("r2", SCENE, ("rgb",))
    one.feed(done(by="websocket"))
    (refusal,) = one.socket_lost()
    assert isinstance(refusal, bridge.Refusal)
    assert refusal.request == "r1"
    one.socket = True  # a new one, while the answer to a request from before is on its way
    (refusal,) = one.feed(done("r2", by="websocket"))
    assert isinstance(refusal, bridge.Refusal)
    one.expect("r3", SCENE, ("rgb",))
    assert one.feed(done("r3", by="websocket")) == [bridge.Progress("r3", "sent")]


def test_files_that_do_not_come_are_missed_at_once_where_no_websocket_is_open() -> None:
    (refusal,) = session().feed(done(by="websocket"))
    assert isinstance(refusal, bridge.Refusal)
    assert "the pass 'rgb' did not come" in refusal.reason


def test_an_unknown_choice_is_refused_with_the_known_ones() -> None:
    with pytest.raises(SpecError, match="Did you mean 'shared'"):
        pixels.ways("shard")  # type: ignore[arg-type]
    assert pixels.ways("auto") == ("shared", "websocket")
    assert pixels.ways("channel") == ()


# Without compression --------------------------------------------------------------------------------------

ARRAYS = {
    "rgb": np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8),
    "mask": np.random.default_rng(1).integers(0, 3, (24, 32), dtype=np.uint8),
    "class": np.random.default_rng(2).integers(0, 600, (24, 32)),
    "depth": np.where(np.arange(24 * 32).reshape(24, 32) % 7, 3.25, np.inf).astype(np.float32),
    "normals": np.tile(np.array([0, 0.6, -0.8], np.float32), (24, 32, 1)),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_a_pass_without_compression_has_the_numbers_of_the_compressed_one(name: str) -> None:
    import io

    data = codec.encode(name, ARRAYS[name], "raw")
    assert codec.is_raw(data)
    assert codec.dimensions(data, name) == (32, 24)
    found, packed = codec.decode(name, data), codec.decode(name, codec.encode(name, ARRAYS[name]))
    assert found.dtype == packed.dtype
    np.testing.assert_array_equal(found, packed)
    assert codec.encode(name, found, "raw") == data
    assert np.load(io.BytesIO(data)).shape[:2] == (24, 32), "no NumPy file"
    assert name == "normals" or np.shares_memory(found, np.frombuffer(data, np.uint8)), "it was copied"
    assert codec.extension(name, "raw") == "npy"
    assert codec.encode(name, ARRAYS[name][::-1, ::-1], "raw") == codec.encode(
        name, ARRAYS[name][::-1, ::-1].copy(), "raw"
    )


def test_headers_that_lie_are_refused() -> None:
    good = codec.encode("rgb", ARRAYS["rgb"], "raw")
    assert codec.decode("rgb", good).shape == (24, 32, 3)
    bad = {
        "cut off": good[:-1], "longer": good + b"x", "no more than a header": good[:128], "half a header": good[:60],
        "of floats": codec._raw_header("<f4", (24, 32, 3)) + good[128:] * 4,
        "grey": codec._raw_header("|u1", (24, 96)) + good[128:],
        "other spelling": good.replace(b"(24, 32, 3)", b"(24, 32,3) "),
        "leading zero": good.replace(b"(24, 32, 3), } ", b"(024, 32, 3), }"),
        "no pixels": codec._raw_header("|u1", (0, 32, 3)),
        "too many": codec._raw_header("|u1", (9999, 9999, 3)),
        "Fortran": good.replace(b"False", b"True "),
        "objects": good.replace(b"|u1", b"|O1"),
        "code": good.replace(b"(24, 32, 3)", b"(exit(), 3)"),
    }  # fmt: skip
    for data in bad.values():
        for call in (codec.decode, lambda name, data: codec.dimensions(data, name)):
            with pytest.raises(ProtocolError, match="rgb: "):
                call("rgb", data)
    for name in ("mask", "class", "depth"):
        with pytest.raises(ProtocolError, match=f"{name}: "):
            codec.decode(name, good)
