"""Writes ``pages.json`` anew, from what the code gives now: ``python tests/golden/renew_pages.py [NAME …]``.

For a number that is meant to change: name the pages that show it, and say in the commit why it changed.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import reach_pages as reach
import shown_numbers

GOLDEN = Path(__file__).parent / "pages.json"


def numbers_of(name: str, shared: Path, out: Path) -> dict[str, object]:
    """Return the numbers of each file that a page or record consists of."""
    out.mkdir(parents=True)
    return {what: shown_numbers.of_file(path) for what, path in sorted(reach.MAKERS[name](shared, out).items())}


def main(names: list[str]) -> None:
    """Renew the named pages, or all."""
    known = json.loads(GOLDEN.read_text()) if names else {}
    with tempfile.TemporaryDirectory() as folder:
        for place, name in enumerate(names or reach.MAKERS):
            known[name] = numbers_of(name, Path(folder) / "shared", Path(folder) / f"{place}")
    lines = [
        f" {json.dumps(name)}: {{\n"
        + ",\n".join(f"  {json.dumps(what)}: {json.dumps(found)}" for what, found in files.items())
        + "\n }"
        for name, files in known.items()
    ]
    GOLDEN.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
