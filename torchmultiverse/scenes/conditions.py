"""Factors beyond the published families: light, weather, camera, occlusion, crowding and region, in physical units.

Each is left out of scenes where it is at its default, so that scenes without it keep their ids. ``own`` stands for what
the world or the layout has by itself: a world's own sun, the layout's own lens. Which of them an engine can vary is in
its catalogue; what it cannot vary is refused, never ignored.
"""

from __future__ import annotations

from typing import Any

OWN = "own"
"""Level of a number that says: as the world or the layout has it."""
NUMBER, CATEGORY = "number", "category"


def _number(
    wire: str, default: float | str, unit: str, low: float, high: float, doc: str, **more: Any
) -> dict[str, Any]:
    return {
        "wire": wire, "column": wire.lower(), "kind": NUMBER, "default": default, "unit": unit, "low": low,
        "high": high, "doc": doc, **more,
    }  # fmt: skip


def _category(wire: str, default: str, doc: str) -> dict[str, Any]:
    return {"wire": wire, "column": wire.lower(), "kind": CATEGORY, "default": default, "doc": doc}


CONDITIONS: dict[str, list[dict[str, Any]]] = {
    "light": [
        _number("Sun_Elevation", OWN, "degrees", -18, 90, "height of the sun above the horizon"),
        _number("Sun_Azimuth", OWN, "degrees", -360, 360, period=360,
                doc="direction of the sun: 0 is behind the scene, 90 at its right, 180 behind the camera at yaw 0"),
        _number("Overcast", OWN, "share", 0, 1, "share of the sky that clouds cover; at 1 the sun casts no shadow"),
        _number("Lamps", 1, "×", 0, 10, "light of the world's own lamps"),
    ],
    "weather": [
        _number("Fog_Visibility", OWN, "m", 5, 1e5,
                "distance at which fog leaves 2 % of a black thing's contrast (Koschmieder)"),
        _number("Dust_Visibility", OWN, "m", 5, 1e5, "distance at which dust leaves 2 % of a black thing's contrast"),
        _number("Rain", 0, "mm/h", 0, 150, "rain that falls"),
        _number("Snow", 0, "cm/h", 0, 20, "snow that falls"),
        _number("Wetness", 0, "share", 0, 1, "how wet the ground is; at 1 water stands in its hollows"),
        _number("Snow_Cover", 0, "share", 0, 1, "share of what lies open to the sky that is white"),
        _number("Lens_Drops", 0, "drops", 0, 500, "drops of water on the lens, within the picture", whole=True),
    ],
    "camera": [
        _number("Camera_Focal_Length", OWN, "mm", 8, 400,
                "focal length for a sensor whose shorter side is 24 mm; the camera stays where it is"),
        _number("Camera_Distance", OWN, "m", 0.5, 50, "distance of the camera from what it looks at"),
        _number("Camera_Height", OWN, "m", 0.05, 20, "height of the camera above the ground; it looks where it did"),
        _number("Camera_Aperture", OWN, "f-number", 0.7, 64, "aperture; own: everything is sharp"),
        _number("Camera_Focus", OWN, "m", 0.1, 1000,
                "distance that is sharp where there is an aperture; own: that of what the camera looks at"),
        _number("Camera_Exposure", 0, "stops", -8, 30,
                "exposure on top of the world's own, which is fixed and made for its own light; from noon to a "
                "moonless night the light falls by 27 stops"),
        _number("Camera_Shutter", 0, "ms", 0, 1000, "time for which the shutter is open"),
        _number("Character_Speed", 0, "m/s", 0, 50,
                "speed of the characters and of Objects, nose first, while the shutter is open"),
        _number("Camera_Electrons", OWN, "electrons", 10, 1e6,
                "electrons of a pixel at white: shot noise; own: no noise"),
        _number("Camera_Read_Noise", 0, "electrons", 0, 1000, "std of the noise of reading; needs Camera_Electrons"),
        _number("Camera_Distortion", 0, "", -0.07, 0.5,
                "distortion of the lens, k1 of Brown's model, x (1 + k1 r²), r in halves of the shorter side; below 0 a"
                " barrel"),
        _number("JPEG_Quality", OWN, "", 1, 100, "quality of a JPEG that the picture has been; own: none", whole=True),
        _number("Target_Pixels", OWN, "pixels", 4, 4096,
                "longest side of the first character in pixels of the sensor; the picture is enlarged to its size"),
    ],
    "occlusion": [
        _category("Occluder", "none", "what stands before the first character: fence, leaves, bars, object, edge"),
        _number("Occlusion", 0, "share", 0, 0.95, "share of the first character's pixels that the occluder hides"),
    ],
    "crowding": [
        _number("Distractors", 0, "objects", 0, 14,
                "further objects that the engine places, never of the class of one that the scene has", whole=True),
        _category("Distractor_Kind", "any", "class of the distractors; any, animal, object, or a class"),
        _number("Distractor_Spacing", 0.2, "widths", 0, 10,
                "gap between a distractor and its nearest neighbour, in widths of the two"),
        _number("Distractor_Yaw", OWN, "degrees", -360, 360, period=360,
                doc="turn of the camera for which distractors are arranged; own: that of the picture"),
    ],
    "region": [_category("World_Region", OWN, "look of the world that belongs to a part of the earth")],
}  # fmt: skip
"""Group → the fields of its factors, in their order (see `Factor`)."""
