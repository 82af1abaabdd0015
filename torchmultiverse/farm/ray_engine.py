"""An engine in a Ray actor: the farm's workers lease scenes as ever, and the pictures are made somewhere else.

Ray's processes listen on every network interface, and who reaches them may run code. A cluster that is started here
listens on the loopback interface alone; one that was started with ``ray start`` is as open as whoever started it made
it.
"""

from __future__ import annotations

import os
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

from typing_extensions import override

from torchmultiverse.engines import (
    AnswersInBatches,
    Catalogue,
    Engine,
    Failure,
    Frame,
    HasManifestNotes,
    RenderOptions,
    capability,
)
from torchmultiverse.errors import EngineError, MissingExtra
from torchmultiverse.scenes import Scene

_AHEAD = 3
"""Scenes that wait at the actor while it renders one."""
_MANY_NODES = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
"""Ray reads it when it is imported; ``0``: a cluster of this machine alone, on the loopback interface."""


def ray_factory(
    make: Callable[[], Engine], *, address: str | None = None, cpus: float = 1.0, gpus: float = 0.0
) -> Callable[[], Engine]:
    """Return a function that makes an engine in a new actor of a Ray cluster.

    Args:
        make: makes the engine, at the actor; it travels there, so it must not hold what cannot.
        address: of the cluster; ``auto``: the one this machine belongs to; ``local``: a new one of this machine alone,
            on the loopback interface; by default ``auto`` where there is one, else ``local``.
        cpus: cores that an actor takes.
        gpus: graphics cards that it takes.

    Raises:
        MissingExtra: Ray is not installed.
        EngineError: no cluster at the address.
    """
    address = address or ("auto" if _cluster_here() else "local")
    if address == "local":
        os.environ.setdefault(_MANY_NODES, "0")
    ray = _ray()
    if not ray.is_initialized():
        try:
            ray.init(address=address, log_to_driver=False, include_dashboard=False, configure_logging=False)
        except (ConnectionError, ValueError, RuntimeError) as error:
            hint = "; 'local' starts a new one on this machine" if address == "auto" else ""
            raise EngineError(f"no Ray cluster at '{address}': {error}{hint}") from None
        if address == "local" and (ip := ray.util.get_node_ip_address()) not in ("127.0.0.1", "::1"):
            warnings.warn(
                f"Ray was imported before, so its processes listen on every network interface ({ip}), not on loopback "
                f"alone; set {_MANY_NODES}=0 before anything imports ray",
                stacklevel=2,
            )
    return lambda: RayEngine(make, cpus, gpus)


def _cluster_here() -> bool:
    """Whether this machine belongs to a cluster, as Ray looks for one: by its variable, then by its file."""
    temporary = os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp"
    return bool(os.environ.get("RAY_ADDRESS")) or Path(temporary, "ray", "ray_current_cluster").exists()


class _Host:
    """What runs in the actor."""

    def __init__(self, make: Callable[[], Engine]) -> None:
        self._engine = make()

    def catalogue(self) -> Catalogue:
        return self._engine.catalogue()

    def notes(self) -> list[str]:
        described = capability(self._engine, HasManifestNotes)
        return described.manifest_notes() if described else []

    def batch_size(self) -> int:
        batching = capability(self._engine, AnswersInBatches)
        return batching.batch_size() if batching else 1

    def render(self, scenes: list[Scene], options: RenderOptions) -> list[Failure | dict[str, Any]]:
        # Encoded here: there are more cores at the actors than at the one who collects.
        return [
            answer if isinstance(answer, Failure) else {
                "encoded": {name: answer.encoded(name) for name in answer.passes},
                "scene_id": answer.scene_id, "format": answer.format, "settle": answer.settle,
                "timings": answer.timings, "engine": answer.engine, "info": answer.info,
            }
            for answer in self._engine.render(scenes, options)
        ]  # fmt: skip

    def close(self) -> None:
        self._engine.close()


class RayEngine(Engine):
    """Renders in an actor of its own.

    Raises:
        EngineError: the actor or its engine is lost, or cannot start within ten minutes.
    """

    def __init__(self, make: Callable[[], Engine], cpus: float = 1.0, gpus: float = 0.0) -> None:
        ray = _ray()
        self._actor = ray.remote(num_cpus=cpus, num_gpus=gpus)(_Host).remote(make)
        self._closed = False
        self._catalogue: Catalogue = self._get(self._actor.catalogue.remote(), 600)
        self._batch_size: int = self._get(self._actor.batch_size.remote())

    @override
    def catalogue(self) -> Catalogue:
        return self._catalogue

    def batch_size(self) -> int:
        """Return how many scenes the engine at the actor takes before it answers the first."""
        return self._batch_size

    def manifest_notes(self) -> list[str]:
        """Return what a dataset made this way should say of itself."""
        notes: list[str] = self._get(self._actor.notes.remote())
        return notes

    @override
    def render(
        self,
        scenes: Iterable[Scene],
        options: RenderOptions = RenderOptions(),  # noqa: B008 - frozen
    ) -> Iterator[Frame | Failure]:
        size = self._batch_size
        asked: deque[tuple[list[Scene], Any]] = deque()
        coming = iter(scenes)
        while batch := list(islice(coming, size)):
            asked.append((batch, self._actor.render.remote(batch, options)))
            if len(asked) > _AHEAD or size > 1:
                yield from self._frames(*asked.popleft())
        while asked:
            yield from self._frames(*asked.popleft())

    def _frames(self, scenes: list[Scene], promised: Any) -> Iterator[Frame | Failure]:
        for scene, answer in zip(scenes, self._get(promised), strict=True):
            yield answer if isinstance(answer, Failure) else Frame(scene, **answer)

    def _get(self, promised: Any, seconds: float | None = None) -> Any:
        ray = _ray()
        try:
            return ray.get(promised, timeout=seconds)
        except ray.exceptions.RayError as error:
            cause = getattr(error, "cause", None) or error
            said = str(cause).strip() or type(cause).__name__
            raise EngineError(f"the engine at Ray: {said.splitlines()[-1]}") from None

    @override
    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        ray = _ray()
        if ray.is_initialized():
            with suppress(ray.exceptions.RayError):  # it hangs or is gone; what follows ends it
                ray.get(self._actor.close.remote(), timeout=10)
            ray.kill(self._actor)


def _ray() -> Any:
    try:
        import ray
    except ImportError:
        raise MissingExtra("ray", "ray", "the executor 'ray'") from None
    return ray
