"""The construction kit of worlds.

Silently wrong would be: faces wound against their normals (bumps turn black), a mirrored or turned copy in the wrong
place, a pattern with a seam, a paint or prop name that is misspelt and ignored, a cached world that outlives its data.
"""

from __future__ import annotations

import json

import numpy as np
import pytest

from torchmultiverse.engines.builtin import surfaces, world_builder
from torchmultiverse.engines.builtin.mesh import Mesh
from torchmultiverse.engines.builtin.shapes import Repeat, ShapeSpec, common_paints, load_prop, make, place, prop_names
from torchmultiverse.engines.builtin.surfaces import Kind, Paint
from torchmultiverse.errors import SpecError

SHAPES = [
    {"shape": "box"},
    {"shape": "box", "bevel": 0.1},
    {"shape": "cylinder", "r2": 0.2},
    {"shape": "lathe", "profile": [(0, 0), (1, 0), (0.6, 0.5), (0.8, 1), (0, 1)]},
    {"shape": "ball"},
    {"shape": "dome"},
    {"shape": "tube", "path": [(0, 0, 0), (0, 0, 1), (0, 0.5, 2)], "r": 0.1},
    {"shape": "slab", "profile": [(0, 0), (1, 0), (1, 1), (0.5, 0.4), (0, 1)]},
    {"shape": "arch"},
    {"shape": "arch", "pointed": True},
    {"shape": "stairs"},
    {"shape": "panel"},
    {"shape": "floor"},
    {"shape": "ceiling"},
    {"shape": "sheet", "path": [(0, 0, 0), (1, 0, 1), (2, 0, 0)]},
]


def _agreement(mesh: Mesh) -> float:
    """Return the share of faces whose winding agrees with the normals at their corners."""
    assert mesh.normals is not None
    corners = mesh.vertices[mesh.faces].astype(float)
    face = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    solid = np.linalg.norm(face, axis=1) > 1e-9
    return float(((face * mesh.normals[mesh.faces].mean(1)).sum(1)[solid] > 0).mean())


@pytest.mark.parametrize("facts", SHAPES, ids=lambda f: "-".join(str(v) for v in list(f.values())[:2])[:24])
@pytest.mark.parametrize("repeat", [[], [{"mirror": "x"}]], ids=["plain", "mirrored"])
def test_faces_agree_with_normals(facts: dict, repeat: list) -> None:
    shape = ShapeSpec.model_validate({**facts, "repeat": repeat, "yaw": 30, "tilt": 20})
    for piece, _, _ in place([shape], {}, np.random.default_rng(0), "test"):
        assert _agreement(piece.mesh) == 1.0
        assert piece.mesh.uv is not None
        assert np.isfinite(piece.mesh.uv).all()


def test_a_solid_closes_and_has_its_size() -> None:
    for facts in SHAPES[:3]:
        mesh = make(ShapeSpec.model_validate({**facts, "size": (2, 3, 4), "r": 1.5, "h": 4}))
        corners = mesh.vertices[mesh.faces].astype(float)
        volume = np.einsum("ij,ij->i", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])).sum() / 6
        size = np.ptp(mesh.vertices, axis=0)
        assert volume > 0
        assert size[2] == pytest.approx(4)
        if facts == {"shape": "box"}:
            assert volume == pytest.approx(24, rel=1e-5)
            assert size[:2] == pytest.approx([2, 3])


def _middles(repeat: list[dict], **facts: object) -> np.ndarray:
    shape = ShapeSpec.model_validate({"shape": "box", "repeat": repeat, **facts})
    return np.array([p.mesh.vertices.mean(0) for p, _, _ in place([shape], {}, np.random.default_rng(0), "test")])


def test_copies_stand_where_they_should() -> None:
    line = _middles([{"step": (2, 0, 0), "count": 3}], at=(0, 5, 0))
    np.testing.assert_allclose(line[:, :2], [(-2, 5), (0, 5), (2, 5)], atol=1e-5)
    start = _middles([{"step": (0, 1, 0), "count": 2, "centered": False}])
    np.testing.assert_allclose(start[:, :2], [(0, 0), (0, 1)], atol=1e-5)
    ring = _middles([{"ring": 3, "count": 4}])
    np.testing.assert_allclose(ring[:, :2], [(3, 0), (0, 3), (-3, 0), (0, -3)], atol=1e-5)
    twins = _middles([{"mirror": "x"}, {"mirror": "y"}], at=(2, 3, 0))
    assert {tuple(np.round(p[:2])) for p in twins} == {(2, 3), (-2, 3), (2, -3), (-2, -3)}
    grid = _middles([{"step": (1, 0, 0), "count": 2}, {"step": (0, 1, 0), "count": 3}])
    assert len({tuple(np.round(p, 3)) for p in grid}) == 6


def test_copies_on_a_ring_face_its_middle() -> None:
    """A prop faces -y, so on a ring its -y must look inward: what is put in front of it lands nearer the middle."""
    ring = ShapeSpec(shape="box", size=(0.1, 2.0, 0.1), repeat=[Repeat(ring=5.0, count=7)])
    for piece, _, spot in place([ring], {}, np.random.default_rng(0), "test"):
        along = piece.mesh.vertices[:, :2] @ (spot / np.linalg.norm(spot))
        across = piece.mesh.vertices[:, :2] @ (np.array([-spot[1], spot[0]]) / np.linalg.norm(spot))
        assert np.ptp(along) == pytest.approx(2.0, abs=1e-4)
        assert np.ptp(across) == pytest.approx(0.1, abs=1e-4)


@pytest.mark.parametrize("kind", Kind.__args__)
def test_patterns_repeat_without_a_seam(kind: str) -> None:
    """The step over the edge must look like the steps inside."""
    paint = Paint(surface=kind, color=(0.6, 0.5, 0.4), accent=(0.3, 0.3, 0.35))  # type: ignore[arg-type]
    tile = surfaces.tile(paint, 128)
    assert tile.color.shape == (128, 128, 3)
    assert np.isfinite(tile.color).all()
    assert np.isfinite(tile.height).all()
    assert tile.color.min() >= 0
    assert tile.color.max() <= 1
    assert tile.rough.min() >= 0
    assert tile.rough.max() <= 1
    grey = tile.color.mean(-1)
    for axis in (0, 1):
        inside = np.abs(np.diff(grey, axis=axis)).mean(1 - axis)
        over = np.abs(np.take(grey, 0, axis) - np.take(grey, -1, axis)).mean()
        # As strong as the strongest edge inside is no seam: rows of bricks or of people end there.
        assert over <= 1.3 * inside.max() + 0.03, f"{kind} has a seam along axis {axis}"
    again = surfaces.tile(paint, 128)
    np.testing.assert_array_equal(tile.color, again.color)


def test_misspelt_names_are_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(SpecError, match=r"here\[0\]: no paint 'sandstne'.*sandstone"):
        place([ShapeSpec(shape="box", paint="sandstne")], {}, rng, "here")
    with pytest.raises(SpecError, match=r"no prop 'chiar'.*chair"):
        place([ShapeSpec(prop="chiar")], {}, rng, "here")
    with pytest.raises(SpecError, match=r"has no paint 'sat'.*seat"):
        place([ShapeSpec(prop="chair", paints={"sat": "red"})], {}, rng, "here")


def test_every_prop_can_be_built() -> None:
    assert common_paints()
    for name in prop_names():
        load_prop(name)
        pieces = place([ShapeSpec(prop=name)], {}, np.random.default_rng(0), name)
        faces = sum(len(p.mesh.faces) for p, _, _ in pieces)
        low = min(float(p.mesh.vertices[:, 2].min()) for p, _, _ in pieces)
        assert faces <= 60_000, f"prop '{name}' has {faces} triangles; worlds are to stay below 250,000"
        assert np.isfinite(low)


def test_a_changed_prop_makes_its_worlds_stale(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cached world that outlives its prop would show an old picture under a new label."""
    scenes = tmp_path / "scenes"
    (scenes / "props").mkdir(parents=True)
    (scenes / "paints.json").write_text("{}")
    inner = {"shapes": [{"shape": "box"}]}
    (scenes / "props" / "inner.json").write_text(json.dumps(inner))
    (scenes / "props" / "outer.json").write_text(json.dumps({"shapes": [{"prop": "inner"}]}))
    monkeypatch.setattr(world_builder, "data_folder", lambda _: scenes)
    content = {"blocks": [{"kind": "things", "shapes": [{"prop": "outer"}]}]}
    before = world_builder._sources(content)
    assert world_builder._sources(content) == before
    inner["shapes"][0]["h"] = 2.0  # type: ignore[assignment]
    (scenes / "props" / "inner.json").write_text(json.dumps(inner))
    assert world_builder._sources(content) != before
