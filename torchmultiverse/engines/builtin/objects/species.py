"""Animals among the objects: a species' data for a variant, from a known species, its body plan and a pose.

``species`` of a class holds what a species' file holds. ``like`` names a known species that it starts from. Its lists
(parts, patterns, eyes, rows, hair) are named, so that a variant can change one entry; those of a known species are
"0", "1", … in its order. ``pose`` moves groups of parts in the plane that halves the animal, in the order given.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from torchmultiverse.engines.builtin.characters import character_names, grow
from torchmultiverse.errors import SpecError, nearest
from torchmultiverse.resources import data_folder

Vector = tuple[float, float, float]
Matrix = NDArray[np.float64]
_LISTS = ("parts", "patterns", "eyes", "rows", "hair")


class Move(BaseModel):
    """A step of a pose: parts of some ``labels`` are scaled and turned ``about`` a point, then moved.

    ``turn``: degrees, positive lowers the nose. ``x``: only parts that begin between these. ``eyes``, ``rows``:
    whether all eyes, and which rows, go with them. Marks that lie on these labels alone go with them as well. A part
    that is turned no longer strides (``swing``).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    labels: list[str]
    x: tuple[float, float] = (-1e9, 1e9)
    about: Vector = (0.0, 0.0, 0.0)
    turn: float = 0.0
    scale: float | Vector = 1.0
    move: Vector = (0.0, 0.0, 0.0)
    eyes: bool = False
    rows: list[int] = Field(default=[])

    @property
    def factors(self) -> Matrix:
        """Return the scales (3,) along the axes."""
        return np.broadcast_to(np.asarray(self.scale, float), 3)

    @property
    def size(self) -> float:
        """Return the scale of radii, which are measured in the plane that halves the animal."""
        return float(np.sqrt(self.factors[0] * self.factors[2]))

    @property
    def matrix(self) -> Matrix:
        """Return the rotation (3, 3)."""
        return _matrix((0.0, self.turn, 0.0))

    def point(self, p: Any) -> list[float]:
        """Return where a point comes to lie."""
        about = np.asarray(self.about)
        moved = about + self.matrix @ (self.factors * (np.asarray(p, float) - about)) + np.asarray(self.move)
        return [round(float(v), 5) for v in moved]


def started(species: dict[str, Any], merged: Any, where: str) -> dict[str, Any]:
    """Return a variant's species with what it is ``like``, as data that stands on its own.

    Args:
        species: the variant's.
        merged: the function that merges JSON over JSON.
        where: the place that errors name.

    Raises:
        SpecError: no such species.
    """
    own = dict(species)
    name = own.pop("like", None)
    if name is None:
        return own
    if name not in character_names():
        raise SpecError(f"{where}: no species '{name}'.{nearest(str(name), character_names())}")
    base = json.loads((data_folder("scenes") / "characters" / f"{name}.json").read_bytes())
    base = {key: value for key, value in base.items() if not key.startswith("display_") and key != "hover"}
    for key in _LISTS:
        base[key] = {str(k): item for k, item in enumerate(base.get(key, []))}
    return dict(merged(base, own))


def posed(species: dict[str, Any], where: str) -> dict[str, Any]:
    """Return what a species' file holds: lists without names, the plan carried out, the pose taken.

    Raises:
        SpecError: a wrong plan or pose; names the place.
    """
    body: dict[str, Any] = {
        key: list(value.values()) if key in _LISTS and isinstance(value, dict) else value
        for key, value in species.items()
    }
    pose = body.pop("pose", {})
    body = grow(body, where)
    for name, given in pose.items():
        try:
            move = Move.model_validate_json(json.dumps(given))
        except ValidationError as error:
            raise SpecError(f"{where}: pose.{name}: {error}") from None
        body = _moved(body, move, f"{where}: pose.{name}")
    return body


def _moved(body: dict[str, Any], move: Move, where: str) -> dict[str, Any]:
    known = {part.get("label", "body") for part in body["parts"]}
    wrong = set(move.labels) - known
    if wrong:
        raise SpecError(f"{where}: no part is labelled '{min(wrong)}'.{nearest(min(wrong), known)}")
    out = dict(body)
    out["parts"] = [_part(part, move) if _goes(part, move) else part for part in body["parts"]]
    if move.eyes:
        out["eyes"] = [
            eye | {"at": move.point(eye["at"]), "r": eye["r"] * move.size,
                   "look": (move.matrix @ eye.get("look", (0.5, 1, 0.1))).tolist()}
            for eye in body.get("eyes", [])
        ]  # fmt: skip
    if move.rows:
        rows = list(body.get("rows", []))
        for k in move.rows:
            if not 0 <= k < len(rows):
                raise SpecError(f"{where}: rows: {k}; there are {len(rows)} rows")
            rows[k] = _row(rows[k], move)
        out["rows"] = rows
    out["patterns"] = [
        pattern | {"at": [move.point(p) for p in pattern["at"]], "size": pattern.get("size", 0.1) * move.size}
        if pattern.get("at") and set(pattern.get("labels") or ["*"]) <= set(move.labels) else pattern
        for pattern in body.get("patterns", [])
    ]  # fmt: skip
    return out


def _first(part: dict[str, Any]) -> float:
    if part.get("tube"):
        return float(part["tube"][0][0])
    return float((part.get("ellipsoid") or part.get("at") or (0.0,))[0])


def _goes(part: dict[str, Any], move: Move) -> bool:
    return part.get("label", "body") in move.labels and move.x[0] <= _first(part) <= move.x[1]


def _part(part: dict[str, Any], move: Move) -> dict[str, Any]:
    out = dict(part)
    f, size = move.factors, move.size
    if part.get("tube"):
        out["tube"] = [move.point(p) for p in part["tube"]]
        out["r"] = [round(r * size, 5) for r in part["r"]]
        out["w"] = [round(w * float(f[1]) / size, 5) for w in part.get("w", [1.0])]
    else:
        key = "ellipsoid" if part.get("ellipsoid") else "at"
        out[key] = move.point(part.get(key, (0.0, 0.0, 0.0)))
        out["turn"] = _angles(move.matrix @ _matrix(part.get("turn", (0.0, 0.0, 0.0))))
        if key == "ellipsoid":
            out["r"] = [round(r * float(k), 5) for r, k in zip(part["r"], f, strict=True)]
        else:
            out["plate"] = [[round(a * float(f[0]), 5), round(b * float(f[2]), 5)] for a, b in part["plate"]]
            out["bend"] = [b / size for b in part.get("bend", (0.0, 0.0))]
    if move.turn:
        out.pop("swing", None)
        out.pop("above", None)
    return out


def _row(row: dict[str, Any], move: Move) -> dict[str, Any]:
    out = row | {"along": [move.point(p) for p in row["along"]], "radius": row["radius"] * move.size}
    out["length"] = [length * move.size for length in row["length"]]
    for key in ("lean", "curve"):
        if key in row:
            out[key] = (move.matrix @ row[key]).tolist()
    if move.turn:
        out.pop("swing", None)
    return out


def _matrix(angles: Any) -> Matrix:
    """Return the rotation of yaw about z, then pitch about y (positive: nose down), then roll about x, in degrees."""
    yaw, pitch, roll = np.radians(np.asarray(angles, float))
    cz, sz, cy, sy, cx, sx = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch), np.cos(roll), np.sin(roll)
    rz = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    ry = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    rx = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    return np.asarray(rz @ ry @ rx, float)


def _angles(m: Matrix) -> list[float]:
    """Return yaw, pitch and roll of a rotation, degrees."""
    pitch = np.arcsin(np.clip(-m[2, 0], -1, 1))
    angles = np.degrees([np.arctan2(m[1, 0], m[0, 0]), pitch, np.arctan2(m[2, 1], m[2, 2])])
    return [round(float(a), 4) for a in angles]
