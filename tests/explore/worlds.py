"""What the explorer's tests look at: an engine whose pictures are plain fields of colour, and models that read colours.

A picture's red is the share of a turn that the camera made; so what a model says of a scene is known beforehand.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from torchmultiverse.engines import Catalogue, Failure, Frame, RenderOptions, class_list
from torchmultiverse.engines.marker import MarkerEngine
from torchmultiverse.errors import EngineError
from torchmultiverse.explore import Explorer, Reader, Studio
from torchmultiverse.models import Images, ModelInfo
from torchmultiverse.scenes import Scene

START = {"World_Name": "Desert", "Character_Name": "Zebra"}
NAMES = ["Camel", "Elephant", "Penguin", "Zebra"]


class Fields(MarkerEngine):
    """Fields of colour, in as many samples as asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[Scene, int | None]] = []
        self.dies = 0
        self.held: threading.Event | None = None

    def catalogue(self) -> Catalogue:
        found = super().catalogue()
        return found.model_copy(update={"classes": class_list(NAMES), "factors": {**found.factors}})

    def render(self, scenes: Iterable[Scene], options: RenderOptions = RenderOptions()) -> Iterator[Frame | Failure]:  # noqa: B008
        for scene in scenes:
            self.asked.append((scene, options.samples))
            if self.held is not None:
                assert self.held.wait(60)
            if self.dies:
                self.dies -= 1
                raise EngineError("its process ended")
            if scene["World_Name"] == "Museum" and scene["Camera_Roll"]:
                yield Failure(scene, "no roll in a museum")
                continue
            width, height = options.size
            red = round(scene.get_float("Camera_Yaw") / 360 * 255)
            image = np.full((height, width, 3), (red, 0 if scene["Character_Name"] == "Zebra" else 200, 40), np.uint8)
            scale = scene.get_float("Character_Scale")
            facts = [{"instance": 1, "visible_fraction": 1.0, "pixels": int(0.1 * scale**2 * width * height)}]
            yield Frame(
                scene, arrays={"rgb": image}, format=options.format, engine="fields", info={"objects": facts},
                settle={"settled": True, "samples": options.samples or 16}, timings={"render_ms": 1.0},
            )  # fmt: skip


class Colours:
    """A classifier that says zebra until the camera has turned by more than half a turn."""

    info = ModelInfo("colours", "classifier", weights_sha256="c0" * 32)
    classes: Sequence[str] = ("Zebra", "Camel", "toaster")

    def logits(self, images: Images) -> Any:
        red = np.array([np.asarray(image)[0, 0, 0] for image in images]) / 255
        return np.stack([4 * (0.5 - red), 4 * (red - 0.5), np.full(len(red), -3.0)], 1).astype(np.float32)


class Broken(Colours):
    """One that fails."""

    info = ModelInfo("broken", "classifier")

    def logits(self, images: Images) -> Any:
        raise RuntimeError("out of memory")


class Words:
    """An image-text model of two numbers: how red a picture is, and whether a caption says camel."""

    info = ModelInfo("words", "image-text", weights_sha256="a0" * 32)
    logit_scale = 10.0

    def encode_image(self, images: Images) -> Any:
        red = np.array([np.asarray(image)[0, 0, 0] for image in images]) / 255
        return np.stack([np.cos(red), np.sin(red)], 1).astype(np.float32)

    def encode_text(self, texts: Sequence[str]) -> Any:
        camel = np.array(["camel" in text for text in texts])
        return np.stack([~camel, camel], 1).astype(np.float32)


@contextmanager
def served(engine: Fields, *models: Any, token: str | None = None, port: int = 0) -> Iterator[str]:
    """An explorer that listens; its address."""
    options = RenderOptions(size=(32, 32), format="raw")
    started: queue.Queue[tuple[Explorer, asyncio.AbstractEventLoop, asyncio.Event]] = queue.Queue()

    async def main() -> None:
        explorer = Explorer(
            lambda tell: Studio(lambda: engine, [Reader(model) for model in models], tell, options, Scene(START)),
            port=port, token=token,
        )  # fmt: skip
        await explorer.start()
        stop = asyncio.Event()
        started.put((explorer, asyncio.get_running_loop(), stop))
        await stop.wait()
        await explorer.stop()

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    explorer, loop, stop = started.get(timeout=100)
    try:
        yield explorer.url
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(100)
