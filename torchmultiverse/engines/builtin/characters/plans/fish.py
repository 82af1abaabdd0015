"""Fishes: a spindle of a body with a head, fins on its outline, and a tail fin of one of five kinds.

The body's length without the tail fin is 1, from the snout at x = 0.5 to the tail's root at x = -0.5; sizes are
fractions of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from torchmultiverse.engines.builtin.characters.plans import Body, Proportions, plan, rounded

Array = NDArray[np.float64]


class Fin(Proportions):
    """A fin on the back or the belly, from ``start`` back to ``end`` (x), ``height`` high.

    ``soft`` is a rounded sail, ``sickle`` a swept-back blade, ``spiny`` has as many points as ``spines``, ``veil``
    hangs long at its end.
    """

    start: float
    end: float
    height: float
    shape: Literal["soft", "sickle", "spiny", "veil"] = "soft"
    spines: int = 9


class Fish(Proportions):
    """Proportions and colours.

    Attributes:
        depth: height of the body at its deepest. ``width``: its width over its height. ``thick``: x of the deepest.
        root: height where the tail fin begins. ``snout``: 0 blunt to 1 pointed. ``hump``: -1 all the depth is belly,
            1 all of it is back.
        mouth: tilt in degrees, positive upturned. ``gape``: length of the mouth. ``jaw``: how far the lower one juts.
        tail: its kind; ``tail_size``: its height. ``dorsal``, ``anal``: fins on the back and behind the belly.
        ripple: height of the waves in the fins of the back, belly and tail, over the distance from the fin's root.
        pectoral, pelvic: lengths of the paired fins; ``spread``: degrees that the pectorals stand out.
        adipose: a small fleshy fin before the tail. ``finlets``: number of small ones there, on the back and below.
        barbels: length, at the mouth.
        eye: radius. ``iris``: its colour.
        back, side, belly, fin, tail_color: colours. ``scales``: length of a scale, 0 for none. ``shine``: roughness.
    """

    depth: float = 0.28
    width: float = 0.5
    thick: float = 0.08
    root: float = 0.08
    snout: float = 0.5
    hump: float = 0.0
    mouth: float = 0.0
    gape: float = 0.09
    jaw: float = 0.0
    tail: Literal["forked", "lunate", "round", "veil"] = "forked"
    tail_size: float = 0.32
    dorsal: list[Fin] = Field(default=[Fin(start=0.12, end=-0.18, height=0.1)])
    anal: list[Fin] = Field(default=[Fin(start=-0.22, end=-0.38, height=0.08)])
    ripple: float = 0.0
    pectoral: float = 0.14
    spread: float = 50.0
    pelvic: float = 0.1
    adipose: bool = False
    finlets: int = 0
    barbels: float = 0.0
    eye: float = 0.026
    iris: str = "#c8b060"
    back: str = "#4a5a66"
    side: str = "#9aa6ac"
    belly: str = "#e8eaea"
    fin: str = "#6a747a"
    tail_color: str | None = None
    scales: float = 0.03
    shine: float = 0.3


_X = np.array([0.5, 0.46, 0.4, 0.31, 0.2, 0.05, -0.12, -0.28, -0.41, -0.5])
_BLUNT = np.array([0.3, 0.52, 0.7, 0.86, 0.96, 1.0, 0.92, 0.7, 0.44, 0.0])
_POINTED = np.array([0.1, 0.22, 0.4, 0.63, 0.86, 1.0, 0.96, 0.74, 0.46, 0.0])
_TAILS: dict[str, list[tuple[float, float]]] = {
    "forked": [(0.08, 0.12), (-0.12, 0.3), (-0.45, 0.75), (-0.72, 1.0), (-0.7, 0.85), (-0.52, 0.42), (-0.4, 0.0)],
    "lunate": [(0.06, 0.08), (-0.06, 0.18), (-0.24, 0.6), (-0.46, 1.0), (-0.42, 0.78), (-0.26, 0.34), (-0.2, 0.0)],
    "round": [(0.1, 0.16), (-0.15, 0.42), (-0.42, 0.78), (-0.72, 0.82), (-0.98, 0.55), (-1.06, 0.2), (-1.06, 0.0)],
    "veil": [(0.06, 0.1), (-0.06, 0.45), (-0.24, 0.92), (-0.55, 1.12), (-0.95, 1.0), (-1.05, 0.72), (-1.32, 0.48),
             (-1.22, 0.2), (-1.4, 0.0)],
}  # fmt: skip


def _profile(p: Fish) -> tuple[Array, Array]:
    """Return radii and heights of the middle at the stations ``_X``."""
    shape = _BLUNT + (_POINTED - _BLUNT) * p.snout
    # The stations of the shape are moved so that its deepest part lies where it is asked for.
    at = np.interp(_X, [-0.5, p.thick, 0.5], [-0.5, 0.05, 0.5])
    f = np.interp(at[::-1], _X[::-1], shape[::-1])[::-1]
    r = np.maximum(p.depth / 2 * f, p.root / 2 * np.clip((0.5 - _X) / 0.6, 0.2, 1))
    return r, p.hump * 0.6 * (r - p.root / 2)


def _outline(fin: Fin, edge: Array, sign: float) -> tuple[list[tuple[float, float]], tuple[float, float]]:
    """Return a fin's outline around its base's middle, and that middle (x, z); ``edge`` is the body's outline."""

    def base(x: float) -> float:
        return float(np.interp(x, _X[::-1], edge[::-1]))

    long = fin.start - fin.end
    middle = (fin.start + fin.end) / 2
    root = base(middle)
    n = 11
    t = np.linspace(0, 1, n)
    x = fin.start - t * long
    if fin.shape == "sickle":
        lift = np.array([0, 0.35, 0.75, 1.0, 0.8, 0.5, 0.32, 0.22, 0.16, 0.12, 0])
        x = x - 0.35 * fin.height * lift
    elif fin.shape == "veil":
        lift = np.array([0, 0.4, 0.62, 0.74, 0.82, 0.9, 0.96, 1.0, 1.05, 0.8, 0])
        x = x - 0.55 * fin.height * lift
    else:
        lift = np.sin(np.pi * np.clip(t * 0.9 + 0.1, 0, 1)) ** 0.6
        lift[0] = 0.0
        x = x - 0.3 * fin.height * lift
    if fin.shape == "spiny":
        t = np.linspace(0, 1, 2 * fin.spines + 1)
        crest = np.sin(np.pi * np.clip(t * 0.85 + 0.12, 0, 1)) ** 0.5
        lift = crest * np.where(np.arange(len(t)) % 2 == 1, 1.0, 0.68)
        lift[[0, -1]] = 0.0
        x = fin.start - t * long - 0.25 * fin.height * lift
    top = [
        (float(a - middle), sign * float(h * fin.height) + base(float(np.clip(a, fin.end, fin.start))) - root)
        for a, h in zip(x, lift, strict=True)
    ]
    sunk = 0.03
    low = [(fin.end - middle, base(fin.end) - root - sign * sunk), (0.0, -sign * sunk * 1.5)]
    low.append((fin.start - middle, base(fin.start) - root - sign * sunk))
    return [*top, *low], (middle, root)


def _plate(label: str, outline: list[tuple[float, float]], at: tuple[float, float, float], **facts: Any) -> Body:
    points = [[round(float(a), 4), round(float(b), 4)] for a, b in outline]
    return {"label": label, "plate": points, "at": [round(v, 4) for v in at], "r": [0.011], "blend": 0.02} | facts


_PADDLE = [(0.02, 0.25), (-0.35, 0.42), (-0.85, 0.36), (-1.05, 0.05), (-0.8, -0.3), (-0.3, -0.28), (0.02, -0.2)]
_WAVES = 5
_ADIPOSE = [(0.03, -0.02), (0.01, 0.025), (-0.035, 0.045), (-0.04, 0.0), (-0.01, -0.02)]


@dataclass(frozen=True)
class _Trunk:
    """Radii and heights of a fish's middle at the stations ``_X``."""

    r: Array
    z: Array

    def at(self, values: Array, x: float) -> float:
        """Return values of the stations at any x."""
        return float(np.interp(x, _X[::-1], values[::-1]))

    def side(self, p: Fish) -> float:
        """Return how far the flank behind the head is from the middle."""
        return self.at(self.r, 0.2) * p.width


@plan("fish", Fish)
def fish(p: Fish) -> Body:
    """Return a fish that swims towards +x."""
    trunk = _Trunk(*_profile(p))
    eye_x = 0.37 - 0.02 * p.snout
    eye_r = trunk.at(trunk.r, eye_x)
    eye_z = trunk.at(trunk.z, eye_x) + 0.3 * eye_r
    eye = {
        "at": [eye_x, round(eye_r * p.width * 0.95, 4), round(eye_z, 4)], "r": p.eye, "look": [0.15, 1, 0.05],
        "iris": p.iris, "white": "#20201c", "pupil": 0.6, "ring": 1.1,
    }  # fmt: skip
    parts = [*_body(p, trunk), *_fins(p, trunk), *_small_fins(p, trunk), *_barbels(p, trunk)]
    return {"parts": parts, "eyes": [eye], "skins": _skins(p), "patterns": _patterns(p, trunk)}


def _jaw_height(trunk: _Trunk) -> float:
    return float(trunk.z[0]) - 0.35 * float(trunk.r[0]) - 0.008


def _body(p: Fish, trunk: _Trunk) -> list[Body]:
    r, z = trunk.r, trunk.z

    def tube(first: int, last: int, label: str, blend: float) -> Body:
        points = [[float(_X[k]), 0.0, round(float(z[k]), 4)] for k in range(first, last)]
        wide = np.interp(_X[first:last], [-0.5, -0.2, 0.3, 0.5], [0.4, 0.9, 1.0, 1.15]) * p.width
        return {"label": label, "tube": points, "r": rounded(r[first:last]), "w": rounded(wide), "blend": blend}

    rise = p.jaw * float(np.tan(np.radians(p.mouth)))
    jaw = [[0.4, 0, float(z[2]) - 0.45 * float(r[2])], [0.5 + p.jaw, 0, _jaw_height(trunk) + rise]]
    return [
        tube(3, len(_X), "body", 0.02),
        tube(0, 5, "head", 0.02),
        {
            "label": "head",
            "tube": jaw,
            "r": [round(float(r[2]) * 0.5, 4), round(max(float(r[0]) * 0.55, 0.012), 4)],
            "w": [p.width * 1.2],
            "blend": 0.025,
        },
        {
            "label": "mouth",
            "ellipsoid": [0.51 + p.jaw * 0.5, 0, round(float(z[0]) - 0.2 * float(r[0]), 4)],
            "r": [p.gape, max(float(r[0]) * 1.6, 0.04), 0.009],
            "turn": [0, -p.mouth, 0],
            "carve": True,
            "blend": 0.008,
        },
    ]


def _fins(p: Fish, trunk: _Trunk) -> list[Body]:
    r, z = trunk.r, trunk.z
    # A steep sheet needs to be thicker, so that the grid does not tear it.
    sheet = {"ripple": [p.ripple, _WAVES], "r": [round(0.011 * (1 + 2.5 * p.ripple), 4)]}
    parts: list[Body] = []
    for label, fins, sign in (("dorsal", p.dorsal, 1), ("anal", p.anal, -1)):
        for fin in fins:
            outline, (x, height) = _outline(fin, z + sign * r, sign)
            parts.append(_plate(label, outline, (x, 0, height), **sheet))
    s = p.tail_size / 2
    shape = _TAILS[p.tail]
    shape = [*shape, *[(a, -b) for a, b in shape[-2::-1]]]
    tail = [(a * s * 1.15, b * s) for a, b in shape]
    bend = [0.0 if p.ripple else 0.25 * 0.3 / max(p.tail_size, 0.3), 0.0]
    parts.append(_plate("tail", tail, (-0.49, 0, float(z[-1])), bend=bend, **sheet))
    side = trunk.side(p)
    if p.pectoral > 0:
        outline = [(a * p.pectoral, b * p.pectoral) for a, b in _PADDLE]
        at = (0.2, side * 0.85, trunk.at(z - 0.35 * r, 0.2))
        parts.append(_plate("paired", outline, at, turn=[-p.spread, 18, 0], mirror=True))
    if p.pelvic > 0:
        outline = [(a * p.pelvic, b * p.pelvic) for a, b in _PADDLE]
        at = (0.02, side * 0.45, trunk.at(z - 0.86 * r, 0.02))
        parts.append(_plate("paired", outline, at, turn=[-14, 48, 28], mirror=True))
    return parts


def _small_fins(p: Fish, trunk: _Trunk) -> list[Body]:
    r, z = trunk.r, trunk.z
    parts: list[Body] = []
    if p.adipose:
        parts.append(_plate("dorsal", _ADIPOSE, (-0.36, 0.0, trunk.at(z + r, -0.36))))
    for k in range(p.finlets):
        x = -0.2 - 0.25 * k / max(p.finlets - 1, 1)
        for sign in (1, -1):
            outline = [(0.022, -0.012 * sign), (-0.012, 0.034 * sign), (-0.024, 0.03 * sign), (-0.012, -0.012 * sign)]
            parts.append(_plate("finlet", outline, (x, 0, trunk.at(z + sign * r, x)), blend=0.004))
    return parts


def _barbels(p: Fish, trunk: _Trunk) -> list[Body]:
    if p.barbels <= 0:
        return []
    b, jaw = p.barbels, _jaw_height(trunk)
    path = [[0.49 + p.jaw, 0.02, jaw], [0.5 + p.jaw + 0.5 * b, 0.04, jaw - 0.1 * b]]
    path.append([0.5 + p.jaw + 0.9 * b, 0.06, jaw - 0.5 * b])
    return [{"label": "head", "tube": path, "r": [0.011, 0.008, 0.004], "mirror": True, "blend": 0.006}]


def _skins(p: Fish) -> Body:
    flesh = {"contrast": 0.15, "rough": p.shine}
    fin = {"rough": 0.4, "contrast": 0.2}
    return {
        "body": {"color": p.side, "grain": 0.15, **flesh},
        "head": {"color": p.side, "grain": 0.1, **flesh},
        "mouth": {"color": "#1c100c"},
        "tail": {"color": p.tail_color or p.fin, **fin},
        **{label: {"color": p.fin, **fin} for label in ("dorsal", "anal", "paired", "finlet")},
    }


def _patterns(p: Fish, trunk: _Trunk) -> list[Body]:
    side, labels, soft = trunk.side(p), ["body", "head"], 0.3
    gill = [[0.27, side * 1.0, 0.3 * p.depth], [0.225, side * 1.1, 0.02], [0.25, side * 0.8, -0.28 * p.depth]]
    patterns: list[Body] = []
    if p.scales > 0:
        rows = max(10, round(3.2 * p.depth / p.scales * 2))
        patterns.append(
            {"kind": "scales", "labels": ["body"], "size": p.scales, "amount": rows, "lift": 0.003, "color": p.side}
        )
    patterns += [
        {"kind": "facing", "labels": labels, "color": p.back, "axis": [0, 0, 1], "amount": 0.36, "soft": soft},
        {"kind": "facing", "labels": labels, "color": p.belly, "axis": [0, 0, -1], "amount": 0.3, "soft": soft},
        {"kind": "mark", "labels": labels, "at": gill, "size": 0.008, "color": p.back, "lift": -0.005},
    ]
    for label in ("dorsal", "anal", "paired", "tail"):
        patterns.append({"kind": "rays", "labels": [label], "amount": 54, "size": 0.25, "lift": -0.003, "soft": 0.4})
    return patterns
