"""Insects: head, thorax and abdomen on six jointed legs, with antennae, jaws and wings where they have them."""

from __future__ import annotations

import numpy as np

from torchmultiverse.engines.builtin.characters.plans import Body, Proportions, plan, rounded

Vector = tuple[float, float, float]


class Insect(Proportions):
    """Proportions and colours; heights from the ground, x from the middle of the thorax.

    Attributes:
        height: of the thorax. head, thorax, abdomen: radii (x, y, z). head_at, abdomen_at: x and z of their middles.
        tilt: degrees that the abdomen's end hangs. waist: radius of the stalk between thorax and abdomen.
        leg: radius; ``reach``: how far feet stand out; ``knee``: height of the knees above the body.
        antenna: length; ``elbow``: whether it is bent. jaw: length of the mandibles.
        wing: length, 0 for none; ``wing_spread``: degrees outward. eye: radius of the compound eyes.
        color, head_color, abdomen_color, leg_color, eye_color, wing_color: colours. ``shine``: roughness.
    """

    height: float = 0.3
    head: Vector = (0.14, 0.13, 0.13)
    thorax: Vector = (0.17, 0.11, 0.12)
    abdomen: Vector = (0.27, 0.19, 0.19)
    head_at: tuple[float, float] = (0.32, 0.32)
    abdomen_at: tuple[float, float] = (-0.46, 0.3)
    tilt: float = 8.0
    waist: float = 0.035
    leg: float = 0.022
    reach: float = 0.42
    knee: float = 0.14
    antenna: float = 0.3
    elbow: bool = True
    jaw: float = 0.09
    wing: float = 0.0
    wing_spread: float = 24.0
    eye: float = 0.05
    color: str = "#2a1a14"
    head_color: str | None = None
    abdomen_color: str | None = None
    leg_color: str | None = None
    eye_color: str = "#0c0a0a"
    wing_color: str = "#b8a070"
    shine: float = 0.3


_WING = [(0.03, 0.02), (-0.2, 0.1), (-0.55, 0.17), (-0.88, 0.15), (-1.0, 0.06), (-0.9, -0.06), (-0.55, -0.1),
         (-0.2, -0.06), (0.03, -0.02)]  # fmt: skip


@plan("insect", Insect)
def insect(p: Insect) -> Body:
    """Return an insect that looks towards +x."""
    h = p.height
    hx, hz = p.head_at
    ax, az = p.abdomen_at
    parts: list[Body] = [
        {"label": "thorax", "ellipsoid": [0, 0, h], "r": rounded(p.thorax), "blend": 0.02},
        {"label": "head", "ellipsoid": [hx, 0, hz], "r": rounded(p.head), "turn": [0, 18, 0], "blend": 0.02},
        {"label": "abdomen", "ellipsoid": [ax, 0, az], "r": rounded(p.abdomen), "turn": [0, -p.tilt, 0],
         "blend": 0.015},
        {"label": "thorax", "tube": [[p.thorax[0] * 0.6, 0, h], [hx - p.head[0] * 0.6, 0, hz]],
         "r": [round(p.thorax[2] * 0.45, 4)], "blend": 0.03},
        {"label": "thorax", "tube": [[-p.thorax[0] * 0.7, 0, h - 0.01], [ax + p.abdomen[0] * 0.85, 0, az]],
         "r": [p.waist], "blend": 0.02},
    ]  # fmt: skip
    tip = hx + p.head[0] * 0.9
    if p.jaw > 0:
        path = [[tip - 0.03, 0.05, hz - 0.5 * p.head[2]], [tip + 0.6 * p.jaw, 0.075, hz - 0.72 * p.head[2]]]
        path.append([tip + p.jaw, 0.015, hz - 0.8 * p.head[2]])
        parts.append({"label": "jaw", "tube": [rounded(q) for q in path], "r": [0.03, 0.024, 0.008], "mirror": True,
                      "blend": 0.01})  # fmt: skip
    a = p.antenna
    root = np.array([hx + p.head[0] * 0.7, p.head[1] * 0.4, hz + p.head[2] * 0.55])
    if p.elbow:
        feeler = [root, root + np.array([0.15 * a, 0.3 * a, 0.5 * a]), root + np.array([0.75 * a, 0.42 * a, 0.3 * a])]
    else:
        feeler = [root, root + np.array([0.5 * a, 0.22 * a, 0.35 * a]), root + np.array([0.95 * a, 0.45 * a, 0.2 * a])]
    parts.append({"label": "leg", "tube": [rounded(q) for q in feeler], "r": rounded([0.017, 0.014, 0.012]),
                  "mirror": True, "blend": 0.006})  # fmt: skip
    for x, way in ((0.1, 0.2), (0.0, 0.0), (-0.1, -0.26)):
        r = p.leg
        path = [[x, p.thorax[1] * 0.5, h - 0.4 * p.thorax[2]], [x + 0.35 * way, 0.42 * p.reach, h + p.knee]]
        path += [[x + 0.85 * way, 0.85 * p.reach, 0.3 * h], [x + 1.05 * way, p.reach, 0.02]]
        path.append([x + 1.05 * way + 0.05, p.reach + 0.06, 0.012])
        thick = rounded(r * np.array([1.3, 1.2, 0.8, 0.6, 0.4]))
        parts.append({"label": "leg", "tube": [rounded(q) for q in path], "r": thick, "mirror": True, "blend": 0.012})
    if p.wing > 0:
        for size, turn, at in ((1.0, p.wing_spread, 0.02), (0.68, p.wing_spread + 14, -0.06)):
            outline = [rounded([x * p.wing * size, z * p.wing * size]) for x, z in _WING]
            joint = [at, p.thorax[1] * 0.55, h + p.thorax[2] * 0.85]
            parts.append({"label": "wing", "plate": outline, "at": rounded(joint), "r": [0.016],
                          "turn": [turn, 14, -72], "mirror": True, "blend": 0.01})  # fmt: skip
    shell = {"contrast": 0.25, "rough": p.shine, "grain": 0.08}
    skins: Body = {
        "thorax": {"color": p.color, **shell},
        "body": {"color": p.color, **shell},
        "head": {"color": p.head_color or p.color, **shell},
        "abdomen": {"color": p.abdomen_color or p.color, **shell},
        "leg": {"color": p.leg_color or p.color, **shell},
        "jaw": {"color": p.head_color or p.color, **shell},
        "wing": {"color": p.wing_color, "rough": 0.2, "contrast": 0.1},
    }
    patterns: list[Body] = [
        {"kind": "rays", "labels": ["wing"], "amount": 70, "size": 0.2, "lift": -0.002, "color": "#6a4e22", "soft": 0.1}
    ]
    spot = [hx + 0.35 * p.head[0], 0.85 * p.head[1], hz + 0.3 * p.head[2]]
    eye = {"at": rounded(spot), "r": p.eye, "look": [0.4, 1, 0.3], "iris": p.eye_color, "white": p.eye_color}
    return {"parts": parts, "eyes": [eye], "skins": skins, "patterns": patterns}
