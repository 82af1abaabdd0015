"""Sprawling four-legged animals: lizards, geckos, monitors. Legs go out to the sides, the belly is low."""

from __future__ import annotations

import numpy as np

from torchmultiverse.engines.builtin.characters.plans import Body, Proportions, plan, rounded


class Lizard(Proportions):
    """Proportions and colours; heights from the ground, x from the middle of the trunk.

    Attributes:
        height: of the trunk's middle; ``length``: of the trunk; ``girth``: its radius; ``flat``: width over height.
        head: length; ``head_r``: radii of the skull and the snout; ``head_w``: width over height; ``raise_head``:
            how much higher the head is than the trunk. ``neck``: length.
        tail: length; ``tail_curl``: how far it swings to the side; ``tail_r``: radius at its root.
        leg: radii at hip and wrist; ``reach``: how far feet stand out from the middle; ``toes``: their length;
            ``pads``: radius of round toe pads, 0 for claws.
        eye, iris, eye_out: radius, colour, how far it bulges.
        color, speckle, belly, leg_color: colours. ``scales``: size of scales.
    """

    height: float = 0.16
    length: float = 0.6
    girth: float = 0.1
    flat: float = 1.3
    head: float = 0.2
    head_r: tuple[float, float] = (0.08, 0.04)
    head_w: float = 1.25
    raise_head: float = 0.05
    neck: float = 0.08
    tail: float = 0.7
    tail_curl: float = 0.12
    tail_r: float = 0.07
    leg: tuple[float, float] = (0.05, 0.025)
    reach: float = 0.26
    toes: float = 0.08
    pads: float = 0.0
    eye: float = 0.022
    iris: str = "#c8a030"
    white: str = "#14100c"
    color: str = "#7a8a4a"
    speckle: str | None = None
    belly: str | None = None
    leg_color: str | None = None
    scales: float = 0.02
    rough: float = 0.6


@plan("lizard", Lizard)
def lizard(p: Lizard) -> Body:
    """Return a lizard that looks towards +x."""
    half, z, g = p.length / 2, p.height, p.girth
    trunk = [[-half, 0, z], [-half * 0.55, 0, z], [0, 0, z + 0.06 * g], [half * 0.6, 0, z], [half, 0, z + 0.02]]
    trunk_r = rounded(g * np.array([0.7, 0.92, 1.05, 0.92, 0.66]))
    parts: list[Body] = [{"label": "body", "tube": [rounded(q) for q in trunk], "r": trunk_r, "w": [p.flat]}]
    hx, hz = half + p.neck, z + p.raise_head
    skull, snout = p.head_r
    neck = [[half * 0.8, 0, z + 0.01], [half + p.neck * 0.5, 0, (z + hz) / 2], [hx + 0.1 * p.head, 0, hz]]
    parts.append({"label": "neck", "tube": [rounded(q) for q in neck], "r": rounded([0.7 * g, 0.62 * g, skull * 0.9]),
                  "w": [p.flat * 0.95], "blend": 0.05})  # fmt: skip
    face = [[hx, 0, hz], [hx + 0.35 * p.head, 0, hz + 0.008], [hx + 0.75 * p.head, 0, hz - 0.1 * skull]]
    face.append([hx + p.head, 0, hz - 0.2 * skull])
    size = rounded([skull * 0.92, skull, (skull + snout) / 2, snout])
    parts.append({"label": "head", "tube": [rounded(q) for q in face], "r": size, "w": [p.head_w], "blend": 0.03})
    cut = [[hx + p.head + snout, 0, hz - 0.42 * skull], [hx + 0.5 * p.head, 0, hz - 0.38 * skull]]
    cut.append([hx + 0.25 * p.head, 0, hz - 0.3 * skull])
    parts.append({"label": "mouth", "tube": [rounded(q) for q in cut], "r": [0.004], "w": [30], "carve": True,
                  "blend": 0.004})  # fmt: skip
    t = np.linspace(0, 1, 7)
    low = np.maximum(z * (1 - t) ** 1.6, p.tail_r * (1 - t) * 0.9 + 0.012)
    path = np.stack([-half * 0.85 - t * p.tail, p.tail_curl * np.sin(np.pi * 1.3 * t), low], 1)
    parts.append({"label": "tail", "tube": [rounded(q) for q in path], "r": rounded(p.tail_r * (1 - t) ** 0.8 + 0.008),
                  "blend": 0.05})  # fmt: skip
    upper, wrist = p.leg
    for x, way, label in ((half * 0.72, 1, "front"), (-half * 0.72, -1, "hind")):
        hip = [x, g * p.flat * 0.6, z]
        knee = [x + way * 0.05, p.reach * 0.72, z + 0.35 * g]
        foot = [x + way * 0.02 + 0.05, p.reach, 0.02]
        sizes = rounded([upper * 1.15, upper * 0.85, wrist])
        leg = [rounded(q) for q in (hip, knee, foot)]
        parts.append({"label": label, "tube": leg, "r": sizes, "mirror": True, "blend": 0.03})
        for turn in (-35, -5, 25, 60, 100) if p.pads > 0 else (-30, 0, 30, 65):
            c, s = np.cos(np.radians(turn)), np.sin(np.radians(turn))
            tip = [foot[0] + c * p.toes, foot[1] + s * p.toes, 0.012]
            toe = [rounded(foot), rounded(tip)]
            parts.append({"label": "toe", "tube": toe, "r": rounded([wrist * 0.6, max(wrist * 0.35, 0.008)]),
                          "mirror": True, "blend": 0.008})  # fmt: skip
            if p.pads > 0:
                parts.append({"label": "toe", "ellipsoid": rounded(tip), "r": rounded([p.pads, p.pads, 0.012]),
                              "mirror": True, "blend": 0.006})  # fmt: skip
    eye = {"at": rounded([hx + 0.42 * p.head, skull * p.head_w * 0.78, hz + 0.5 * skull]), "r": p.eye,
           "look": [0.35, 1, 0.2], "iris": p.iris, "white": p.white, "pupil": 0.45, "ring": 1.1}  # fmt: skip
    skin = {"color": p.color, "grain": 0.06, "contrast": 0.3, "rough": p.rough}
    if p.speckle is not None:
        skin["speckle"] = p.speckle
    skins: Body = {label: dict(skin) for label in ("body", "neck", "head", "tail")}
    for label in ("front", "hind", "toe"):
        skins[label] = {**skin, "color": p.leg_color or p.color}
    skins["mouth"] = {"color": "#1a0c0a"}
    patterns: list[Body] = []
    if p.belly is not None:
        patterns.append({"kind": "facing", "labels": ["body", "neck", "head", "tail"], "color": p.belly,
                         "axis": [0, 0, -1], "amount": 0.26})  # fmt: skip
    if p.scales > 0:
        patterns.append({"kind": "cells", "size": p.scales, "amount": 0.35, "lift": -0.003,
                         "labels": ["body", "neck", "head", "tail", "front", "hind"]})  # fmt: skip
    return {"parts": parts, "eyes": [eye], "skins": skins, "patterns": patterns}
