"""What is published holds what the repository holds.

Silently wrong would be a package without one of its data files: every test passes in a checkout, and the first user
of the wheel meets the error.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tools import release
from torchmultiverse.version import __version__

ROOT = Path(__file__).parents[2]


def test_the_version_and_its_notes_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert release.version() == __version__
    (tmp_path / "CHANGELOG.md").write_text(
        "# C\n\n## [Unreleased]\n\n## [0.2.0] - 2026-01-01\n\n- A.\n\n## 0.1.0\n\n- B.\n"
    )
    monkeypatch.setattr(release, "ROOT", tmp_path)
    assert release.notes("0.2.0") == "- A."
    assert release.notes("0.1.0") == "- B."
    for absent in ("0.3.0", "0.2", "Unreleased"):
        with pytest.raises(SystemExit, match=f"no section '## \\[{absent}\\]'"):
            release.notes(absent)


@pytest.mark.slow
def test_what_is_built_is_whole(tmp_path: Path) -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("no checkout")
    built = [sys.executable, "-m", "uv", "build", "--quiet", "--out-dir", str(tmp_path), str(ROOT)]
    subprocess.run(built, check=True, timeout=600)
    (tmp_path / ".gitignore").unlink(missing_ok=True)
    assert release.check(tmp_path) == []
    assert release.wanted(["scenes/a.json", "torchmultiverse/b.py", "x.md"])[0] == {
        "torchmultiverse/_data/scenes/a.json",
        "torchmultiverse/b.py",
    }
    (wheel,) = tmp_path.glob("*.whl")
    wheel.rename(wheel.with_name("other-1.0-py3-none-any.whl"))
    assert release.check(tmp_path) == [f"other-1.0-py3-none-any.whl is no torchmultiverse-{__version__}"]
