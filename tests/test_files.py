"""Files that are there whole or not at all.

What could be silently wrong: half a file under its final name, a temporary file that stays beside a finished one, a
Ctrl-C that compiled code turns into another error.
"""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from torchmultiverse.errors import DatasetError
from torchmultiverse.files import atomic_file, disk_errors, remove_leftovers, uninterrupted, write_atomic

_SAVES = """
import os, signal, sys
from pathlib import Path
import torch
from torchmultiverse.models.torch_tools import save_tensors

class Meddling:
    # As a person who presses Ctrl-C, or the system that kills, while a tensor is written.
    def __init__(self, file):
        self.file, self.done = file, False
    def write(self, data):
        if not self.done:
            self.done = True
            os.kill(os.getpid(), getattr(signal, sys.argv[2]))
        return self.file.write(data)
    def __getattr__(self, name):
        return getattr(self.file, name)

save = torch.save
torch.save = lambda data, file: save(data, Meddling(file))
try:
    save_tensors(Path(sys.argv[1]), {"w": torch.arange(100_000)})
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.fixture(autouse=True)
def heard() -> Iterator[None]:
    """Ctrl-C is heard here and by the processes started here; a shell starts its background jobs deaf to it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_an_interrupt_during_a_save_is_an_interrupt_after_it(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="needs the extra 'torch'")
    path = tmp_path / "model.pt"
    done = subprocess.run([sys.executable, "-c", _SAVES, path, "SIGINT"], capture_output=True, text=True, timeout=200)
    assert (done.returncode, done.stderr) == (130, "")
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.pt"]
    assert torch.load(path, weights_only=True)["w"][-1] == 99_999
    done = subprocess.run([sys.executable, "-c", _SAVES, path, "SIGKILL"], capture_output=True, text=True, timeout=200)
    assert done.returncode == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 2, "the system left a temporary file"
    from torchmultiverse.models.torch_tools import save_tensors

    save_tensors(path, {"w": torch.zeros(1)})
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.pt"]


def test_only_what_the_dead_left_is_removed(tmp_path: Path) -> None:
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    dead = int(ended.stdout)
    here = platform.node()
    kept = [f".a.{os.getpid()}.1@{here}.tmp", f".a.{dead}.1@another{here}.tmp", ".a.tmp", f"a.{dead}.1@{here}.tmp"]
    for name in [*kept, f".a.{dead}.1@{here}.tmp", f".b.c.{dead}.12@{here}.tmp"]:
        (tmp_path / name).touch()
    remove_leftovers(tmp_path)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == sorted(kept)


def test_a_file_is_whole_or_not_there(tmp_path: Path) -> None:
    write_atomic(tmp_path / "a", b"old")
    with pytest.raises(ZeroDivisionError), atomic_file(tmp_path / "a") as file:  # noqa: PT012
        file.write(b"new")
        raise ZeroDivisionError
    assert [(entry.name, entry.read_bytes()) for entry in tmp_path.iterdir()] == [("a", b"old")]


def test_a_second_interrupt_is_not_put_off() -> None:
    reached = []
    with pytest.raises(KeyboardInterrupt), uninterrupted():  # noqa: PT012
        os.kill(os.getpid(), signal.SIGINT)
        reached.append(1)
        os.kill(os.getpid(), signal.SIGINT)
        reached.append(2)
    assert reached == [1]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize(
    ("name", "told"),
    [("a" * 300, "choose a shorter name"), ("folder", "a folder stands where the file should be; move it away")],
)
def test_a_place_that_will_never_do_is_not_to_be_tried_again(name: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(DatasetError, match=told), disk_errors(tmp_path):
        (tmp_path / name).write_bytes(b"")
