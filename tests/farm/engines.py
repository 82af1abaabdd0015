"""Small engines for the tests of the farm; each has one fault at most."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import replace

from torchmultiverse.engines import Catalogue, Engine, Failure, Frame, RenderOptions
from torchmultiverse.engines.marker import MarkerEngine
from torchmultiverse.errors import EngineError
from torchmultiverse.scenes import Scene


class Faulty(Engine):
    """Test cards, with a fault for scenes whose Camera_Yaw is in ``at``.

    ``fault``: ``fail`` (a Failure), ``once`` (a Failure the first time only), ``swap`` (another scene's picture and
    id), ``die`` (the engine is lost, the first time), ``small`` (another size), ``noise`` (bytes that are no picture),
    ``replaced`` (a frame of another engine), ``nothing`` (a frame without passes), ``quiet`` (it ends without an
    answer).
    """

    def __init__(self, fault: str = "", at: tuple[int, ...] = (), delay: float = 0.0, fingerprint: str = "") -> None:
        self.inner = MarkerEngine(delay)
        self.fault = fault
        self.at = at
        self.seen: set[str] = set()
        self.closed = False
        self.fingerprint = fingerprint

    def catalogue(self) -> Catalogue:
        catalogue = self.inner.catalogue()
        return catalogue.model_copy(update={"fingerprint": self.fingerprint}) if self.fingerprint else catalogue

    def render(self, scenes: Iterable[Scene], options: RenderOptions = RenderOptions()) -> Iterator[Frame | Failure]:  # noqa: B008
        for scene in scenes:
            bad = scene["Camera_Yaw"] in self.at
            first = scene.scene_id not in self.seen
            self.seen.add(scene.scene_id)
            if bad and (self.fault == "fail" or (self.fault == "once" and first)):
                yield Failure(scene, "a planted fault")
            elif bad and self.fault == "swap":
                yield next(iter(self.inner.render([scene.changed(Camera_Roll=7)], options)))
            elif bad and self.fault == "die" and first:
                time.sleep(0.05)
                raise EngineError("a planted death")
            elif bad and self.fault == "small":
                yield from self.inner.render([scene], replace(options, size=(32, options.size[1])))
            elif bad and self.fault == "replaced":
                yield Frame(scene, encoded={"rgb": b""}, engine="another")
            elif bad and self.fault == "noise":
                yield Frame(scene, encoded={"rgb": b"\x89PNG no picture at all"})
            elif bad and self.fault == "nothing":
                yield Frame(scene)
            elif bad and self.fault == "quiet":
                return
            else:
                yield from self.inner.render([scene], options)

    def close(self) -> None:
        self.closed = True
