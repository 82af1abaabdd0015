"""Four-legged animals with a barrel of a body: cats and dogs, hoofed ones, tapirs, large and small rodents.

Heights count from the ground and x from the middle of the trunk, in the species' own units.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from torchmultiverse.engines.builtin.characters.plans import Body, Proportions, plan, rounded


class Quadruped(Proportions):
    """Proportions and colours.

    Attributes:
        height: of the trunk's middle. ``length``: of the trunk. ``chest``, ``waist``, ``rump``: its radii.
        width: its width over its height. ``arch``: how far the back rises in the middle. ``slope``: how much higher
            the shoulders are than the rump.
        head: x and z of the skull's middle; ``skull``: its radius. ``neck``: radii at shoulder and head.
        muzzle: length; ``muzzle_r``: radii at its root and nose; ``muzzle_tilt``: degrees downward; ``droop``: how
            far its end hangs, as a share of its length. ``muzzle_w``: width over height.
        ear: length; ``ear_shape``: pointed, round or leaf; ``ear_at``: how far back on the skull, 0 to 1;
            ``ear_spread``: degrees outward.
        leg: radii at the shoulder, knee and ankle; ``apart``: half the distance of left and right. ``foot``: paw or
            hoof; ``foot_size``: radius. ``stance``: how far the legs of one side are swung. ``crouch``: how far hind
            knees come forward, 0 to 1.
        tail: points x, z of its spline, from the rump. ``tail_r``: radii at its root and tip.
        eye: radius; ``iris``: colour; ``eye_z``: height on the skull, -1 to 1.
        color, belly, face, leg_color, muzzle_color, tail_color, ear_color, nose_color, foot_color: colours.
        fur: length of fur strands, 0 for none; ``fur_count``: how many.
    """

    height: float = 0.62
    length: float = 0.8
    chest: float = 0.2
    waist: float = 0.17
    rump: float = 0.18
    width: float = 0.85
    arch: float = 0.0
    slope: float = 0.0
    head: tuple[float, float] = (0.62, 0.85)
    skull: float = 0.12
    neck: tuple[float, float] = (0.15, 0.1)
    muzzle: float = 0.16
    muzzle_r: tuple[float, float] = (0.08, 0.05)
    muzzle_w: float = 0.95
    muzzle_tilt: float = 12.0
    droop: float = 0.0
    ear: float = 0.1
    ear_shape: Literal["pointed", "round", "leaf"] = "pointed"
    ear_at: float = 0.4
    ear_spread: float = 18.0
    leg: tuple[float, float, float] = (0.09, 0.048, 0.036)
    apart: float = 0.1
    foot: Literal["paw", "hoof"] = "paw"
    foot_size: float = 0.045
    stance: float = 0.05
    crouch: float = 0.35
    tail: list[tuple[float, float]] = [(-0.1, -0.05), (-0.2, -0.25), (-0.22, -0.4)]  # noqa: RUF012 - frozen model
    tail_r: tuple[float, float] = (0.03, 0.015)
    eye: float = 0.02
    iris: str = "#2a1a0c"
    eye_z: float = 0.3
    color: str = "#8a7a66"
    speckle: str | None = None
    belly: str | None = None
    face: str | None = None
    leg_color: str | None = None
    muzzle_color: str | None = None
    tail_color: str | None = None
    ear_color: str | None = None
    nose_color: str = "#16110f"
    foot_color: str | None = None
    rough: float = 0.75
    fur: float = 0.0
    fur_count: int = 2600


_EARS: dict[str, list[tuple[float, float]]] = {
    "pointed": [(-0.32, -0.1), (-0.3, 0.35), (-0.08, 0.95), (0.04, 1.0), (0.24, 0.45), (0.34, -0.1)],
    "round": [(-0.4, -0.1), (-0.5, 0.35), (-0.32, 0.8), (0.0, 0.95), (0.32, 0.8), (0.5, 0.35), (0.4, -0.1)],
    "leaf": [(-0.1, -0.1), (-0.26, 0.3), (-0.24, 0.65), (0.0, 1.0), (0.24, 0.65), (0.26, 0.3), (0.1, -0.1)],
}


@plan("quadruped", Quadruped)
def quadruped(p: Quadruped) -> Body:
    """Return an animal that looks towards +x."""
    k = p.skull
    head = np.array([p.head[0], 0.0, p.head[1]])
    eye = {
        "at": rounded(head + np.array([0.62 * k, 0.62 * k, p.eye_z * k])), "r": p.eye, "look": [0.55, 1, 0.15],
        "iris": p.iris, "pupil": 0.5,
    }  # fmt: skip
    parts = [*_trunk(p, head), *_muzzle(p, head), *_ears(p, head), *_legs(p), *_tail(p)]
    patterns: list[Body] = []
    if p.belly is not None:
        patterns.append(
            {"kind": "facing", "labels": ["body", "neck"], "color": p.belly, "axis": [0.15, 0, -1], "amount": 0.26}
        )
    hair: list[Body] = []
    if p.fur > 0:
        hair.append(
            {
                "labels": ["body", "neck"], "count": p.fur_count, "length": p.fur, "radius": 0.006, "spread": 0.25,
                "lean": [-1.4, 0, -0.7], "tone": 0.18,
            }
        )  # fmt: skip
    return {"parts": parts, "eyes": [eye], "skins": _skins(p), "patterns": patterns, "hair": hair}


def _trunk(p: Quadruped, head: np.ndarray) -> list[Body]:
    half = p.length / 2
    stations = np.array([-1.0, -0.8, -0.4, 0.1, 0.55, 0.85, 1.0]) * half
    radii = np.array([0.5, 0.92, 0.0, 0.0, 1.0, 0.9, 0.6])
    trunk_r = np.array([p.rump, p.rump, (p.rump + p.waist) / 2, p.waist, p.chest, p.chest, p.chest])
    radii = np.where(radii > 0, radii * trunk_r, trunk_r)
    lift = p.slope * stations / p.length + p.arch * (1 - (stations / half) ** 2)
    trunk = np.stack([stations, 0 * stations, p.height + lift], 1)
    base = np.array([0.7 * half, 0.0, p.height + p.slope * 0.35 + 0.25 * p.chest])
    t = np.linspace(0, 1, 5)
    neck = base + (head - base) * t[:, None]
    neck_r = rounded(p.neck[0] + (p.neck[1] - p.neck[0]) * t)
    k = p.skull
    return [
        {"label": "body", "tube": [rounded(q) for q in trunk], "r": rounded(radii), "w": [p.width]},
        {"label": "neck", "tube": [rounded(q) for q in neck], "w": [0.85], "blend": 0.08, "r": neck_r},
        {"label": "head", "ellipsoid": rounded(head), "r": rounded([1.1 * k, 0.92 * k, k]), "blend": 0.05},
    ]


def _muzzle(p: Quadruped, head: np.ndarray) -> list[Body]:
    k = p.skull
    tilt = np.radians(p.muzzle_tilt)
    forward, down = np.array([np.cos(tilt), 0, -np.sin(tilt)]), np.array([-np.sin(tilt), 0, -np.cos(tilt)])
    root = head + np.array([0.55 * k, 0, -0.22 * k])
    s = np.linspace(0, 1, 5)
    snout = root + forward * (s * (p.muzzle + 0.35 * k))[:, None] + down * (p.droop * p.muzzle * s**2)[:, None]
    radius = p.muzzle_r[0] + (p.muzzle_r[1] - p.muzzle_r[0]) * s
    nose = snout[-1] + forward * p.muzzle_r[1] * 0.72 - down * p.muzzle_r[1] * 0.3
    size = p.muzzle_r[1]
    nose_r = rounded([0.35 * size, 0.5 * size, 0.36 * size])
    cut = [rounded(snout[-1] + forward * size * 1.2 + down * size * 0.45), rounded(snout[2] + down * radius[2] * 0.55)]
    return [
        {
            "label": "muzzle",
            "tube": [rounded(q) for q in snout],
            "r": rounded(radius),
            "w": [p.muzzle_w],
            "blend": 0.04,
        },
        {"label": "nose", "ellipsoid": rounded(nose), "r": nose_r, "blend": 0.008},
        {"label": "mouth", "tube": cut, "r": [0.004], "w": [9], "carve": True, "blend": 0.005},
    ]  # fmt: skip


def _ears(p: Quadruped, head: np.ndarray) -> list[Body]:
    if p.ear <= 0:
        return []
    k = p.skull
    outline = [rounded([a * p.ear, b * p.ear]) for a, b in _EARS[p.ear_shape]]
    at = head + np.array([(0.3 - p.ear_at) * k * 1.4, 0.55 * k, 0.72 * k])
    return [
        {
            "label": "ear", "plate": outline, "at": rounded(at), "r": [0.012], "mirror": True, "blend": 0.012,
            "turn": [55, -8, -p.ear_spread], "bend": [-2.0 / max(p.ear * 10, 0.6), 0],
        }
    ]  # fmt: skip


def _legs(p: Quadruped) -> list[Body]:
    half, y = p.length / 2, p.apart
    upper, knee, ankle = p.leg
    front_x, hind_x = 0.62 * half, -0.78 * half
    top = p.height + p.slope * 0.3 - 0.25 * p.chest
    sole = p.foot_size * (0.55 if p.foot == "paw" else 0.9)
    front = [[front_x, y, top], [front_x - 0.02, y, top * 0.62], [front_x + 0.005, y, top * 0.4]]
    front += [[front_x - 0.005, y, top * 0.16 + sole * 0.6], [front_x + 0.015, y, sole]]
    swing = [p.stance, round(top, 4)]
    high = p.height - p.slope * 0.3 - 0.1 * p.rump
    c = p.crouch * high * 0.3
    hind = [[hind_x, y, high], [hind_x + c, y, high * 0.66], [hind_x - c * 0.8, y, high * 0.38]]
    hind += [[hind_x - c * 0.45, y, high * 0.16 + sole * 0.6], [hind_x + 0.01, y, sole]]
    back = [-p.stance, round(high, 4)]
    front_r = rounded([upper, (upper + knee) / 2, knee, ankle, ankle])
    hind_r = rounded([upper * 1.35, upper * 1.0, knee * 1.05, ankle, ankle])
    leg = {"mirror": True, "blend": 0.05}
    return [
        {"label": "front", "tube": [rounded(q) for q in front], "r": front_r, "swing": swing, **leg},
        {"label": "hind", "tube": [rounded(q) for q in hind], "r": hind_r, "swing": back, **leg},
        _foot(p, front_x + 0.015, swing),
        _foot(p, hind_x + 0.01, back),
    ]


def _foot(p: Quadruped, x: float, swing: list[float]) -> Body:
    y, f = p.apart, p.foot_size
    if p.foot == "paw":
        return {
            "label": "foot", "ellipsoid": rounded([x + 0.45 * f, y, f * 0.55]),
            "r": rounded([1.3 * f, f, f * 0.58]),
            "mirror": True, "blend": 0.02, "swing": swing, "above": 0.002,
        }  # fmt: skip
    return {
        "label": "foot", "tube": [rounded([x, y, f * 1.1]), rounded([x + 0.3 * f, y, 0.012])],
        "r": rounded([f * 0.8, f * 1.1]), "mirror": True, "blend": 0.008, "swing": swing, "above": 0.002,
    }  # fmt: skip


def _tail(p: Quadruped) -> list[Body]:
    if not p.tail:
        return []
    rump = np.array([-p.length / 2 - 0.2 * p.rump, 0, p.height - p.slope * 0.45 + 0.4 * p.rump])
    path = [rounded(rump + np.array([x, 0, z])) for x, z in [(0.1 * p.rump, 0.0), *p.tail]]
    sizes = rounded(np.linspace(p.tail_r[0], p.tail_r[1], len(path)))
    return [{"label": "tail", "tube": path, "r": sizes, "blend": 0.03}]


def _skins(p: Quadruped) -> Body:
    skin: Body = {"rough": p.rough, "contrast": 0.25, "grain": 0.09}
    if p.speckle is not None:
        skin["speckle"] = p.speckle
    face, leg = p.face or p.color, p.leg_color or p.color
    return {
        "body": {"color": p.color, "fur": 0.002, **skin},
        "neck": {"color": p.color, "fur": 0.002, **skin},
        "head": {"color": face, "fur": 0.0015, **skin},
        "muzzle": {"color": p.muzzle_color or face, "fur": 0.001, "rough": p.rough, "contrast": 0.2},
        "nose": {"color": p.nose_color, "rough": 0.3},
        "mouth": {"color": "#120a08"},
        "ear": {"color": p.ear_color or p.color, "rough": p.rough},
        "front": {"color": leg, **skin},
        "hind": {"color": leg, **skin},
        "foot": {"color": p.foot_color or leg, "rough": p.rough * 0.8},
        "tail": {"color": p.tail_color or p.color, **skin},
    }
