"""Standing birds: an egg of a body on two legs, a neck to a head with a beak, folded wings, a tail.

Heights count from the ground and x from the middle of the body, in the species' own units.
"""

from __future__ import annotations

import numpy as np

from torchmultiverse.engines.builtin.characters.plans import Body, Proportions, plan, rounded


class Bird(Proportions):
    """Proportions and colours.

    Attributes:
        height: of the body's middle. ``length``, ``depth``: of the body (without tail), depth is a radius.
        width: its width over its depth. ``pitch``: how far the chest is raised, degrees.
        head: x and z of the head's middle; ``skull``: its radius. ``neck``: radii at chest and head.
        bend: how far the neck swings forward, then back (an S), as a share of its length.
        beak: length; ``beak_depth``: radius at its root; ``beak_width``: width over depth; ``hook``: how far its tip
            bends down, as a share of its length; ``beak_tilt``: degrees downward.
        wing: length of the folded wing; ``wing_drop``: degrees it points down at its end, against the body.
        tail: length; ``tail_width``: over that of a crow; ``tail_tilt``: degrees below the body's axis.
        leg: radius of the shank; ``thigh``: of the thigh at the body; ``apart``: half the distance of the feet;
            ``toes``: length of the middle toe; ``web``: whether skin joins the toes; ``knee``: height of the joint.
        eye: radius, ``iris``: its colour.
        feather: length of the body's feather scales, 0 for none. ``fluff``: length of loose feathers.
        body_color, belly, head_color, neck_color, wing_color, wing_tip, tail_color, beak_color, leg_color: colours.
    """

    height: float = 0.55
    length: float = 0.62
    depth: float = 0.17
    width: float = 0.92
    pitch: float = 30.0
    head: tuple[float, float] = (0.35, 0.9)
    skull: float = 0.1
    neck: tuple[float, float] = (0.13, 0.085)
    bend: float = 0.0
    beak: float = 0.2
    beak_depth: float = 0.045
    beak_width: float = 0.8
    hook: float = 0.15
    beak_tilt: float = 0.0
    wing: float = 0.8
    wing_drop: float = 0.0
    tail: float = 0.4
    tail_width: float = 1.0
    tail_tilt: float = 5.0
    leg: float = 0.02
    thigh: float = 0.09
    apart: float = 0.085
    toes: float = 0.19
    web: bool = False
    knee: float | None = None
    eye: float = 0.02
    iris: str = "#3a2412"
    white: str = "#0c0a0a"
    feather: float = 0.055
    fluff: float = 0.04
    shine: float = 0.5
    body_color: str = "#444444"
    belly: str | None = None
    head_color: str | None = None
    neck_color: str | None = None
    wing_color: str | None = None
    wing_tip: str | None = None
    tail_color: str | None = None
    beak_color: str = "#33302c"
    leg_color: str = "#333333"


_WING = [(0.09, 0.0), (0.05, 0.1), (-0.12, 0.14), (-0.4, 0.1), (-0.66, 0.03), (-0.86, -0.05), (-0.74, -0.09),
         (-0.5, -0.135), (-0.25, -0.19), (-0.05, -0.16), (0.06, -0.09)]  # fmt: skip
_TAIL = [(0.1, 0.05), (-0.1, 0.06), (-0.34, 0.1), (-0.44, 0.085), (-0.475, 0), (-0.44, -0.085), (-0.34, -0.1),
         (-0.1, -0.06), (0.1, -0.05)]  # fmt: skip


@plan("bird", Bird)
def bird(p: Bird) -> Body:
    """Return a bird that looks towards +x."""
    head = np.array([p.head[0], 0.0, p.head[1]])
    k = p.skull
    eye = {
        "at": rounded(head + np.array([0.4 * k, 0.8 * k, 0.22 * k])), "r": p.eye, "look": [0.5, 1, 0.1],
        "iris": p.iris, "white": p.white, "pupil": 0.5,
    }  # fmt: skip
    parts = [*_trunk(p, head), *_beak(p, head), *_wing_and_tail(p), *_legs(p)]
    return {"parts": parts, "eyes": [eye], "skins": _skins(p), "patterns": _patterns(p), "hair": _fluff(p)}


def _along(p: Bird, t: float) -> np.ndarray:
    """Return the point of the body's axis at a share of its length, from -0.5 at the tail to 0.5 at the chest."""
    a = np.radians(p.pitch)
    axis = np.array([np.cos(a), 0, np.sin(a)])
    return np.asarray(np.array([0.0, 0.0, p.height]) + axis * (t * p.length))


def _trunk(p: Bird, head: np.ndarray) -> list[Body]:
    stations = np.array([-0.5, -0.32, -0.1, 0.14, 0.34, 0.48])
    radii = np.array([0.3, 0.72, 1.0, 1.0, 0.8, 0.52]) * p.depth
    base = _along(p, 0.36) + np.array([0, 0, 0.25 * p.depth])
    way = head - base
    long = float(np.linalg.norm(way))
    side = np.array([way[2], 0, -way[0]]) / max(long, 1e-6)
    t = np.linspace(0, 1, 7)
    neck = base + way * t[:, None] + side * (p.bend * long * np.sin(2 * np.pi * t))[:, None]
    radius = p.neck[0] + (p.neck[1] - p.neck[0]) * t**0.6
    k = p.skull
    return [
        {"label": "body", "tube": [rounded(_along(p, t)) for t in stations], "r": rounded(radii), "w": [p.width]},
        {"label": "neck", "tube": [rounded(q) for q in neck], "r": rounded(radius), "blend": 0.07, "w": [0.92]},
        {
            "label": "head",
            "ellipsoid": rounded(head),
            "r": rounded([1.2 * k, 0.92 * k, k]),
            "turn": [0, 5, 0],
            "blend": 0.05,
        },
    ]


def _beak(p: Bird, head: np.ndarray) -> list[Body]:
    tilt = np.radians(p.beak_tilt)
    forward, down = np.array([np.cos(tilt), 0, -np.sin(tilt)]), np.array([-np.sin(tilt), 0, -np.cos(tilt)])
    root = head + np.array([0.8 * p.skull, 0, 0.0])
    d = p.beak_depth
    s = np.array([0.0, 0.35, 0.7, 0.92, 1.0])
    fall = p.hook * p.beak * s**3
    upper = root + forward * (s * p.beak)[:, None] + down * (fall - 0.35 * d)[:, None]
    thick = rounded(d * np.array([0.95, 0.85, 0.6, 0.32, 0.1]))
    s = np.array([0.0, 0.4, 0.8, 0.93])
    lower = root + forward * (s * p.beak * 0.94)[:, None] + down * (0.45 * d + 0.35 * p.hook * p.beak * s**3)[:, None]
    thin = rounded(d * np.array([0.65, 0.55, 0.35, 0.1]))
    w = [p.beak_width]
    return [
        {"label": "beak", "r": thick, "w": w, "blend": 0.015, "tube": [rounded(q) for q in upper]},
        {"label": "bill", "tube": [rounded(q) for q in lower], "r": thin, "w": w, "blend": 0.006},
    ]


def _wing_and_tail(p: Bird) -> list[Body]:
    w = p.wing / 0.95
    shoulder = _along(p, 0.24) + np.array([0, p.depth * p.width * 0.84, 0.02])
    g = p.tail / 0.475
    outline = [rounded([x * g, z * g * p.tail_width]) for x, z in _TAIL]
    return [
        {
            "label": "wing", "plate": [rounded(np.array(q) * w) for q in _WING], "at": rounded(shoulder), "r": [0.034],
            "turn": [4, -(p.pitch - 4 - p.wing_drop), -6], "bend": [-0.22 / w, -1.0 / w], "mirror": True,
            "blend": 0.025,
        },
        {
            "label": "tail", "plate": outline, "at": rounded(_along(p, -0.5)), "r": [0.024],
            "turn": [0, -(p.pitch - p.tail_tilt), -90], "blend": 0.05,
        },
    ]  # fmt: skip


def _legs(p: Bird) -> list[Body]:
    under = p.height - 0.35 * p.depth
    knee = p.knee if p.knee is not None else 0.52 * under
    y, r = p.apart, p.leg
    hip_x, foot_x = 0.0, 0.03
    thigh = [[hip_x - 0.02, y, under], [hip_x + 0.02, y, (under + knee) / 2], [hip_x - 0.02, y, knee]]
    size = rounded([p.thigh, p.thigh * 0.7, r * 1.5])
    parts: list[Body] = [{"label": "thigh", "tube": thigh, "r": size, "mirror": True, "blend": 0.05}]
    shank = [[hip_x - 0.02, y, knee], [hip_x - 0.035, y, knee * 0.85], [foot_x - 0.03, y, knee * 0.4]]
    shank.append([foot_x, y, 0.03])
    parts.append(
        {
            "label": "foot", "tube": [rounded(q) for q in shank], "r": rounded([r * 1.45, r * 1.1, r * 0.85, r]),
            "mirror": True, "blend": 0.015,
        }
    )  # fmt: skip
    for turn, length in ((-30, 0.85), (0, 1.0), (30, 0.85), (180, 0.5)):
        c, s = np.cos(np.radians(turn)), np.sin(np.radians(turn))
        toe = [[foot_x + c * q * p.toes * length, y + s * q * p.toes * length, z] for q, z in
               ((0, 0.02), (0.4, 0.03), (0.8, 0.013), (1.0, 0.005))]  # fmt: skip
        size = rounded(np.array([0.9, 0.85, 0.72, 0.3]) * r)
        parts.append({"label": "foot", "tube": [rounded(q) for q in toe], "r": size, "mirror": True, "blend": 0.01})
    if p.web:
        e = p.toes
        web = [[0.0, 0.02], [0.72 * e, 0.44 * e], [0.85 * e, 0.2 * e], [0.98 * e, 0.0], [0.85 * e, -0.2 * e]]
        web += [[0.72 * e, -0.44 * e], [0.0, -0.02]]
        parts.append(
            {
                "label": "foot", "plate": [rounded(q) for q in web], "at": [foot_x, y, 0.014], "r": [0.008],
                "turn": [0, 0, -90], "mirror": True, "blend": 0.006,
            }
        )  # fmt: skip
    return parts


def _skins(p: Bird) -> Body:
    feathers = {"contrast": 0.25, "rough": p.shine}
    flight = {"contrast": 0.25, "rough": p.shine * 0.8}
    neck = p.neck_color or p.body_color
    wing = p.wing_color or p.body_color
    return {
        "body": {"color": p.body_color, "grain": 0.1, "fur": 0.002, **feathers},
        "neck": {"color": neck, "grain": 0.08, "fur": 0.002, "fur_grain": 0.01, **feathers},
        "head": {"color": p.head_color or neck, "fur": 0.002, "fur_grain": 0.01, **feathers},
        "wing": {"color": wing, "grain": 0.1, **flight},
        "tail": {"color": p.tail_color or wing, **flight},
        "thigh": {"color": p.belly or p.body_color, "fur": 0.003, **feathers},
        "beak": {"color": p.beak_color, "contrast": 0.15, "rough": 0.3},
        "bill": {"color": p.beak_color, "contrast": 0.15, "rough": 0.32},
        "foot": {"color": p.leg_color, "rough": 0.55},
    }


def _patterns(p: Bird) -> list[Body]:
    patterns: list[Body] = []
    if p.belly is not None:
        below = {"axis": [0.35, 0, -1], "amount": 0.4, "soft": 0.15}
        patterns.append({"kind": "facing", "labels": ["body", "neck"], "color": p.belly, **below})
    if p.feather > 0:
        patterns.append({"kind": "scales", "labels": ["body"], "size": p.feather, "amount": 18, "lift": 0.007})
    if p.wing_tip is not None:
        tip = _along(p, 0.24)[0] - 0.5 * p.wing
        back = {"axis": [-1, 0, 0], "low": -tip, "high": -tip + 0.06}
        patterns.append({"kind": "ramp", "labels": ["wing"], "color": p.wing_tip, **back})
    return [
        *patterns,
        {"kind": "rays", "labels": ["wing"], "amount": 62, "size": 0.2, "lift": -0.007, "warp": 0.5, "soft": 0.1},
        {"kind": "rings", "labels": ["wing"], "size": 0.16, "amount": 0.22, "warp": 0.35, "soft": 0.25, "lift": -0.005},
        {"kind": "rays", "labels": ["tail"], "amount": 52, "size": 0.2, "lift": -0.006, "warp": 0.3, "soft": 0.1},
        {"kind": "rings", "labels": ["foot"], "size": 0.022, "amount": 0.3, "lift": -0.002, "warp": 0.2},
    ]


def _fluff(p: Bird) -> list[Body]:
    if p.fluff <= 0:
        return []
    strand = {"radius": 0.006, "spread": 0.25, "tone": 0.12}
    return [
        {"labels": ["neck"], "count": 500, "length": p.fluff, "lean": [-0.6, 0, -1.6], **strand},
        {"labels": ["thigh"], "count": 220, "length": p.fluff * 1.1, "lean": [0, 0, -2], **strand},
    ]
