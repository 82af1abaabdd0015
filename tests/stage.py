"""An engine whose camera pans before a wall, so that every motion has a closed form."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from typing_extensions import override

from torchmultiverse.engines import Catalogue, Choice, Failure, Frame, MarkerEngine, RenderOptions
from torchmultiverse.scenes import Scene

FOCAL = 40.0


class Stage(MarkerEngine):
    """A wall at 5 metres with a square before it; test cards as pictures.

    Args:
        fails: yaws at which it fails.
        camera: whether its annotations say where the camera is.
    """

    def __init__(self, fails: tuple[float, ...] = (), camera: bool = True) -> None:
        super().__init__()
        self._fails, self._camera = fails, camera

    @override
    def render(
        self,
        scenes: Iterable[Scene],
        options: RenderOptions = RenderOptions(),  # noqa: B008 - frozen
    ) -> Iterator[Frame | Failure]:
        width, height = options.size
        mask = np.zeros((height, width), np.uint8)
        mask[height // 4 : height // 2, width // 4 : width // 2] = 1
        depth = np.where(mask, 3.0, 5.0).astype(np.float32)
        for frame in super().render(scenes, options):
            scene = frame.scene
            yaw = scene.get_float("Camera_Yaw")
            if yaw in self._fails:
                yield Failure(scene, "it fails at this yaw")
                continue
            c, s = np.cos(np.radians(-yaw)), np.sin(np.radians(-yaw))
            camera = {
                "K": [[FOCAL, 0, width / 2], [0, FOCAL, height / 2], [0, 0, 1]],
                "Rt": [[c, 0, s, 0], [0, 1, 0, 0], [-s, 0, c, 0]],
            }
            box = {"center": [0, 0, 3], "size": [1, 1, 1], "rotation": np.eye(3).tolist()}
            objects = [{"instance": 1, "name": scene.get_str("Character_Name"), "box_3d_oriented": box}]
            x = np.linspace(0, 255, width)
            rgb = np.stack(np.broadcast_arrays(x[None], x[:, None][:height], 2 * yaw), -1).astype(np.uint8)
            yield Frame(
                scene, arrays={"rgb": rgb, "mask": mask, "depth": depth}, format=options.format,
                engine=frame.engine, info={"camera": camera, "objects": objects} if self._camera else {},
            )  # fmt: skip


class Listed(Stage):
    """A stage that takes further objects, as test cards are: a zebra, a camel."""

    @override
    def catalogue(self) -> Catalogue:
        found = super().catalogue()
        return found.model_copy(update={"factors": {**found.factors, "Objects": Choice(low=0, high=14)}})


def listed_spec():
    """Two clips of six frames, of which one has a further object."""
    factors = {
        "World_Name": ["Desert"], "Character_Name": ["Zebra"],
        "Objects": [[], [{"Name": "Camel", "Location": "0,150,0", "Scale": 0.7}]],
    }  # fmt: skip
    return spec(design={**spec()["design"], "clips": {"kind": "factorial", "factors": factors}})


def spec(**more):
    """Four clips of six frames."""
    factors = {"World_Name": ["Desert", "Snow"], "Character_Name": ["Zebra", "Camel"]}
    design = {
        "kind": "video", "clips": {"kind": "factorial", "factors": factors},
        "path": {"Camera_Yaw": {"keys": [[0, 0], [1, 30]]}}, "fps": 6, "seconds": 1,
    }  # fmt: skip
    passes = ["rgb", "mask", "depth", "flow_forward", "flow_backward", "hidden_forward", "track"]
    return {"name": "stage", "design": design, "render": {"size": [32, 32], "passes": passes}, **more}
