"""What answers to an option, setting or name that cannot be, and which options all commands that read images have.

What could silently be wrong: the same mistake ends with another code in another command, a name is refused without the
one that was meant, or a run is stopped, or replaces another, and nobody is told.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from command import run
from PIL import Image
from typer.main import get_group

from torchmultiverse.cli import app as application
from torchmultiverse.cli.app import app
from torchmultiverse.cli.groups import walk
from torchmultiverse.errors import counted

PATHS = {" ".join(path): command for path, command in walk(get_group(app))}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for place in range(24):
        file = folder / ("cat", "dog", "cow")[place % 3] / f"{place}.png"
        file.parent.mkdir(exist_ok=True)
        Image.new("RGB", (8, 8), (10 * place, 0, 0)).save(file)
    (folder / "names.txt").write_text("Zebra\nHorse\nCat\nLion\nCrow\nDolphin\n")
    return folder


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("train ssl DATA --augment furier", "Did you mean 'fourier'"),
        ("train ssl DATA --method trexx", "Did you mean 'trex'"),
        ("train ssl DATA --ddm labl", "ddm labl: the images have no such column. Did you mean 'label'"),
        ("train ssl DATA --pairs labl", "Did you mean 'label'"),
        ("train ssl DATA --unseen cta --method supervised", "Did you mean 'cat'"),
        ("train held-out-grid DATA --factor labl --count 1", "Did you mean 'label'"),
        ("train held-out-grid DATA --factor label --count 9", "--count 9: label has 3 levels"),
        ("train held-out-grid DATA --factor label --count 1 --recipe smal", "Did you mean 'small'"),
        ("train held-out-grid DATA --factor label --count 1 --set epocs=1", "Did you mean 'epochs'"),
        ("analyze unseen DATA --set epochs=x", "'x' is no value of epochs"),
        ("analyze unseen DATA --classes labl", "Did you mean 'label'"),
        ("analyze settings DATA --vary lerning_rate=1,2", "Did you mean 'learning_rate'"),
        ("analyze concept-levels NAMES --levels 0", "one level at least is right"),
        ("analyze concept-levels NAMES --levels five", "neither a number of levels"),
        ("analyze concepts MODEL --data DATA --solver lbfg", "Did you mean 'lbfgs'"),
        ("analyze concepts MODEL --data DATA --label labl", "Did you mean 'label'"),
        ("analyze transfer MODEL --data DATA --train-task labl", "Did you mean 'label'"),
        ("analyze transfer MODEL --data DATA --seed -1", "greater than or equal to 0"),
        ("analyze domains MODEL --data DATA --domain labl --content label", "Did you mean 'label'"),
        ("analyze corruptions MODEL --data DATA --corruptions fogg", "Did you mean 'fog'"),
        ("train ssl DATA --of A", "--of does nothing without --splits FILE"),
        ("train ssl DATA --local-size 16", "local_size does nothing without small crops, such as crops=2+6"),
        ("train ssl DATA --local-scale 0.1+0.2", "local_scale does nothing without small crops"),
        (
            "train ssl DATA --local-scale 0.3+0.1",
            "'0.3,0.1' is no value of local_scale, such as 0.05,0.25: the",
        ),
        ("train ssl DATA --neighbours 4", "neighbours does nothing without pairs=near:MODEL"),
        ("train ssl DATA --ddm-prefix 8", "ddm_prefix does nothing without ddm=COLUMN"),
        ("eval DATA --model MODEL --severity 1,2,3,4,5", "--severity does nothing without --corruptions"),
        ("eval DATA --model MODEL --side 96", "--side does nothing without --corruptions"),
        ("eval DATA --model MODEL --baseline MODEL", "--baseline does nothing without --corruptions"),
        ("analyze fourier MODEL --data DATA --prompt {}", "--prompt does nothing without --reader texts"),
        ("analyze domains MODEL --data DATA --domain auto --content label --unseen label=cta", "Did you mean 'cat'"),
        ("analyze corruptions MODEL --data DATA --condition fog_visibilit", "Did you mean 'fog_visibility'"),
    ],
)
def test_what_cannot_be_asked_ends_with_two_and_the_nearest_name(
    arguments: str, said: str, pictures: Path, tmp_path: Path, capsys, monkeypatch
) -> None:
    known = {"DATA": pictures, "NAMES": pictures / "names.txt", "MODEL": "timm:resnet10t/random"}
    words = [known.get(word, word) for word in arguments.split()]
    code, _, errors = run(capsys, monkeypatch, *words, "--out", tmp_path / "out")
    assert code == 2, errors
    assert said in " ".join(errors.replace("│", " ").split())


READ = ("concepts", "transfer", "unseen", "settings", "domains", "trust", "units", "corruptions", "epochs", "fourier")


@pytest.mark.parametrize("name", [*(f"analyze {one}" for one in READ), "eval run", "eval compositions"])
def test_all_that_read_images_take_a_limit(name: str) -> None:
    options = {option for one in PATHS[name].params for option in one.opts}
    assert {"--limit", "--seed"} <= options


def test_what_is_interrupted_says_so_in_a_pipe(tmp_path: Path) -> None:
    script = tmp_path / "wait.py"
    script.write_text(
        "import time\nfrom torchmultiverse.cli import app as a\n"
        "from torchmultiverse.cli.groups import app\n"
        "@app.command('wait')\ndef wait() -> None:\n    print('there', flush=True)\n    time.sleep(60)\n"
        "import sys; sys.argv = ['torchmultiverse', 'wait']\na.main()\n"
    )
    held = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert held.stdout is not None
    held.stdout.readline()
    held.send_signal(signal.SIGINT)
    _, errors = held.communicate(timeout=60)
    assert (held.returncode, "interrupted" in errors) == (130, True)


def test_a_warning_of_the_package_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.showwarning = application._show_warning
        warnings.simplefilter("always")
        warnings.warn_explicit("it is replaced", UserWarning, application.__file__, 7)
        warnings.warn_explicit("elsewhere", UserWarning, "/somewhere/else.py", 7)
    said = capsys.readouterr().err
    assert "note: it is replaced\n" in said
    assert "app.py" not in said
    assert "/somewhere/else.py:7" in said


def test_one_is_not_many() -> None:
    assert [counted(n, "class", "classes") for n in (0, 1, 2)] == ["0 classes", "1 class", "2 classes"]
