"""A name, an address or a path becomes an engine, and an engine renders scenes.

>>> from torchmultiverse import Multiverse
>>> with Multiverse() as mv:
...     frame = mv.render(World_Name="Desert", Character_Name="Elephant", Camera_Yaw=45)
...     frame.image.save("elephant.png")
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from torchmultiverse.engines import Catalogue, Engine, Failure, Frame, RenderOptions, engine_names, find_engine
from torchmultiverse.errors import EngineError, SettingError, SpecError, nearest
from torchmultiverse.scenes import Scene

if TYPE_CHECKING:
    from torchmultiverse.serve import Stack


class OwningEngine(Engine):
    """An engine together with what ends with it, such as the processes that were started for it.

    Args:
        engine: what renders.
        resources: closed, instead of the engine, when this is closed; an empty stack lends an engine to a run that it
            outlives.
    """

    def __init__(self, engine: Engine, resources: ExitStack) -> None:
        self._engine = engine
        self._resources = resources

    @property
    def wrapped(self) -> Engine:
        """The engine inside."""
        return self._engine

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


class HostedEngine(OwningEngine):
    """An engine in processes that were started for it.

    Args:
        engine: what renders: the client of those processes.
        resources: what ends the processes, and the client.
        stack: the processes.
    """

    def __init__(self, engine: Engine, resources: ExitStack, stack: Stack) -> None:
        super().__init__(engine, resources)
        self._stack = stack

    def memory(self) -> int:
        """Return the resident memory of the engine's processes in bytes."""
        return self._stack.memory()

    def watch(self, told: Callable[[str], None]) -> None:
        """Have it told, from another thread, when the engine's process died and is started again: why, in a line."""
        self._stack.on_restart = told


def open_engine(
    engine: str | Path | Engine = "builtin",
    *,
    token: str | None = None,
    assets: Sequence[str] = (),
    adapter: int | None = None,
    hosted: bool = True,
    **remote: Any,
) -> Engine:
    """Return the engine that a word, an address or a path names.

    Args:
        engine: ``builtin`` (the path tracer, in a process of its own, over WebRTC like any other engine),
            ``inprocess`` (the same renderer inside this process), ``marker`` (a test card, see
            `torchmultiverse.engines.marker`), the name of a plug-in (see `torchmultiverse.engines.registry`) or of a
            launch profile (see `torchmultiverse.profiles`; one of its instances is started), ``ws://host:port`` of a
            signalling server's player port, the path of a packaged Unreal binary's start script, or an engine object,
            returned as it is.
        token: for a signalling server that asks for one.
        assets: packs that the path tracer draws from, the first that has a name gives it; see `torchmultiverse.assets`.
            Engines that run already have theirs.
        adapter: number of the graphics card that a packaged binary is started on; a launch profile has its own.
        hosted: whether an engine that is usually hosted by a process of its own is; else it is made in this process.
        remote: further arguments of `torchmultiverse.engines.remote.RemoteEngine`.

    Raises:
        EngineError: nothing of that name, or it cannot be started or reached.
        AssetError: a pack is not installed.
    """
    if not isinstance(engine, str | Path):
        return engine
    name = str(engine)
    if name.startswith(("ws://", "wss://")):
        from torchmultiverse.engines import RemoteEngine

        return RemoteEngine(name, token=token, **remote)
    from torchmultiverse.profiles import is_profile, script_problem

    if is_profile(name):
        if adapter is not None:
            raise EngineError(f"adapter = {adapter}: the launch profile '{name}' has its cards, see its field gpus")
        return _start_profile(name, token, remote)
    if name not in engine_names() and Path(name).is_file():
        if (wrong := script_problem(name)) is not None:
            raise EngineError(f"{name} {wrong}")
        from torchmultiverse.serve import UnrealProcess

        return _start(UnrealProcess(Path(name), adapter=adapter), token, remote)
    try:
        entry = find_engine(name)
    except EngineError as error:
        if name in engine_names():
            raise
        raise EngineError(
            f"{error}{_near_profile(name)} An address such as ws://127.0.0.1:8080, and the path of a packaged Unreal "
            "binary, are right too."
        ) from None
    if assets and entry.assets:
        from torchmultiverse.assets import check_packs

        check_packs(assets)  # here, and not in the engine's process, whose words would come with a stack of others
    if not (entry.hosted and hosted):
        from torchmultiverse.assets import make_engine

        return make_engine(name, assets)
    from torchmultiverse.serve import LocalStack

    return _start(LocalStack(engine=name, assets=assets), token, remote)


def side_by_side(engine: object, wanted: int | None = None) -> int:
    """Return how many engines run side by side here.

    Args:
        engine: see `open_engine`; or a function that makes engines.
        wanted: what the caller says; by default all instances of a launch profile, and one of anything else.

    Raises:
        SpecError: a launch profile has fewer.
        EngineError: the profile cannot be read.
    """
    from torchmultiverse.profiles import is_profile, load_profile

    if not (isinstance(engine, str | Path) and is_profile(str(engine))):
        return 1 if wanted is None else wanted
    there = load_profile(str(engine)).instances
    if wanted is not None and wanted > there:
        raise SpecError(
            f"workers = {wanted}: the launch profile '{engine}' has {there} instances on this machine (gpus × per_gpu)"
        )
    return there if wanted is None else wanted


def engine_catalogue(
    engine: str | Path = "builtin", *, token: str | None = None, assets: Sequence[str] = ()
) -> Catalogue:
    """Return what the engine that a word, an address or a path names can render.

    An engine that can say so without being started is not started: then the catalogue has no fingerprint.

    Args:
        engine, token, assets: see `open_engine`.

    Raises:
        EngineError: nothing of that name, or it cannot be started or reached.
        AssetError: a pack is not installed.
    """
    if str(engine) in engine_names():
        from torchmultiverse.assets import known_catalogue

        known = known_catalogue(str(engine), assets)
        if known is not None:
            return known
    with Multiverse(engine, token=token, assets=assets) as mv:
        return mv.catalogue()


def check_engine(engine: object) -> None:
    """Refuse a name that `open_engine` cannot know, before work is done that ends with an engine.

    Args:
        engine: as for `open_engine`; what is no word, address or path is taken as it is.

    Raises:
        SettingError: no engine, launch profile or script of that name.
    """
    from torchmultiverse.profiles import is_profile, profile_names

    if not isinstance(engine, str | Path) or str(engine).startswith(("ws://", "wss://")):
        return
    name, names = str(engine), engine_names()
    if name not in names and not is_profile(name) and not Path(name).is_file():
        raise SettingError(f"no engine '{name}' (--engine).{nearest(name, [*names, *profile_names()])}")


def _near_profile(name: str) -> str:
    """Return which launch profile may have been meant, or why it is none, as further sentences."""
    from torchmultiverse.profiles import profile_names, strange_profiles

    if wrong := dict(strange_profiles()).get(name):
        return f" {wrong}, and is no launch profile."
    near = get_close_matches(name, profile_names(), n=1)
    return f" There is the launch profile '{near[0]}'." if near else ""


def _start_profile(name: str, token: str | None, remote: Mapping[str, Any]) -> Engine:
    """Start an instance of a launch profile, and return its engine, with which it ends."""
    from torchmultiverse.profiles import ProfileProcess, check_picture

    stack = ProfileProcess(name, token=token)
    engine = _start(stack, token, {**stack.profile.client, **remote})
    if stack.profile.check_picture:
        try:
            check_picture(engine, stack.label)
        except BaseException:
            engine.close()
            raise
    return engine


def _start(stack: Stack, token: str | None, remote: Mapping[str, Any]) -> Engine:
    """Start processes, and return their engine, with which they end."""
    from torchmultiverse.engines import RemoteEngine
    from torchmultiverse.protocol import webrtc

    webrtc.choose_stack(remote.get("transport", "auto"))  # a word that is wrong is told before anything starts
    with ExitStack() as starting:
        starting.enter_context(stack)
        client = RemoteEngine(stack.url, token=token, lost=stack.lost, delivered=stack.delivered, **remote)
        starting.callback(client.close)
        return HostedEngine(client, starting.pop_all(), stack)
    raise AssertionError("unreachable")


class Multiverse:
    """Renders scenes with one engine, which is started when first needed.

    Args:
        engine: see `open_engine`.
        options: size, passes, format, seed and samples of every picture; the keywords below override it.
        token: for a signalling server that asks for one.
        assets: packs to draw from, see `open_engine`.
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
            self._engine = open_engine(self._named, token=self._token, assets=self._assets)
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
