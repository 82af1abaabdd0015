"""The explorer inside a notebook: Jupyter, Colab, marimo, VS Code, by `anywidget <https://anywidget.dev>`_."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from torchmultiverse.engines import RenderOptions
from torchmultiverse.explore.events import Event, Open, Problem, request
from torchmultiverse.explore.finding import load_finding
from torchmultiverse.explore.running import make_studio
from torchmultiverse.explore.server import PAGE
from torchmultiverse.explore.studio import Studio
from torchmultiverse.models import Model, need
from torchmultiverse.scenes import Scene

log = logging.getLogger(__name__)


def explorer_widget(
    engine: str | Path = "builtin",
    models: Sequence[str | Model] = (),
    *,
    size: int = 256,
    samples: int | None = None,
    assets: Sequence[str] = (),
    token: str | None = None,
    first: Scene | None = None,
    finding: str | Path | None = None,
    data: str | Path | None = None,
) -> Any:
    """Return the explorer as a widget: the last value of a notebook's cell shows it. ``close()`` ends its engine.

    Args:
        engine, token, assets: see `torchmultiverse.connect.open_engine`.
        models: up to four, as model strings or objects.
        size: side of the picture in pixels.
        samples: per pixel of the final picture; None is the engine's own number.
        first: the scene that is shown first.
        finding: file of a finding to begin with.
        data: folder of a rendered dataset, of which some pictures are offered to go on from.

    Raises:
        MissingExtra: ``anywidget`` is not installed.
        SpecError: more than four models.
        DatasetError: the finding cannot be read.

    >>> from torchmultiverse.explore import explorer_widget
    >>> explorer_widget(models=["timm:resnet50"])  # doctest: +SKIP
    """
    kind = _kind()
    options = RenderOptions(size=(size, size), format="raw", samples=samples)
    opened = None if finding is None else Open(finding=load_finding(finding).text())

    def make(tell: Callable[[Event], None]) -> Studio:
        return make_studio(tell, engine, models, token=token, assets=assets, options=options, first=first, data=data)

    return kind(make, opened)


@cache
def _kind() -> Any:
    """Return the class of the widget; its base comes with an extra."""
    base: Any = need("anywidget", "the explorer in a notebook", "notebook").AnyWidget

    class ExplorerWidget(base):  # type: ignore[misc]
        """The explorer in a notebook."""

        _esm = PAGE / "widget.js"
        _css = PAGE / "explorer.css"

        def __init__(self, make: Callable[[Callable[[Event], None]], Studio], opened: Open | None) -> None:
            super().__init__()
            self._studio = make(self._tell)
            self._opened = opened
            self._started = False
            self.on_msg(self._heard)

        def _tell(self, event: Event) -> None:
            self.send(json.loads(event.model_dump_json()))

        def _heard(self, _: object, content: Any, buffers: object) -> None:
            if content == {"type": "hello"}:
                if not self._started:
                    self._started = True
                    self._studio.open()
                    if self._opened is not None:
                        self._studio.ask(self._opened)
                elif (ready := self._studio.greet()) is not None:
                    self._tell(ready)
                return
            try:
                self._studio.ask(request.validate_python(content))
            except ValidationError as error:
                self._tell(Problem(text=str(error.errors()[0]["msg"])))

        def close(self) -> None:
            """End the engine, and take the widget away."""
            self._studio.close()
            super().close()

    return ExplorerWidget
