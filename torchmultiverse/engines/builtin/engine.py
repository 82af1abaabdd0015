"""The built-in engine: Mitsuba 3 behind the contract of every engine."""

from __future__ import annotations

import hashlib
import importlib.metadata
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from torchmultiverse.engines import Asset, Catalogue, Choice, Engine, Failure, Frame, RenderOptions, class_list
from torchmultiverse.engines.builtin import annotate, conditions, offers, placement, relative, stances
from torchmultiverse.engines.builtin.crowd import ANY, FIRST, KINDS, Crowd, further_actors
from torchmultiverse.engines.builtin.footprint import centre_of_mass
from torchmultiverse.engines.builtin.lru import LruCache
from torchmultiverse.engines.builtin.motion import motion_of, set_off
from torchmultiverse.engines.builtin.occlusion import OCCLUDERS, Occlusion
from torchmultiverse.engines.builtin.part_arrays import placed_parts
from torchmultiverse.engines.builtin.postprocess import denoiser_works, postprocess, tint
from torchmultiverse.engines.builtin.regions import region_choice, region_table
from torchmultiverse.engines.builtin.renderer import CharacterInstance, WorldRenderer
from torchmultiverse.engines.builtin.resolution import sensor_of
from torchmultiverse.engines.builtin.variant import activate
from torchmultiverse.engines.builtin.weather import air_of
from torchmultiverse.engines.builtin.world import World, load_spec, world_names
from torchmultiverse.engines.builtin.world_builder import load_world
from torchmultiverse.engines.builtin.world_conditions import WorldConditions, apply_conditions, world_conditions_of
from torchmultiverse.errors import EngineError, SpecError, nearest
from torchmultiverse.resources import data_folder
from torchmultiverse.scenes import BLANK, FACTORS, OWN, Scene, SemanticClass, base_world, classes_of, scene_seed

REVISION = 6
"""Picture revision: raised by whoever changes what any scene looks like, in whatever module.

It is part of the engine's fingerprint, so that no dataset goes on with pictures of two revisions. A test compares with
reference pictures of this revision; ``python tests/engines/references.py`` makes them anew. 2: angles are Unreal's.
3: worlds and animals that were hard to name were made anew. 4: metal and glass textures are metal and glass.
5: clear coats, light through leaves and cloth, roughness by vertex on objects; glass in the scalar variant.
6: objects that were hard to tell apart were made anew.
"""


class Character(Protocol):
    """What is needed of a character (see `torchmultiverse.engines.builtin.characters`); it may have ``parts``, too.

    And it may have an ``anchor``: the point of its mesh (3,) that comes over the spot where it is placed, such as its
    centre of mass; without one, or with None, that is the middle of the bounding box that it has when it is turned.
    """

    @property
    def vertices(self) -> NDArray[np.float32]: ...  # noqa: D102
    @property
    def faces(self) -> NDArray[np.uint32]: ...  # noqa: D102
    @property
    def normals(self) -> NDArray[np.float32]: ...  # noqa: D102
    @property
    def color(self) -> NDArray[np.float32]: ...  # noqa: D102
    @property
    def roughness(self) -> NDArray[np.float32]: ...  # noqa: D102
    @property
    def hover(self) -> float: ...  # noqa: D102


class AssetSource(Protocol):
    """Where characters and worlds come from: names, textures, the mesh of a character in a texture, a built world.

    ``classes`` are those that characters are of which their names do not tell (see `scenes.classes_of`), by character.

    ``regions`` are the looks that worlds have beside their own: by world, then name, in a few words. ``conditions``
    names the worlds that have a condition, by its wire name, where not all have it.
    ``packs`` names the packs of assets it draws from, ``assets`` says whose they are, ``about`` what worlds and
    characters are in a few words (by kind, then name), ``fingerprint`` is of all that a picture can show of them.
    ``side`` is that of the picture in pixels: a mesh need not be finer than what the picture can show, and the fewer
    faces it has, the sooner a CPU has built its ray-tracing structure.
    """

    def names(self) -> list[str]: ...  # noqa: D102
    def classes(self) -> dict[str, str]: ...  # noqa: D102
    def textures(self) -> list[str]: ...  # noqa: D102
    def load(self, name: str, texture: str, side: int = 512) -> Character: ...  # noqa: D102
    def worlds(self) -> list[str]: ...  # noqa: D102
    def world(self, name: str, region: str = OWN) -> World: ...  # noqa: D102
    def regions(self) -> dict[str, dict[str, str]]: ...  # noqa: D102
    def conditions(self) -> dict[str, list[str]]: ...  # noqa: D102
    def packs(self) -> list[str]: ...  # noqa: D102
    def assets(self) -> list[Asset]: ...  # noqa: D102
    def about(self) -> dict[str, dict[str, str]]: ...  # noqa: D102
    def fingerprint(self) -> bytes: ...  # noqa: D102


class ProceduralAssets(AssetSource):
    """The animals, objects and worlds that come with the package."""

    @override
    def packs(self) -> list[str]:
        return ["procedural"]

    @override
    def names(self) -> list[str]:
        from torchmultiverse.engines.builtin.characters import character_names
        from torchmultiverse.engines.builtin.objects import object_names

        return [*character_names(), *object_names()]

    @override
    def classes(self) -> dict[str, str]:
        return {}

    @override
    def textures(self) -> list[str]:
        from torchmultiverse.engines.builtin.characters import texture_names

        return list(texture_names())

    @override
    def load(self, name: str, texture: str, side: int = 512) -> Character:
        from torchmultiverse.engines.builtin.characters import load_character, texture_character
        from torchmultiverse.engines.builtin.objects import load_object, object_names

        if name in object_names():
            return texture_character(load_object(name), texture)
        voxels = next(voxels for limit, voxels in _VOXELS if side <= limit)
        return texture_character(load_character(name, voxels), texture)

    @override
    def worlds(self) -> list[str]:
        return world_names()

    @override
    def world(self, name: str, region: str = OWN) -> World:
        return load_world(name, region)

    @override
    def regions(self) -> dict[str, dict[str, str]]:
        return region_table()

    @override
    def conditions(self) -> dict[str, list[str]]:
        return offers.worlds_with({name: load_spec(name)[0] for name in self.worlds()})

    @override
    def assets(self) -> list[Asset]:
        own = {"source": "made by code in this package", "license": "Apache-2.0", "attribution": "TorchMultiverse"}
        kinds = {"world": self.worlds(), "character": self.names(), "texture": self.textures()}
        return [
            Asset(name=name, kind=kind, pack="procedural", **own) for kind, names in kinds.items() for name in names
        ]

    @override
    def about(self) -> dict[str, dict[str, str]]:
        from torchmultiverse.engines.builtin.characters import character_label, character_names
        from torchmultiverse.engines.builtin.objects import object_label, object_names

        animals = {name: character_label(name) for name in character_names()}
        return {
            "world": {name: load_spec(name)[0].about for name in world_names()},
            "character": animals | {name: object_label(name) for name in object_names()},
        }

    @override
    def fingerprint(self) -> bytes:
        digest = hashlib.sha256()
        scenes = data_folder("scenes")
        for folder in ("worlds", "props", "characters", "objects"):
            for path in sorted((scenes / folder).glob("*.json")):
                digest.update(path.name.encode() + path.read_bytes())
        for path in sorted((scenes / "regions").glob("*/*.json")):
            digest.update(f"{path.parent.name}/{path.name}".encode() + path.read_bytes())
        for name in ("paints.json", "textures.json"):
            digest.update((scenes / name).read_bytes())
        return digest.digest()


_VOXELS = ((192, 500_000), (320, 1_300_000), (1 << 16, 4_000_000))
"""Grid of a character's mesh by the side of the picture: a voxel is about as wide as a pixel."""


def _key(world: World) -> tuple[str, str]:
    """Return what tells the ground of a world from that of another."""
    return world.name, world.region


def describe(assets: AssetSource | None = None) -> Catalogue:
    """Return what the engine renders of some assets, by default the package's; no renderer is loaded for it.

    The fingerprint is empty: it is of an engine that runs.
    """
    from torchmultiverse.engines.builtin.characters import TEXTURES, texture_kind

    source = assets or ProceduralAssets()
    about = source.about()
    worlds, names, textures = source.worlds(), source.names(), source.textures()
    character = Choice(levels=[BLANK, *names], about={BLANK: "no character"} | about["character"])
    surfaces = {name: texture_kind(name) for name in textures if name in TEXTURES} | about.get("texture", {})
    texture = Choice(levels=textures, about=surfaces)
    position = Choice(levels=list(placement.POSITIONS))
    light, classes = FACTORS["Scene_Light"].names, class_list(names, source.classes())
    # A suffix is a view of a world in the published configs; here each has one.
    views = {f"{world}_0": world for world in worlds}
    choices = {
        "World_Name": Choice(levels=worlds, aliases=views, about=about["world"]),
        "Scene_Light": Choice(levels=list(light.values()), about={level: name for name, level in light.items()}),
        "Character_Name": character, "Character2_Name": character,
        "Character_Texture": texture, "Character2_Texture": texture,
        "Character1_Pos": position, "Character2_Pos": position,
        "Occluder": Choice(levels=list(OCCLUDERS), about=OCCLUDERS),
        "Distractor_Kind": Choice(levels=list(dict.fromkeys([ANY, *KINDS, *(one.name for one in classes)]))),
        "World_Region": region_choice(source.regions()),
    }  # fmt: skip
    only = source.conditions()
    return Catalogue(
        engine="builtin",
        version=importlib.metadata.version("torchmultiverse"),
        passes=["rgb", "mask", "class", "depth", "normals"],
        figure_ground=True,
        factors={
            factor.wire: Choice(low=factor.low, high=factor.high, whole=factor.whole, only=only.get(factor.wire))
            if factor.kind in ("number", "list")
            else choices.get(factor.wire, Choice())
            for factor in FACTORS
            if not factor.label and (not factor.group or factor.wire in conditions.OFFERED)
        },
        packs=source.packs(),
        assets=source.assets(),
        classes=classes,
    )


class BuiltinEngine(Engine):
    """Renders scenes with Mitsuba 3 in this process.

    The picture of a scene depends on the scene, the options, and the machine, not on what was rendered before.

    Args:
        variant: ``cuda_ad_rgb``, ``llvm_ad_rgb`` or ``scalar_rgb``; by default the quickest that works here.
        samples: per pixel, where the options do not say; by default each world's own number, 16 or more.
        denoise: whether to denoise with Intel Open Image Denoise, where it is installed.
        worlds: how many loaded worlds to keep; loading one anew takes less than a second.
        assets: where characters and worlds come from; by default the package's (see `torchmultiverse.assets`).

    Raises:
        EngineError: the variant does not work here.
    """

    def __init__(
        self,
        variant: str | None = None,
        samples: int | None = None,
        denoise: bool = True,
        worlds: int = 1,
        assets: AssetSource | None = None,
    ) -> None:
        if samples is not None and samples < 1:
            raise EngineError(f"samples = {samples}; at least 1 is needed")
        self.variant = activate(variant)
        self.samples = samples
        self.denoise = denoise and denoiser_works()
        self._assets = assets or ProceduralAssets()
        self._worlds = LruCache(worlds, cyclic=True)
        self._characters = LruCache(96)
        self._instances = LruCache(8)
        self._crowd = Crowd(self._assets.load)
        self._occlusion = Occlusion()
        self._catalogue: Catalogue | None = None
        self._closed = False
        self.on_device = False
        """Whether pictures stay where they are traced, as torch tensors, until somebody asks for an array."""
        self.annotated = True
        """Whether frames say where their characters are seen (``info["objects"]``): a third of what the host does for
        a picture that is traced on a GPU."""

    # Asked once: a source may look into its folders, which for every picture would take as long as a small one.

    @cached_property
    def _names(self) -> list[str]:
        return self._assets.names()

    @cached_property
    def _classes(self) -> dict[str, SemanticClass]:
        """Each character's class, whose number is the same in all pictures of an engine."""
        return classes_of(self._names, self._assets.classes())

    @cached_property
    def _textures(self) -> list[str]:
        return self._assets.textures()

    @cached_property
    def _world_names(self) -> list[str]:
        return self._assets.worlds()

    @override
    def catalogue(self) -> Catalogue:
        if self._catalogue is None:
            fingerprint = self._fingerprint(importlib.metadata.version("torchmultiverse"))
            self._catalogue = describe(self._assets).model_copy(update={"fingerprint": fingerprint})
        return self._catalogue

    def _fingerprint(self, version: str) -> str:
        digest = hashlib.sha256()
        facts = [version, importlib.metadata.version("mitsuba"), self.variant, str(self.denoise), str(self.samples)]
        if self.denoise:
            facts.append(importlib.metadata.version("pyoidn"))
        for fact in facts:
            digest.update(fact.encode() + b"\0")
        digest.update(self._assets.fingerprint())
        return f"builtin-{version}-r{REVISION}-{self.variant}-{digest.hexdigest()[:12]}"

    @override
    def render(
        self,
        scenes: Iterable[Scene],
        options: RenderOptions = RenderOptions(),  # noqa: B008 - frozen
    ) -> Iterator[Frame | Failure]:
        if self._closed:
            raise EngineError("this engine is closed")
        for scene in scenes:
            try:
                yield self._render(scene, options)
            except SpecError as error:
                yield Failure(scene, str(error))

    def _render(self, scene: Scene, options: RenderOptions) -> Frame:
        start = time.perf_counter()
        tint(scene.get_str("Scene_Light"))
        for name, value in scene.wire.items():
            if scene.table[name].group and name not in conditions.OFFERED:
                raise SpecError(f"{name} = {value}: the built-in engine cannot vary it")
        surroundings = conditions.conditions_of(scene, options.seed)
        on_device = self.on_device and surroundings.plain  # conditions are the host's work
        actors = set_off(scene, [*placement.scene_actors(scene), *further_actors(scene)])
        for actor in actors:
            if actor.name not in self._names:
                raise SpecError(f"no character '{actor.name}'.{nearest(actor.name, self._names)}")
            if actor.texture not in self._textures:
                raise SpecError(f"no texture '{actor.texture}'.{nearest(actor.texture, self._textures)}")
        renderer = self._world(self._known_world(scene), world_conditions_of(scene))
        offers.refuse(renderer.world, scene)
        around = renderer.surround() if surroundings.airy else None
        loaded = time.perf_counter()
        kind = placement.layout(scene, actors)
        view = placement.view(scene, renderer.world, kind, options.size)
        actors, instances = self._characters_in(scene, renderer, actors, view, kind)
        classes = {actor.number: self._classes[actor.name].id for actor in actors}
        occluded = self._occlusion.find(scene, actors, instances, renderer, view, classes.values())
        view = occluded.view
        renderer.set_characters(instances, occluded.scenery)
        sensor = sensor_of(scene, view, instances)
        taken = view if sensor is None else sensor.view
        on_device = on_device and sensor is None
        placed = time.perf_counter()
        samples = options.samples or self.samples or renderer.world.spec.samples
        seed = scene_seed(options.seed, scene.scene_id)
        exact = self.annotated or set(options.passes) != {"rgb"} or surroundings.airy
        buffers = renderer.render(taken, samples, seed, on_device, exact, air_of(surroundings))
        traced = time.perf_counter()
        light = scene.get_str("Scene_Light")
        images: dict[str, Any] = {}
        tensors: dict[str, Any] = {}
        if buffers.on_device is None:
            images["rgb"] = postprocess(buffers, renderer.world, taken, light, self.denoise, surroundings, seed, around)
        else:
            from torchmultiverse.engines.builtin.postprocess_device import postprocess_device

            tensors["rgb"] = postprocess_device(buffers, renderer.world, view, light, self.denoise)
        info: dict[str, Any] = {"camera": view.as_dict(), "layout": kind}
        if sensor is not None:
            images["rgb"], info["sensor"] = sensor.enlarged(images["rgb"]), sensor.as_dict()
            buffers = renderer.labels(view)
        processed = time.perf_counter()
        arrays = images | annotate.passes(buffers, view, options.passes, classes)
        if self.annotated:
            rgb = images["rgb"] if "rgb" in images else tensors["rgb"].cpu().numpy()
            facts = annotate.objects(actors, instances, buffers, view, classes, rgb)
            info["objects"] = occluded.recorded(facts, buffers.instance)
        done = time.perf_counter()
        return Frame(
            scene,
            tensors=tensors,
            arrays=arrays,
            format=options.format,
            settle={"settled": True, "samples": samples, "denoised": self.denoise},
            timings={
                "world_ms": (loaded - start) * 1000,
                "place_ms": (placed - loaded) * 1000,
                "trace_ms": (traced - placed) * 1000,
                "postprocess_ms": (processed - traced) * 1000,
                "annotate_ms": (done - processed) * 1000,
                "render_ms": (done - start) * 1000,
            },
            engine=self.catalogue().fingerprint,
            info=info,
        )

    def _known_world(self, scene: Scene) -> str:
        """Return the name of a scene's world, without the suffix of a view.

        Raises:
            SpecError: there is none of that name.
        """
        name = scene.get_str("World_Name")
        if name not in self._world_names:
            name = base_world(name)
        if name not in self._world_names:
            raise SpecError(f"no world '{name}'.{nearest(name, self._world_names)}")
        return name

    def _world(self, name: str, asked: WorldConditions) -> WorldRenderer:
        """Return a world as its conditions make it, loaded; its light and what covers it change without loading."""

        def loaded() -> WorldRenderer:
            return WorldRenderer(apply_conditions(self._assets.world(name, asked.region), asked.built))

        renderer: WorldRenderer = self._worlds.get((name, asked.built), loaded)
        renderer.change(asked)
        return renderer

    def _characters_in(
        self,
        scene: Scene,
        renderer: WorldRenderer,
        actors: list[placement.Actor],
        view: placement.View,
        kind: placement.Layout,
    ) -> tuple[list[placement.Actor], list[CharacterInstance | None]]:
        """Return all that stands in a scene, and its meshes in their places, by number - 1."""
        side = min(view.size)
        two = [actor for actor in actors if actor.number < FIRST]
        instances: list[CharacterInstance | None] = [None] * max((actor.number for actor in two), default=0)
        for actor in two:
            instances[actor.number - 1] = self._instance(actor, two, renderer, side)
        instances, turned = self._arranged(instances, two, renderer, side)
        actors = [turned.get(actor.number, actor) for actor in actors]
        place = renderer.world, _key(renderer.world), kind
        return self._crowd.joined(scene, actors, instances, place, view, self._classes)

    def _instance(
        self, actor: placement.Actor, actors: list[placement.Actor], renderer: WorldRenderer, side: int
    ) -> CharacterInstance:
        """Return a character in its place; the very same object for the same placing, so that nothing is built anew."""
        key = (actor.name, actor.texture, side)

        def placed() -> CharacterInstance:
            mesh: Character = self._characters.get(key, lambda: self._assets.load(*key))
            vertices, normals = placement.place(
                actor, actors, renderer.world, mesh.vertices, mesh.normals, mesh.hover, getattr(mesh, "anchor", None)
            )
            parts = placed_parts(getattr(mesh, "parts", ()), vertices, normals)
            return CharacterInstance(vertices, mesh.faces, normals, mesh.color, mesh.roughness, parts, motion_of(actor))

        return self._instances.get((*_key(renderer.world), side, actor, *actors), placed)  # type: ignore[no-any-return]

    def _arranged(
        self,
        instances: list[CharacterInstance | None],
        actors: list[placement.Actor],
        renderer: WorldRenderer,
        side: int,
    ) -> tuple[list[CharacterInstance | None], dict[int, placement.Actor]]:
        """Return the characters, one of them where it stands to the other as its place says, where that is asked; and
        those that were laid down for it, by number, with the angles that they then have."""
        subject = next((actor for actor in actors if actor.position in relative.RELATIVE), None)
        if subject is None:
            return instances, {}
        (other,) = (actor for actor in actors if actor is not subject)

        def arranged() -> tuple[list[CharacterInstance | None], dict[int, placement.Actor]]:
            moved, bodies = list(instances), []
            turned: dict[int, placement.Actor] = {}
            for actor in (subject, other):
                one = instances[actor.number - 1]
                assert one is not None
                middle, tilted = centre_of_mass(one.vertices, one.faces), bool(actor.roll or actor.pitch)
                bodies.append(
                    stances.Body(
                        one.vertices.astype(float), one.faces, middle, fixed=tilted, heading=-np.radians(actor.yaw)
                    )
                )
            eye = placement.eye_of(renderer.world)
            found = relative.arrange(subject.position, bodies[0], bodies[1], renderer.world.ground, eye)
            for actor, body in zip((subject, other), found, strict=True):
                one = instances[actor.number - 1]
                assert one is not None
                vertices, normals = body.vertices.astype(np.float32), one.normals
                if not np.array_equal(body.turn, np.eye(3)):
                    normals = (normals @ body.turn.T).astype(np.float32)
                    turned[actor.number] = placement.turned(actor, body.turn)
                parts = placed_parts(one.parts, vertices, normals)
                moved[actor.number - 1] = replace(one, vertices=vertices, normals=normals, parts=parts)
            return moved, turned

        key = ("arranged", *_key(renderer.world), side, *actors)
        return self._instances.get(key, arranged)  # type: ignore[no-any-return]

    @override
    def close(self) -> None:
        self._closed = True
        self._worlds.values.clear()
        self._characters.values.clear()
        self._instances.values.clear()
        self._crowd.clear()
