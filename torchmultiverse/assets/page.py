"""A pack on one page: every asset from eight sides, with what it is and whose it is."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Callable, Sequence

from torchmultiverse.assets.library import Item, Pack
from torchmultiverse.assets.packs import LayeredAssets, PackAssets
from torchmultiverse.engines import Engine, Frame, RenderOptions
from torchmultiverse.scenes import Scene

YAWS = (0, 45, 90, 135, 180, 225, 270, 315)
WORLD = "SaltFlats"
_STAND_IN = "Zebra"
_FACTOR = {"character": "Character_Name", "environment": "World_Name", "texture": "Character_Texture"}
_STYLE = """
:root{color-scheme:light dark;--line:#8884}
body{font:15px/1.5 system-ui,sans-serif;max-width:1700px;margin:2rem auto;padding:0 1rem}
h2{margin:2.2rem 0 .2rem}p{margin:.1rem 0}.note{color:#b45309}
.turn{display:grid;grid-template-columns:repeat(8,1fr);gap:3px;margin-top:.5rem}
@media(max-width:900px){.turn{grid-template-columns:repeat(4,1fr)}}
figure{margin:0}h1,h2,p{overflow-wrap:anywhere}img{width:100%;display:block}figcaption{font-size:.75rem;opacity:.7;text-align:center}
"""


def turntable(
    pack: Pack, names: Sequence[str] = (), size: int = 192, progress: Callable[[str], None] = lambda name: None
) -> str:
    """Return an HTML page that needs no other file.

    Args:
        pack: an installed one.
        names: only these assets; all by default.
        size: side of each picture, pixels.
        progress: called with the name of each asset before it is rendered.

    Raises:
        EngineError: the built-in engine does not work here.
        RenderError: an asset cannot be rendered.
    """
    from torchmultiverse.engines.builtin import BuiltinEngine, ProceduralAssets

    engine = BuiltinEngine(assets=LayeredAssets([PackAssets(pack), ProceduralAssets()]))
    shown: list[tuple[Item, Sequence[bytes]]] = []
    try:
        for item in pack.manifest.assets:
            if names and item.name not in names:
                continue
            progress(item.name)
            shown.append((item, _images(engine, item, size)))
    finally:
        engine.close()
    return turntable_page(pack.name, len(pack.manifest.assets), shown)


def turntable_page(pack: str, count: int, shown: Sequence[tuple[Item, Sequence[bytes]]]) -> str:
    """Return the page of assets with their pictures.

    Args:
        pack: its name.
        count: of all its assets.
        shown: assets with a JPEG picture from each of `YAWS`.
    """
    title = html.escape(f"Pack {pack}")
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style><h1>{title}</h1>'
        f"<p>{len(shown)} of {count} assets, from the camera's yaws "
        f"{', '.join(str(yaw) for yaw in YAWS)}. At yaw 0 a character looks to the right.</p>"
        + "".join(_section(item, images) for item, images in shown)
        + "</html>\n"
    )


def _images(engine: Engine, item: Item, size: int) -> list[bytes]:
    shown = {"World_Name": WORLD, "Character_Name": _STAND_IN, _FACTOR[item.kind]: item.name}
    scenes = [Scene({**shown, "Camera_Yaw": yaw}) for yaw in YAWS]
    found = []
    for answer in engine.render(scenes, RenderOptions(size=(size, size))):
        if not isinstance(answer, Frame):
            raise answer.error()
        buffer = io.BytesIO()
        answer.image.save(buffer, "JPEG", quality=85)
        found.append(buffer.getvalue())
    return found


def _section(item: Item, images: Sequence[bytes]) -> str:
    facts = [item.kind, f"licence {item.license}"]
    facts += [item.attribution] if item.attribution else []
    facts += [item.source] if item.source else []
    if item.kind == "character":
        facts += [f"{item.size:g} m", f"{item.triangles:,} triangles"]
    figures = "".join(
        f'<figure><img alt="{html.escape(item.name)} at yaw {yaw}" '
        f'src="data:image/jpeg;base64,{base64.b64encode(image).decode()}"><figcaption>{yaw}°</figcaption></figure>'
        for yaw, image in zip(YAWS, images, strict=True)
    )
    notes = "".join(f'<p class="note">{html.escape(note)}</p>' for note in item.notes)
    return (
        f"<h2>{html.escape(item.name)}</h2><p>{html.escape(item.display_name)}; {html.escape('; '.join(facts))}</p>"
        f'{notes}<div class="turn">{figures}</div>'
    )
