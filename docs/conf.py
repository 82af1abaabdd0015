"""How the documentation is built: `make docs`; `make lint` builds it with warnings as errors. Nothing is fetched."""

from __future__ import annotations

import os
import pkgutil
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

import torchmultiverse  # noqa: E402

project = "TorchMultiverse"
author = copyright = "The TorchMultiverse developers"
version = release = torchmultiverse.__version__

extensions = ["sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode", "myst_nb"]
exclude_patterns = ["_build"]
templates_path: list[str] = []
suppress_warnings: list[str] = []

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
napoleon_numpy_docstring = False
napoleon_use_ivar = True

html_theme = "pydata_sphinx_theme"
html_title = project
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
        f":doc:`/architecture` has the order in which they build on each other.\n\n.. toctree::\n\n{pages}\n"
    )
    for page in folder.glob("*.rst"):
        if page.name not in wanted:
            page.unlink()
    for page, text in wanted.items():
        path = folder / page
        if not path.is_file() or path.read_text() != text:  # an unchanged page is not read again
            path.write_text(text)


_write_reference()
