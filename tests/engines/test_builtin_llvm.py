"""Fetching LLVM: a wrong package for a library, or a missing library unnoticed, would go wrong silently."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from torchmultiverse.engines.builtin import llvm
from torchmultiverse.engines.builtin.variant import llvm_libraries, probe, try_variant
from torchmultiverse.errors import EngineError


def test_the_known_good_version_is_tried_first_and_old_ones_never(monkeypatch):
    monkeypatch.setattr(
        llvm, "_quiet", lambda command: "libllvm14\nlibllvm19\nlibllvm21\nlibllvm17\nlibllvm19-dbg\nlibllvmspirv\n"
    )
    assert llvm._candidates([]) == ["libllvm19", "libllvm21", "libllvm17"]


def test_the_package_of_a_shared_library_follows_debians_names(monkeypatch):
    monkeypatch.setattr(llvm, "_quiet", lambda command: "libz3-4\nlibz3-dev\nlibedit2\nlibedit-dev\nlibxml2\n")
    assert llvm._owners("libz3.so.4", []) == ["libz3-4"]
    assert llvm._owners("libedit.so.2", []) == ["libedit2"]
    assert llvm._owners("libunheard.so.1", []) == []


def test_elsewhere_it_says_so(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(EngineError, match="Debian and Ubuntu only"):
        llvm.fetch_llvm()


def test_a_missing_dependency_is_seen():
    library = Path(sys.executable)
    assert llvm._missing(library) == []


ACTIVATE = """
from torchmultiverse.engines.builtin.variant import activate
print(activate())
print(*sorted({line.split()[-1] for line in open("/proc/self/maps") if "libLLVM" in line}))
"""


def said_by(code: str, **environment: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.skipif(probe().chosen != "llvm_ad_rgb", reason="another variant is used here")
def test_the_library_that_was_tried_is_the_one_that_is_loaded():
    """Dr.Jit takes a library when it is imported: named too late, another one would be used, and may abort."""
    variant, loaded = said_by(ACTIVATE)
    assert variant == "llvm_ad_rgb"
    assert os.path.realpath(loaded) == os.path.realpath(probe().library)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.skipif(probe().chosen != "llvm_ad_rgb", reason="another variant is used here")
def test_a_failing_library_that_was_loaded_before_us_is_not_used():
    for path in llvm_libraries():
        trial = try_variant("llvm_ad_rgb", str(path))
        if not trial.works and "abort" in trial.reason:
            break
    else:
        pytest.skip("every LLVM library of this machine works")
    named = f"import os; os.environ['DRJIT_LIBLLVM_PATH'] = {str(path)!r}; import drjit; del os.environ"
    said = said_by(f"{named}['DRJIT_LIBLLVM_PATH']\n{ACTIVATE}")
    assert said[0] == "scalar_rgb"


def test_another_cache_or_data_folder_loses_no_library(tmp_path, monkeypatch):
    """It would not fail, but render several times as slowly."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    kept = []
    for place in ("home/.local/share/torchmultiverse", "home/.cache/torchmultiverse", "data", "cache"):
        kept.append(tmp_path / place / "llvm" / "libllvm19" / "libLLVM.so.19.1")
        kept[-1].parent.mkdir(parents=True)
        kept[-1].write_bytes(b"")
    monkeypatch.setenv("TORCHMULTIVERSE_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("TORCHMULTIVERSE_CACHE", str(tmp_path / "cache"))
    assert set(kept) <= set(llvm_libraries())
    monkeypatch.setenv("TORCHMULTIVERSE_DATA", str(tmp_path / "other"))
    monkeypatch.setenv("TORCHMULTIVERSE_CACHE", str(tmp_path / "fresh"))
    assert set(kept[:2]) <= set(llvm_libraries())


def test_the_slow_variant_is_said_where_a_script_sees_it():
    """Without logging set up, a script that renders several times as slowly as it might said nothing."""
    script = (
        "from torchmultiverse.engines.builtin import variant\n"
        "variant.probe = lambda: variant.Report(chosen='scalar_rgb', remedy='do this')\n"
        "variant.activate()"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=200)
    assert "scalar_rgb" in done.stderr
    assert "do this" in done.stderr


@pytest.mark.network
@pytest.mark.slow
@pytest.mark.skipif(shutil.which("apt-get") is None, reason="needs apt")
def test_fetched_from_the_archive_it_renders(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHMULTIVERSE_DATA", str(tmp_path))
    try:
        trial = llvm.fetch_llvm()
    except EngineError as error:
        if "fails" in str(error):
            pytest.skip(f"no package archive is reachable: {error}")
        raise
    assert trial.works
    assert Path(trial.library).is_relative_to(tmp_path)
