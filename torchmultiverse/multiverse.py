"""The Python front door: name an engine, render scenes.

>>> from torchmultiverse import Multiverse
>>> with Multiverse() as mv:
...     frame = mv.render(World_Name="Desert", Character_Name="Elephant", Camera_Yaw=45)
...     frame.image.save("elephant.png")
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from typing_extensions import override

from torchmultiverse.engines import Catalogue, Engine, Failure, Frame, RenderOptions
from torchmultiverse.errors import EngineError, nearest
from torchmultiverse.spec import Scene

ENGINES = ("builtin", "inprocess", "marker")


class HeldEngine(Engine):
    """An engine together with what ends with it: closing this closes ``resources``, and the engine only if it is there.

    With the processes that were started for an engine, it owns them; with an empty stack, it lends an engine to a run
    that it outlives.
    """

    def __init__(self, engine: Engine, resources: ExitStack, memory: Callable[[], int] | None = None) -> None:
        self._engine = engine
        self._resources = resources
        self.memory = memory
        """Returns the bytes of memory of the processes that were started for the engine, where some were."""

    @override
    def catalogue(self) -> Catalogue:
        return self._engine.catalogue()

    @override
    def render(
        self,
        scenes: Iterable[Scene],
        options: RenderOptions = RenderOptions(),  # noqa: B008 - frozen
    ) -> Iterator[Frame | Failure]:
        return self._engine.render(scenes, options)

    @override
    def close(self) -> None:
        self._resources.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)


def connect(
    engine: str | Path | Engine = "builtin",
    *,
    token: str | None = None,
    assets: Sequence[str] = (),
    adapter: int | None = None,
    **remote: Any,
) -> Engine:
    """Return the engine that a word, an address or a path names.

    Args:
        engine: ``builtin`` (the path tracer, in a process of its own, over WebRTC like any other engine),
            ``inprocess`` (the same renderer inside this process), ``marker`` (a test card, see
            `torchmultiverse.engines.marker`), ``ws://host:port`` of a signalling server's player port,
            the path of a packaged Unreal binary's start script, or an engine object, returned as it is.
        token: for a signalling server that asks for one.
        assets: packs that the path tracer draws from, the first that has a name gives it; see `torchmultiverse.assets`.
            Engines that run already have theirs.
        adapter: number of the graphics card that a packaged binary is started on.
        remote: further arguments of `torchmultiverse.engines.remote.RemoteEngine`.

    Raises:
        EngineError: nothing of that name, or it cannot be started or reached.
        AssetError: a pack is not installed.
    """
    if not isinstance(engine, str | Path):
        return engine
    name = str(engine)
    if name in ("builtin", "inprocess") and assets:
        from torchmultiverse.assets import check_packs

        check_packs(assets)  # here, and not in the engine's process, whose words would come with a stack of others
    if name == "inprocess":
        from torchmultiverse.engines.builtin import BuiltinEngine

        if not assets:
            return BuiltinEngine()
        from torchmultiverse.assets import asset_source

        return BuiltinEngine(assets=asset_source(assets))
    from torchmultiverse.engines.remote import RemoteEngine

    if name.startswith(("ws://", "wss://")):
        return RemoteEngine(name, token=token, **remote)
    with ExitStack() as starting:
        stack: AbstractContextManager[Any]
        if name in ENGINES:
            from torchmultiverse.serve import LocalStack

            stack = LocalStack(engine=name, assets=assets)
        elif Path(name).is_file():
            if not os.access(name, os.X_OK):
                raise EngineError(f"{name} is not executable; run: chmod +x {name}")
            from torchmultiverse.serve import UnrealProcess

            stack = UnrealProcess(Path(name), adapter=adapter)
        else:
            raise EngineError(
                f"no engine '{name}': write one of {', '.join(ENGINES)}, an address such as ws://127.0.0.1:8080, "
                f"or the path of a packaged Unreal binary.{nearest(name, ENGINES)}"
            )
        running = starting.enter_context(stack)
        client = RemoteEngine(running.url, token=token, lost=running.lost, **remote)
        starting.callback(client.close)
        return HeldEngine(client, starting.pop_all(), running.memory)
    raise AssertionError("unreachable")


class Multiverse:
    """Renders scenes with one engine, which is started when first needed.

    Args:
        engine: see `connect`.
        options: size, passes, format, seed and samples of every picture; the keywords below override it.
        token: for a signalling server that asks for one.
        assets: packs to draw from, see `connect`.
    """

    def __init__(
        self,
        engine: str | Path | Engine = "builtin",
        *,
        options: RenderOptions | None = None,
        token: str | None = None,
        assets: Sequence[str] = (),
        **settings: Any,
    ) -> None:
        self._named = engine
        self._token = token
        self._assets = assets
        self._engine: Engine | None = None
        self.options = replace(options or RenderOptions(), **settings)

    @property
    def engine(self) -> Engine:
        """The engine, started now if it was not."""
        if self._engine is None:
            self._engine = connect(self._named, token=self._token, assets=self._assets)
        return self._engine

    def catalogue(self) -> Catalogue:
        """Return what the engine can render."""
        return self.engine.catalogue()

    def render(self, scene: Scene | None = None, /, **factors: Any) -> Frame:
        """Render one scene, given as an object or as factors by wire name.

        Raises:
            SpecError: an unknown factor or level; names the nearest ones.
            RenderError: the engine could not render it.
            EngineError: the engine is lost.
        """
        wanted = (scene.changed(**factors) if factors else scene) if scene is not None else Scene(factors)
        self.catalogue().check(wanted)
        (answer,) = self.engine.render([wanted.unlabelled], self.options)
        if isinstance(answer, Failure):
            raise answer.error()
        return answer if answer.scene == wanted else answer.instead_of(wanted)

    def render_many(self, scenes: Iterable[Scene]) -> Iterator[Frame | Failure]:
        """Render scenes lazily and in order; a scene that cannot be rendered gives a `Failure`."""
        asked: deque[Scene] = deque()

        def unlabelled() -> Iterator[Scene]:
            for scene in scenes:
                asked.append(scene)
                yield scene.unlabelled

        for answer in self.engine.render(unlabelled(), self.options):
            scene = asked.popleft()
            if isinstance(answer, Failure):
                yield replace(answer, scene=scene)
            else:
                yield answer if answer.scene == scene else answer.instead_of(scene)

    def close(self) -> None:
        """Close the engine and end what was started for it; may be called twice."""
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    def __enter__(self) -> Multiverse:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
