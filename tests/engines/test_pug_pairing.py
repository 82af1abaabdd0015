"""The order of an engine's answers is all that says which scene a picture shows.

Silently wrong would be every row after one answer too many: each file opens, each label is the neighbour's. The engine
here is the one that `Pairing` talks to, without sockets: it draws what it is asked for and answers as often as it is
told to, and each picture says which scene it really shows.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Iterable, Mapping

import numpy as np
import pytest

from torchmultiverse.engines import Failure, Frame, RenderOptions
from torchmultiverse.engines.connection import ConnectionLost
from torchmultiverse.engines.likeness import SAME, blocks, largest, mean
from torchmultiverse.engines.pairing import (
    BATCH,
    PATIENCE,
    FrameTimeout,
    Pairing,
    TimedFrame,
    UnexpectedFrame,
    matches_pattern,
)
from torchmultiverse.errors import EngineError
from torchmultiverse.scenes import Scene

OPTIONS = RenderOptions(size=(64, 64))


class Engine:
    """Answers its n-th request ``copies[n]`` times, once by default; what is too many arrives with the next answer.

    Args:
        copies: number of the request → how often it is answered.
        noise: standard deviation of the pixels' noise, grey levels: no two pictures of a scene are the same bytes.
        alike: whether all scenes look the same.
        timed: whether an answer that is too many comes at once, so that it is seen by the clock as well.
    """

    def __init__(
        self, copies: Mapping[int, int] | None = None, noise: float = 4.0, alike: bool = False, timed: bool = False
    ) -> None:
        self.copies = copies or {}
        self.rng = np.random.default_rng(0)
        self.noise, self.alike, self.timed = noise, alike, timed
        self.waiting: deque[Scene] = deque()
        self.asked: list[Scene] = []
        self.sessions = 1
        self.always = 1

    def draw(self, scene: Scene) -> np.ndarray:
        own = 0 if self.alike else int(scene.scene_id[:8], 16)
        picture = np.random.default_rng(own).integers(40, 215, (4, 4, 3)).repeat(16, 0).repeat(16, 1)
        return np.clip(picture + self.rng.normal(0, self.noise, picture.shape), 0, 255).astype(np.uint8)

    async def request(self, scene: Scene, options: RenderOptions) -> TimedFrame:
        behind = bool(self.waiting)
        self.waiting.extend([scene] * self.copies.get(len(self.asked), self.always))
        self.asked.append(scene)
        await asyncio.sleep(0)
        if not self.waiting:
            await self.end()
            raise FrameTimeout("nothing came", 120.0)
        shown = self.waiting.popleft()
        return TimedFrame(
            Frame(scene, encoded={"rgb": shown.canonical.encode()}),
            blocks(self.draw(shown)),
            0.01 if behind and self.timed else 1.0,
        )

    async def listen(self, seconds: float) -> None:
        if self.waiting:
            await self.end()
            raise UnexpectedFrame("a picture came that nobody had asked for")

    async def end(self) -> None:
        self.waiting.clear()
        self.sessions += 1

    def session(self) -> int:
        return self.sessions


def scenes(count: int) -> list[Scene]:
    return [
        Scene({"World_Name": ["Desert", "Snow"][n // 30 % 2], "Character_Name": "Camel", "Camera_Yaw": n / 2})
        for n in range(count)
    ]


def render(engine: Engine, wanted: Iterable[Scene], ahead: int = BATCH, **settings: int) -> list[Frame | Failure]:
    async def run() -> list[Frame | Failure]:
        pairing = Pairing(engine, **settings)
        places = asyncio.Semaphore(ahead)

        async def one(scene: Scene) -> Frame | Failure:
            async with places:
                return await pairing.render(scene, OPTIONS)

        try:
            return await asyncio.gather(*(one(scene) for scene in wanted))
        finally:
            await pairing.close()

    return asyncio.run(run())


def wrong(answers: Iterable[Frame | Failure]) -> list[int]:
    """Return the places of pictures that show another scene than theirs."""
    return [
        n
        for n, answer in enumerate(answers)
        if isinstance(answer, Frame) and answer.encoded("rgb") != answer.scene.canonical.encode()
    ]


@pytest.mark.parametrize(
    "copies",
    [{n: 2} for n in (0, 5, 43, 44, 46, 47, 48, 100)] + [{5: 3}, {5: 2, 6: 2}, {5: 2, 46: 2}, {9: 4}],
    ids=str,
)
def test_an_answer_too_many_costs_no_row(copies: dict[int, int]) -> None:
    """In a batch, at its last picture, among the probes; one, two or three pictures behind."""
    engine = Engine(copies)
    answers = render(engine, scenes(112))
    assert all(isinstance(answer, Frame) for answer in answers)
    assert wrong(answers) == []
    assert len(engine.asked) <= 112 + 4 * 9 + 2 * (BATCH + 4), "one batch was rendered again, not everything"


def test_the_engine_of_these_tests_shifts_every_later_row() -> None:
    """Without proofs one double answer makes all later rows wrong: what the other tests would notice."""
    engine = Engine({9: 2})

    async def run() -> list[Frame]:
        return [(await engine.request(scene, OPTIONS)).frame for scene in scenes(112)]

    assert wrong(asyncio.run(run())) == list(range(10, 112))


def test_a_request_that_is_lost_in_between_hides_nothing() -> None:
    """One answer too many and one request that is lost because it came too soon: the order is right at the next proof,
    and every row between is wrong. The clock tells: the answer came before it could have been drawn."""
    for loss in (23, 30, 34):
        engine = Engine({21: 2, loss: 0}, timed=True)
        answers = render(engine, scenes(60))
        assert all(isinstance(answer, Frame) for answer in answers)
        assert wrong(answers) == []
    engine = Engine({21: 2, 30: 0})
    assert wrong(render(engine, scenes(60))) != [], "without the clock nothing tells"


def test_many_answers_too_many_at_random_places() -> None:
    rng = np.random.default_rng(3)
    for rate in (0.01, 0.05, 0.1):
        engine = Engine({n: 2 for n in range(20_000) if rng.random() < rate})
        answers = render(engine, scenes(150))
        assert all(isinstance(answer, Frame) for answer in answers)
        assert wrong(answers) == [], rate


def test_what_a_proof_costs() -> None:
    """Fewer than 50 requests from one proof to the next, four of them probes; none that changes the world for long."""
    engine = Engine()
    answers = render(engine, scenes(440))
    assert wrong(answers) == []
    assert len(engine.asked) <= 440 * 1.2
    groups = Counter(answer.info["pairing"]["group"] for answer in answers if isinstance(answer, Frame))
    assert max(groups.values()) <= BATCH
    assert all(answer.info["pairing"]["proof"] == "probes" for answer in answers if isinstance(answer, Frame))
    changes = sum(a["World_Name"] != b["World_Name"] for a, b in zip(engine.asked, engine.asked[1:], strict=False))
    assert changes <= 440 // 30 + 2 * 4


def test_scenes_that_look_alike_are_proven_by_silence() -> None:
    engine = Engine({20: 2}, alike=True)
    answers = render(engine, scenes(60))
    assert wrong(answers) == []
    assert {answer.info["pairing"]["proof"] for answer in answers if isinstance(answer, Frame)} == {"silence"}


def test_an_answer_that_stays_out_proves_those_before_it() -> None:
    engine = Engine({7: 0, 50: 0, 51: 0})
    answers = render(engine, scenes(60))
    assert all(isinstance(answer, Frame) for answer in answers)
    assert wrong(answers) == []
    assert len(engine.asked) < 60 + 3 + 30, "nothing but the scenes that got no answer was rendered again"


def test_a_scene_that_is_never_answered_fails_alone() -> None:
    engine = Engine()
    bad = scenes(60)[33]
    ask = engine.ask

    async def never(scene: Scene, options: RenderOptions) -> TimedFrame:
        if scene == bad:
            await engine.end()
            raise ConnectionLost("the connection broke")
        return await ask(scene, options)

    engine.ask = never  # type: ignore[method-assign]
    answers = render(engine, scenes(60), retries=2)
    assert [n for n, answer in enumerate(answers) if isinstance(answer, Failure)] == [33]
    assert isinstance(answers[33], Failure)
    assert answers[33].attempts == 3
    assert wrong(answers) == []


def test_an_engine_that_answers_everything_twice_is_given_up() -> None:
    engine = Engine()
    engine.always = 2
    with pytest.raises(EngineError, match=f"could not be proven {PATIENCE} times in a row"):
        render(engine, scenes(60))


def test_one_picture_alone_is_proven_too() -> None:
    async def run(engine: Engine) -> list[Frame | Failure]:
        pairing = Pairing(engine)
        return [await pairing.render(scene, OPTIONS) for scene in scenes(4)]

    engine = Engine({0: 2, 7: 2})
    assert wrong(asyncio.run(run(engine))) == []


def test_the_order_of_a_proof() -> None:
    """Alike is relative: noise that would hide small differences hides no order, and all the same proves nothing."""
    rng = np.random.default_rng(0)
    a, b, c = (rng.uniform(0, 255, (4, 4, 3)).astype(np.float32) for _ in range(3))

    def noisy(*views: np.ndarray) -> list[np.ndarray]:
        return [view + rng.normal(0, 5, view.shape).astype(np.float32) for view in views]

    assert matches_pattern(noisy(a, b, b, a, b))
    for behind in ([c, a, b, b, a], [c, c, a, b, b], [a, a, a, a, a], [a, b, b, a, a], [b, a, b, b, a]):
        assert not matches_pattern(noisy(*behind))
    assert not matches_pattern([a] * 5)


def test_likeness() -> None:
    """Noise of a renderer and JPEG stay below what is called the same; another object does not."""
    rng = np.random.default_rng(0)
    picture = rng.integers(60, 200, (100, 70, 3)).astype(np.uint8)
    assert blocks(picture).shape == (7, 5, 3)
    assert blocks(picture)[0, 0, 0] == pytest.approx(picture[:16, :16, 0].mean(), abs=1e-3)
    assert blocks(picture)[6, 4, 2] == pytest.approx(picture[96:, 64:, 2].mean(), abs=1e-3)
    scene = np.full((512, 512, 3), 120.0)
    one, other = (np.clip(scene + rng.normal(0, 10, scene.shape), 0, 255).astype(np.uint8) for _ in range(2))
    assert largest(blocks(one), blocks(other)) < SAME / 2
    other[200:240, 200:240] = 160
    assert largest(blocks(one), blocks(other)) > 2 * SAME
    assert mean(blocks(one), blocks(other)) < 2
