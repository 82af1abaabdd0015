"""The commands that look inside a model, as a user meets them: from a folder of pictures to pages.

What could silently be wrong: a page without what the command printed, a layer that is another one, or a generative
model trained on data whose licence forbids it.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from command import run
from PIL import Image

from torchmultiverse.analyze import analysis, decoders
from torchmultiverse.errors import DatasetError
from torchmultiverse.store import PUG, ImageList

pytest.importorskip("timm")
COLOURS = ((220, 40, 40), (40, 200, 60), (50, 80, 230))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("inside") / "pictures"
    rng = np.random.default_rng(0)
    lines = ["filename,xmin,ymin,xmax,ymax"]
    for label, colour in zip(("cherry", "leaf", "sky"), COLOURS, strict=True):
        (path / label).mkdir(parents=True)
        for k in range(30):
            pixels = rng.integers(90, 130, (32, 32, 3), dtype=np.uint8)
            pixels[10:20, 14:26] = colour
            Image.fromarray(pixels).save(path / label / f"{k:02}.png")
            lines.append(f"{label}/{k:02}.png,14,10,26,20")
    (path.parent / "boxes.csv").write_text("\n".join(lines))
    return path


def test_from_training_to_what_was_memorized(data: Path, capsys, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TORCHMULTIVERSE_CACHE", str(tmp_path / "cache"))
    sets = tmp_path / "sets.json"
    code, said, _ = run(capsys, monkeypatch, "data", "split", data, "--per-class", 8, "--held-out", 2, "--out", sets)
    assert code == 0
    assert "A: 24  B: 24  shared: 0  public: 36  held out: 6" in said
    training = ("--size", 32, "--head", "16-8", "--epochs", 1, "--batch", 12, "--splits", sets)
    for name in ("A", "B"):
        code, said, _ = run(
            capsys, monkeypatch, "train", "ssl", data, "--out", tmp_path / name, "--of", name, *training
        )
        assert code == 0
        assert f"ssl:{tmp_path / name}" in said
    code, said, _ = run(
        capsys, monkeypatch, "analyze", "dejavu", data, "--splits", sets, "--a", f"ssl:{tmp_path / 'A'}", "--b",
        f"ssl:{tmp_path / 'B'}", "--boxes", data.parent / "boxes.csv", "--k", 5, "--factor", "filename",
        "--out", tmp_path / "memory",
    )  # fmt: skip
    assert code == 0
    assert "label" in json.loads((tmp_path / "memory" / "factors" / "study.json").read_text())["headline"]
    assert "Not asked: filename" in said
    assert "k is 5" in said
    found = json.loads((tmp_path / "memory" / "dejavu.json").read_text())
    assert [one["layer"] for one in found["layers"]] == ["trunk", "head.1", "head.2"]
    assert found["images"] == 48
    assert [(one["layer"], one["factor"]) for one in found["factors"]] == [
        (layer, "label") for layer in ("trunk", "head.1", "head.2")
    ]
    # The same model alone, with decoders that learnt public pictures alone.
    decoder = tmp_path / "decoder"
    code, said, _ = run(
        capsys, monkeypatch, "train", "decoder", f"ssl:{tmp_path / 'A'}", "--layer", "trunk", "--data", data,
        "--splits", sets, "--size", 8, "--preset", "tiny", "--steps", 2, "--batch", 8, "--out", decoder,
    )  # fmt: skip
    assert code == 0
    known = np.load(decoder / "learnt.npy")
    assert set(known) <= set(json.loads(sets.read_text())["rows"]["public"])
    code, said, _ = run(
        capsys, monkeypatch, "analyze", "dejavu", data, "--splits", sets, "--a", f"ssl:{tmp_path / 'A'}", "--boxes",
        data.parent / "boxes.csv", "--k", 5, "--decoder-a", decoder, "--views", 2, "--out", tmp_path / "alone",
    )  # fmt: skip
    assert code == 0
    assert "agreement of views" in said
    found = json.loads((tmp_path / "alone" / "dejavu.json").read_text())
    assert (found["reference_model"], found["reference"], found["images"]) == ("", "held-out", 24)
    assert found["reconstruction"]["images"] == 24
    assert "Was it trained on?" in (tmp_path / "alone" / "index.html").read_text()
    code, said, error = run(
        capsys, monkeypatch, "analyze", "dejavu", data, "--splits", sets, "--a", f"ssl:{tmp_path / 'B'}", "--boxes",
        data.parent / "boxes.csv", "--k", 5, "--decoder-a", decoder, "--out", tmp_path / "no",
    )  # fmt: skip
    assert code == 5
    assert "draws from" in error
    assert not (tmp_path / "no").exists()
    code, said, _ = run(
        capsys, monkeypatch, "analyze", "sweep", data, "--splits", sets, "--vary", "epochs", "--values", "1,0", "--set",
        "size=32", "--set", "head=16-8", "--set", "batch_size=12", "--boxes", data.parent / "boxes.csv", "--k", 5,
        "--out", tmp_path / "sweep",
    )  # fmt: skip
    assert code == 0
    found = json.loads((tmp_path / "sweep" / "sweep.json").read_text())
    assert [(p["value"], p["layer"]) for p in found["points"]] == [
        (value, layer) for value in ("0", "1") for layer in ("trunk", "head.1", "head.2")
    ]
    assert [one["value"] for one in found["probes"]] == ["0", "1"]
    assert "Memory by epochs" in (tmp_path / "sweep" / "index.html").read_text()
    for wrong, words in (
        (("--vary", "epoch", "--values", "1"), "no setting 'epoch'. Did you mean 'epochs'"),
        (("--vary", "images", "--values", "9"), "9 pictures of each class are asked for, 8 are in the sets"),
        (("--vary", "crops", "--values", "edge"), "crops are boxes, corner, rerender, not 'edge'"),
    ):
        code, _, error = run(
            capsys, monkeypatch, "analyze", "sweep", data, "--splits", sets, *wrong, "--out", tmp_path / "w"
        )
        assert code in (2, 4, 5)
        assert words in error
    code, _, error = run(capsys, monkeypatch, "train", "ssl", data, "--out", tmp_path / "C", "--method", "simclear")
    assert code == 2
    assert "no method 'simclear'. Did you mean 'simclr'" in error


def test_layers_and_the_page_of_what_they_know(data: Path, capsys, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TORCHMULTIVERSE_CACHE", str(tmp_path / "cache"))
    code, said, _ = run(capsys, monkeypatch, "analyze", "layers", "timm:resnet10t/random")
    assert code == 0
    assert "layer4.0" in said
    assert "layer4.0.conv1" not in said
    code, said, _ = run(capsys, monkeypatch, "analyze", "layers", "timm:resnet10t/random", "--every")
    assert "layer4.0.conv1" in said
    code, said, _ = run(
        capsys, monkeypatch, "analyze", "model", "timm:resnet10t/random?size=32", "--data", data, "--layer", "layer1.0",
        "--layer", "layer4.0", "--probe", "knn", "--out", tmp_path / "page",
    )  # fmt: skip
    assert code == 0
    assert "label" in said
    page = (tmp_path / "page" / "index.html").read_text()
    for words in ("What is read where", "Where to cut", "Geometry", "layer4.0"):
        assert words in page
    found = json.loads((tmp_path / "page" / "analysis.json").read_text())
    assert found["probing"]["layers"] == ["layer1.0", "layer4.0"]
    assert found["probing"]["accuracies"][0]["score"] > 0.8  # a colour is read from any layer
    assert (tmp_path / "page" / "geometry.csv").read_text().startswith("layer,depth,size,rank_me")
    code, _, error = run(
        capsys, monkeypatch, "analyze", "model", "timm:resnet10t/random", "--data", data, "--layer", "layr4"
    )
    assert code == 2
    assert "no layer 'layr4'. Did you mean 'layer4'" in error


def test_one_command_makes_the_page_with_all_of_it(data: Path, capsys, monkeypatch, tmp_path: Path) -> None:
    pytest.importorskip("diffusers")
    pytest.importorskip("lightly")
    monkeypatch.setenv("TORCHMULTIVERSE_CACHE", str(tmp_path / "cache"))
    small = analysis.LayerDecoderOptions(8, "tiny", 3, 8, 1e-3)  # pictures of 8 pixels
    monkeypatch.setattr(analysis, "default_decoder_training", lambda: (small, 2))
    sets, encoder, out = tmp_path / "sets.json", tmp_path / "encoder", tmp_path / "all"
    run(capsys, monkeypatch, "data", "split", data, "--per-class", 8, "--out", sets)
    training = ("--size", 32, "--head", "16-8", "--epochs", 1, "--batch", 12)
    run(capsys, monkeypatch, "train", "ssl", data, "--out", encoder, "--splits", sets, "--of", "B", *training)
    held = json.loads((encoder / "sets.json").read_text())["rows"]
    assert held["A"] == json.loads(sets.read_text())["rows"]["B"]  # what this encoder saw is A of its own
    arguments = (
        "analyze", "model", f"ssl:{encoder}", "--data", data, "--all", "--layer", "trunk", "--layer", "head.2",
        "--probe", "knn", "--boxes", data.parent / "boxes.csv", "--decoder-steps", 1, "--out", out,
    )  # fmt: skip
    code, said, error = run(capsys, monkeypatch, *arguments)
    assert code == 0, error
    assert "memorized at head.2" in said
    page = (out / "index.html").read_text()
    for words in (
        "What is read where", "Where to cut", "By level", "With fewer labels", "Geometry", "Pictures of head.2",
        "When the picture changes", "When vectors are averaged", "What was memorized", "Was it trained on?",
    ):  # fmt: skip
        assert words in page, words
    ids = [part.split('"')[0] for part in page.split(' id="')[1:]]
    assert len(ids) == len(set(ids))
    assert "http" not in page.replace("http://www.w3.org", "")
    found = json.loads((out / "analysis.json").read_text())
    assert found["memorization"]["reference_model"] == ""
    assert found["samples"][-1]["config"]["layer"] == "head.2"
    assert {one["name"] for one in found["experiments"]["experiments"]} >= {"changes", "attacks", "means"}
    assert (out / "levels.csv").read_text().startswith("factor,probe,layer,level,score")
    assert "units of head.2 detect" in (out / "units" / "index.html").read_text()
    assert "domains: which factor is the domain is for the user to say" in " ".join(said.split())
    code, said, _ = run(
        capsys, monkeypatch, "analyze", "model", "timm:resnet10t/random?size=32", "--data", data, "--all",
        "--layer", "layer4.0", "--probe", "knn", "--decoder-steps", 0, "--out", tmp_path / "less",
    )  # fmt: skip
    assert code == 0
    assert "nothing says which pictures the model saw" in " ".join(said.split())


def test_a_decoder_is_trained_drawn_from_and_scored(data: Path, capsys, monkeypatch, tmp_path: Path) -> None:
    pytest.importorskip("diffusers")
    monkeypatch.setenv("TORCHMULTIVERSE_CACHE", str(tmp_path / "cache"))
    decoder = tmp_path / "decoder"
    code, said, _ = run(
        capsys, monkeypatch, "train", "decoder", "timm:resnet10t/random?size=32", "--layer", "layer2.0", "--data", data,
        "--size", 8, "--preset", "tiny", "--steps", 3, "--batch", 8, "--out", decoder,
    )  # fmt: skip
    assert code == 0
    sheet = tmp_path / "sheet.png"
    code, said, _ = run(
        capsys, monkeypatch, "analyze", "rcdm", "sample", decoder, "--data", data, "--row", 1, "--row", 40,
        "--count", 3, "--steps", 4, "--out", sheet,
    )  # fmt: skip
    assert code == 0
    assert Image.open(sheet).size == (4 * 10 - 2, 2 * 10 - 2)
    line = tmp_path / "line.png"
    code, said, _ = run(
        capsys, monkeypatch, "analyze", "rcdm", "interpolate", decoder, "--data", data, "--row", 1, "--row", 40,
        "--row", 3, "--between", 4, "--noises", 2, "--steps", 2, "--out", line,
    )  # fmt: skip
    assert code == 0
    assert Image.open(line).size == (6 * 10 - 2, 4 * 10 - 2)  # two lines of two rows; both ends are real
    code, _, error = run(
        capsys, monkeypatch, "analyze", "rcdm", "interpolate", decoder, "--data", data, "--row", 1, "--out", line
    )
    assert code == 2
    assert "two rows or more" in error
    code, said, _ = run(
        capsys, monkeypatch, "analyze", "rcdm", "score", decoder, "--data", data, "--count", 6,
        "--samples-per-image", 2, "--steps", 4, "--out", tmp_path / "portrait",
    )  # fmt: skip
    assert code == 0
    assert "draw no conclusions" in said
    found = json.loads((tmp_path / "portrait" / "rcdm.json").read_text())
    assert found["fidelity"]["candidates"] == 9  # a tenth was held out
    assert len(found["fidelity"]["ranks"]) == 12
    assert [one["factor"] for one in found["factors"]] == ["label"]
    assert found["quality"]["evaluator"] == "timm:resnet10t/random?size=32, layer2.0"
    page = (tmp_path / "portrait" / "index.html").read_text()
    assert page.count("data:image/jpeg") == 6 * 3 + 3 * 9
    code, said, _ = run(capsys, monkeypatch, "report", tmp_path / "portrait", "--out", tmp_path / "again")
    assert code == 0
    assert (tmp_path / "again" / "index.html").read_text() == page
    code, said, _ = run(
        capsys, monkeypatch, "analyze", "rcdm", "experiments", decoder, "--data", data, "--experiment", "changes",
        "--examples", 1, "--samples-per-image", 2, "--steps", 2, "--against", decoder, "--out", tmp_path / "studies",
    )  # fmt: skip
    assert code == 0
    assert (tmp_path / "studies" / "layers.png").exists()
    enlarger = tmp_path / "enlarger"
    code, said, _ = run(
        capsys, monkeypatch, "train", "decoder", "timm:resnet10t/random?size=32", "--layer", "layer2.0", "--data", data,
        "--size", 16, "--enlarge-from", 8, "--preset", "tiny", "--steps", 2, "--batch", 8, "--out", enlarger,
    )  # fmt: skip
    assert code == 0
    code, said, _ = run(
        capsys, monkeypatch, "analyze", "rcdm", "sample", decoder, "--data", data, "--row", 1, "--count", 2, "--steps",
        2, "--enlarge", enlarger, "--out", sheet,
    )  # fmt: skip
    assert code == 0
    assert Image.open(sheet).size == (3 * 18 - 2, 16)
    code, _, error = run(
        capsys, monkeypatch, "analyze", "rcdm", "sample", decoder, "--data", data, "--enlarge", decoder, "--out", sheet
    )
    assert code != 0
    assert "enlarges none; those drawn have 8: train it with --enlarge-from 8" in " ".join(error.split())
    attack = (
        "analyze", "rcdm", "experiments", decoder, "--data", data, "--experiment", "attacks", "--examples", 1,
        "--samples-per-image", 2, "--steps", 2, "--epsilon", 0.5, "--out", tmp_path / "attack", "--target",
    )  # fmt: skip
    code, said, error = run(capsys, monkeypatch, *attack, "leaf")
    assert code == 0, error
    table = json.loads((tmp_path / "attack" / "experiments.json").read_text())["experiments"][0]["table"]
    assert [line["change of a pixel at most"] for line in table] == ["0 of 255", "128 of 255"]
    code, said, error = run(capsys, monkeypatch, *attack, "nothing")
    assert code != 0
    assert "no label 'nothing' to be taken for" in error
    assert "One layer against another" in (tmp_path / "studies" / "index.html").read_text()


def test_data_that_forbid_generative_models_are_refused_unless_named(tmp_path: Path) -> None:
    pytest.importorskip("diffusers")
    images = [Image.new("RGB", (8, 8), (k * 20, 0, 0)) for k in range(12)]
    pictures = ImageList(images, [{"label": "ab"[k % 2]} for k in range(12)])
    pictures.manifest.license = PUG
    small = decoders.LayerDecoderOptions(8, "tiny", 1, 4)
    arguments = ("timm:resnet10t/random?size=32", pictures, tmp_path / "d", "layer1.0", small)
    with pytest.raises(DatasetError, match="generative models must not be trained on it"):
        decoders.train_layer_decoder(*arguments)
    assert not (tmp_path / "d").exists()
    assert (decoders.train_layer_decoder(*arguments, licence="CC-BY-NC-4.0") / "model.pt").exists()
