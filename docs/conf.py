"""How the documentation is built: by `make docs`, and by `make lint`, a warning being an error. Nothing is fetched."""

from __future__ import annotations

import os
import pkgutil
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from sphinx.application import Sphinx  # noqa: E402

import torchmultiverse  # noqa: E402

project = "TorchMultiverse"
author = copyright = "The TorchMultiverse developers"
version = release = torchmultiverse.__version__

extensions = ["sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode", "myst_nb"]
exclude_patterns = ["examples/plugin"]

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
# `make docs` runs the notebooks; `make lint` leaves that to their tests.
nb_execution_mode = os.environ.get("NOTEBOOKS", "off")
nb_execution_timeout = 600
nb_execution_raise_on_error = True

autodoc_default_options = {"members": True, "exclude-members": "model_config, model_post_init"}
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
autodoc_preserve_defaults = True
default_role = "py:obj"
toc_object_entries_show_parents = "hide"
napoleon_numpy_docstring = False
# As a list: napoleon would make links of the names, to whatever is called so elsewhere.
napoleon_custom_sections = [("Attributes", "params_style")]

html_theme = "pydata_sphinx_theme"
html_title = project
html_static_path = ["_static"]
html_css_files = ["narrow.css"]
# Pages of their own have nothing below them to navigate; only the reference's have.
html_sidebars = {page: [] for page in sorted(path.stem for path in HERE.glob("*.md"))} | {"examples/*": []}
html_theme_options = {
    "navigation_with_keys": False,
    "show_prev_next": False,
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
}


def _write_reference() -> None:
    """Write one page for each package and module of the first level, found in the package's folder."""
    folder = HERE / "api"
    folder.mkdir(exist_ok=True)
    wanted = {}
    for module in pkgutil.iter_modules(torchmultiverse.__path__):
        if module.name in ("__main__", "cli"):  # the command line says itself what it does
            continue
        name = f"torchmultiverse.{module.name}"
        public = "\n   :imported-members:" if module.ispkg else ""
        wanted[f"{module.name}.rst"] = f"{name}\n{'=' * len(name)}\n\n.. automodule:: {name}{public}\n"
    pages = "\n".join(f"   {Path(page).stem}" for page in wanted)
    wanted["index.rst"] = (
        "Reference\n=========\n\nWhat each package lets others use, in the order of the alphabet; "
        f":doc:`/architecture` has the order in which they build on each other.\n\n"
        f".. toctree::\n   :maxdepth: 1\n\n{pages}\n"
    )
    for page in folder.glob("*.rst"):
        if page.name not in wanted:
            page.unlink()
    for page, text in wanted.items():
        path = folder / page
        if not path.is_file() or path.read_text() != text:  # an unchanged page is not read again
            path.write_text(text)


_KEPT: dict[str, list[str]] = {}


def _keep(app: object, what: str, name: str, value: object, options: object, lines: list[str]) -> None:
    """Keep the docstring of an attribute: napoleon takes what stands before a colon in it for a type."""
    if what in ("attribute", "data", "property"):
        _KEPT[name] = list(lines)


def _restore(app: object, what: str, name: str, value: object, options: object, lines: list[str]) -> None:
    if name in _KEPT:
        lines[:] = _KEPT.pop(name)


def _skip(app: object, what: str, name: str, value: object, skip: bool, options: object) -> bool | None:
    """Leave out what a named tuple says of its fields, which is nothing."""
    return True if (getattr(value, "__doc__", None) or "").startswith("Alias for field number") else None


def setup(app: Sphinx) -> None:
    """Write the reference's pages and put docstrings of attributes past napoleon."""
    _write_reference()
    app.connect("autodoc-skip-member", _skip)
    app.connect("autodoc-process-docstring", _keep, priority=400)
    app.connect("autodoc-process-docstring", _restore, priority=600)
