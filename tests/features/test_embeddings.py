"""What models made of pictures, kept.

What could be silently wrong: the vector of another picture, a vector of other weights, another preprocessing or another
output, one of a picture that has changed since; a file half written by a run that was killed, taken for whole.
"""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from torchmultiverse import images
from torchmultiverse.engines.marker import MarkerEngine
from torchmultiverse.errors import ModelError
from torchmultiverse.evaluation import evaluate
from torchmultiverse.farm import generate
from torchmultiverse.features.cache import DIGEST, FeatureCache
from torchmultiverse.features.encode import BatchSize
from torchmultiverse.models.contract import ModelInfo
from torchmultiverse.models.preprocess import Prepared, Preprocess
from torchmultiverse.store import open_dataset

PLAIN = Preprocess((8, 8), "squash", 1.0, "bilinear", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


class Small:
    """An image-text model that counts the pictures that it is shown."""

    logit_scale = 1.0

    def __init__(self, weights: str = "a" * 64, preprocess: Preprocess | None = PLAIN) -> None:
        self.info = ModelInfo("small", "image-text", preprocess, weights_sha256=weights)
        self._matrix = np.random.default_rng(int(weights[:4], 16)).normal(size=(3 * 64, 16)).astype(np.float32)
        self.shown = 0

    def encode_image(self, images: Any) -> NDArray[np.float32]:
        self.shown += len(images)
        assert self.info.preprocess is not None
        vectors = self.info.preprocess(images).reshape(len(images), -1) @ self._matrix
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)

    def encode_text(self, texts: Any) -> NDArray[np.float32]:
        seeds = [int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "little") for text in texts]
        vectors = np.stack([np.random.default_rng(seed).normal(size=16) for seed in seeds])
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("embeddings") / "d"
    names = ["blank", "Camel", "Zebra"]
    spec = {
        "name": "s", "family": "SPAR", "render": {"size": [32, 32]},
        "design": {
            "kind": "factorial",
            "factors": {"World_Name": ["Desert", "Snow"], "Character_Name": names, "Character2_Name": names},
            "linked": [[{"Character1_Pos": "left", "Character2_Pos": "right"}]],
        },
    }  # fmt: skip
    generate(spec, out, MarkerEngine, progress=False, shard_rows=5)
    return out


def test_a_picture_passes_once_through_a_model(dataset: Path, tmp_path: Path) -> None:
    fresh, again, plain = Small(), Small(), Small()
    first = evaluate(dataset, fresh, embeddings=tmp_path / "e", quiet=True)
    assert fresh.shown == 18
    second = evaluate(dataset, again, embeddings=tmp_path / "e", quiet=True)
    assert again.shown == 0
    without = evaluate(dataset, plain, quiet=True)
    assert first.table.equals(second.table)
    assert first.table.equals(without.table)
    assert first.rows.equals(without.rows)
    # Another dataset with some of the same pictures: only the others are shown.
    part = open_dataset(dataset).where("world_name = Snow")
    third = Small()
    evaluate(part, third, embeddings=tmp_path / "e", quiet=True)
    assert third.shown == 0


@pytest.mark.parametrize(
    "other", [Small("b" * 64), Small(preprocess=replace(PLAIN, interpolation="bicubic")), Small("b" * 64, PLAIN)]
)
def test_another_way_of_encoding_is_another_store(other: Small, dataset: Path, tmp_path: Path) -> None:
    evaluate(dataset, Small(), embeddings=tmp_path / "e", quiet=True)
    other.shown = 0
    evaluate(dataset, other, embeddings=tmp_path / "e", quiet=True)
    assert other.shown == 18
    store = FeatureCache(tmp_path / "e")
    assert len(store.outputs(other, "image")) == 18  # type: ignore[arg-type]
    assert len(store.outputs(other, "logits")) == 0  # type: ignore[arg-type]


def test_what_cannot_be_recognised_again_is_not_kept(dataset: Path, tmp_path: Path) -> None:
    for model in (Small(preprocess=PLAIN), Small(preprocess=PLAIN)):
        model.info = replace(model.info, weights_sha256=None)
        evaluate(dataset, model, embeddings=tmp_path / "e", quiet=True)
        assert model.shown == 18
    assert not (tmp_path / "e").exists()


def test_a_changed_picture_is_seen_again(dataset: Path, tmp_path: Path) -> None:
    import shutil

    class Darker(MarkerEngine):
        """One picture is another one now."""

        def render(self, scenes: Any, options: Any = None) -> Any:
            for frame in super().render(scenes, options):
                if frame.scene["World_Name"] == "Snow" and frame.scene["Character_Name"] == "Camel":
                    frame.array()[:] = frame.array() // 2
                yield frame

    spec = open_dataset(dataset).manifest.identity["spec"]
    store = FeatureCache(tmp_path / "e")
    shutil.copytree(dataset, tmp_path / "d")
    before = open_dataset(tmp_path / "d")
    one = store.digests(before, np.arange(18))
    evaluate(before, Small(), embeddings=tmp_path / "e", quiet=True)
    generate(spec, tmp_path / "d", Darker, progress=False, shard_rows=5, fresh=True)
    after = open_dataset(tmp_path / "d")
    two = store.digests(after, np.arange(18))
    assert sum(bytes(a) != bytes(b) for a, b in zip(one, two, strict=True)) == 3
    model = Small()
    evaluate(after, model, embeddings=tmp_path / "e", quiet=True)
    assert model.shown == 3
    assert bytes(two[0]) == hashlib.sha256(after.image_bytes(0)).digest()


def test_vectors_come_back_to_their_own_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torchmultiverse.features.cache.FLUSH", 7)
    rng = np.random.default_rng(0)
    store = FeatureCache(tmp_path / "e")
    # Digests with zeros at their ends and beginnings, which text of fixed length would lose.
    raw = rng.integers(0, 3, size=(200, 32), dtype=np.uint8) * np.uint8(127)
    raw = np.unique(raw, axis=0)
    digests = np.ascontiguousarray(raw).view(DIGEST).reshape(-1)
    vectors = rng.normal(size=(len(digests), 5)).astype(np.float32)
    encoder = store.outputs(Small(), "image")
    assert encoder is not None
    order = rng.permutation(len(digests))[:60]
    assert np.array_equal(encoder(digests[order], lambda part: vectors[order][part]), vectors[order])
    calls: list[int] = []

    def rest(part: NDArray[np.int64]) -> NDArray[np.float32]:
        calls.append(len(part))
        return vectors[part]

    assert np.array_equal(encoder(digests, rest), vectors)
    assert sum(calls) == len(digests) - 60
    assert max(calls) <= 7
    twice = np.concatenate([digests[:3], digests[:3]])
    assert np.array_equal(encoder(twice, rest), np.concatenate([vectors[:3], vectors[:3]]))
    again = FeatureCache(tmp_path / "e").outputs(Small(), "image")
    assert again is not None
    assert np.array_equal(again(digests[::-1], rest), vectors[::-1])
    assert sum(calls) == len(digests) - 60
    assert all(isinstance(part, np.memmap) for part in again._parts)


_KILLED = """
import sys
import numpy as np
sys.path.insert(0, sys.argv[2])
from test_embeddings import Small
import torchmultiverse.features.cache as e
e.FLUSH = 4
encode = Small.encode_image
def dying(self, images):
    if self.shown >= int(sys.argv[4]):
        import os, signal
        os.kill(os.getpid(), signal.SIGKILL)
    return encode(self, images)
Small.encode_image = dying
from torchmultiverse.evaluation import evaluate
evaluate(sys.argv[1], Small(), embeddings=sys.argv[3], quiet=True, batch_size=4)
"""


@pytest.mark.parametrize("at", [4, 9])
def test_a_killed_evaluation_goes_on(at: int, dataset: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", _KILLED, str(dataset), str(Path(__file__).parent), str(tmp_path / "e"), str(at)]
    done = subprocess.run(command, capture_output=True, check=False, timeout=250)
    assert done.returncode == -9, done.stderr.decode()
    # What a crash of the machine may leave: vectors without their pictures' names.
    folder = next((tmp_path / "e").glob("*/*.vectors.npy")).parent
    (folder / "0123.vectors.npy").write_bytes(b"half")
    model = Small()
    result = evaluate(dataset, model, embeddings=tmp_path / "e", quiet=True)
    assert 0 < model.shown < 18
    assert result.table.equals(evaluate(dataset, Small(), quiet=True).table)


class Prepares(Small):
    """Counts how many of the pictures that it is shown are PNG files still."""

    def encode_image(self, images: Any) -> NDArray[np.float32]:
        assert isinstance(images, Prepared)
        return super().encode_image(images)


def test_a_picture_is_decoded_once_for_all_models_of_a_geometry(dataset: Path, tmp_path: Path, monkeypatch) -> None:
    opened = open_dataset(dataset)
    decoded: list[bytes] = []
    store = tmp_path / "store"
    first, second = Prepares("a" * 64), Prepares("b" * 64, replace(PLAIN, mean=(0.0,) * 3))
    other = Prepares("c" * 64, replace(PLAIN, size=(10, 10)))
    other._matrix = np.random.default_rng(0).normal(size=(300, 16)).astype(np.float32)
    alone = evaluate(opened, _named(Small("b" * 64, second.info.preprocess), "b"), quiet=True)
    monkeypatch.setattr("torchmultiverse.evaluation.run.gallery_images", lambda *given: {})
    monkeypatch.setattr("torchmultiverse.features.cached_images.read", _counting(decoded))
    models = [_named(first, "a"), _named(second, "b"), _named(other, "c")]
    result = evaluate(opened, models, quiet=True, embeddings=store)
    assert len(decoded) == len(set(decoded)) == 18, "three models, two geometries, each picture decoded once"
    assert result.rows.filter(np.array(result.rows["model"].to_pylist()) == "b")["margin"] == alone.rows["margin"]
    del decoded[:]
    evaluate(opened, _named(Prepares("d" * 64), "d"), quiet=True, embeddings=store)
    assert decoded == []


def _counting(decoded: list[bytes]):
    def counted(data, what):
        decoded.append(hashlib.sha256(data).digest())
        return images.read(data, what)

    return counted


def _named(model: Small, name: str) -> Small:
    model.info = replace(model.info, name=name)
    return model


def test_pixels_are_not_kept_beyond_the_limit(dataset: Path, tmp_path: Path) -> None:
    assert FeatureCache(tmp_path, pixel_limit=0).pixels(PLAIN, (1, 8, 8, 3)) is None
    assert FeatureCache(tmp_path, pixel_limit=100).pixels(PLAIN, (1, 8, 8, 3)) is None
    assert FeatureCache(tmp_path, pixel_limit=1000).pixels(PLAIN, (1, 8, 8, 3)) is not None


def test_the_batch_shrinks_where_memory_runs_out_and_loses_nothing() -> None:
    calls = []

    def greedy(batch):
        calls.append(len(batch))
        if len(batch) > 5:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")
        return np.asarray(batch, np.float32)[:, None]

    size = BatchSize(64, grow=False)
    parts = size.run(greedy, list(range(23)))
    np.testing.assert_array_equal(np.concatenate(parts)[:, 0], np.arange(23))
    assert size() == 5
    assert calls[:3] == [23, 11, 5]
    with pytest.raises(ModelError, match="one picture alone"):
        BatchSize(4).run(lambda batch: greedy(list(range(9))), [1, 2])
    with pytest.raises(RuntimeError, match="shape"):
        BatchSize(4).run(lambda batch: (_ for _ in ()).throw(RuntimeError("shape")), [1])


def test_the_batch_grows_only_while_that_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("torchmultiverse.features.encode.time.perf_counter", lambda: clock[0])

    def device(batch):  # a fixed cost of 100, and one a picture from 256 pictures on
        clock[0] += 100 + max(0, len(batch) - 256)
        return np.zeros((len(batch), 1), np.float32)

    size = BatchSize(64, grow=True)
    for _ in range(40):
        size.run(device, [0] * size())
    assert 256 <= size() <= 512


class Coarse(Small):
    """Loses digits in its low precision, so that some answers change."""

    module = None
    device = SimpleNamespace(type="cpu")
    batches: tuple[int, ...] = ()

    def change(self, **facts: Any) -> None:
        self.info = replace(self.info, **facts)

    def encode_image(self, images: Any) -> NDArray[np.float32]:
        vectors = super().encode_image(images)
        if self.info.precision == "bfloat16":
            return np.round(vectors * 4) / 4
        self.batches += (len(images),)
        return vectors


def test_the_audit_counts_answers_that_low_precision_changes(dataset: Path) -> None:
    model = Coarse()
    low = evaluate(dataset, model, quiet=True, precision="bfloat16", audit=12)
    found = low.provenance.audits["small"]
    assert set(model.batches) == {1}
    assert low.provenance.models[0].precision == "bfloat16"
    assert model.info.precision == "float32", "given back as it came"
    assert found.images == 12
    assert found.changed > 0
    assert found.largest_difference > 0.05
    exact = evaluate(dataset, Coarse(), quiet=True, precision="float32", audit=12).provenance.audits["small"]
    assert exact.changed == 0
    assert exact.largest_difference < 1e-5


@pytest.mark.filterwarnings("ignore:.*damaged")
@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_damaged_store_gives_the_right_vectors_or_makes_them_again(
    every: bool, dataset: Path, tmp_path: Path
) -> None:
    """Files cut, emptied, with bytes changed, swapped, or whose rows are in another order and would be believed."""
    import shutil

    kept = tmp_path / "kept"
    right = evaluate(dataset, Small(), embeddings=kept, quiet=True).rows
    files = sorted(path.relative_to(kept) for path in kept.rglob("*.npy"))
    assert {path.parts[0] for path in files} >= {"pictures", "pixels"}
    rng = np.random.default_rng(5)

    def permuted(data: bytes) -> bytes:
        array = np.load(io.BytesIO(data))
        out = io.BytesIO()
        np.save(out, array[::-1])
        return out.getvalue()

    def flipped(data: bytes, low: int, high: int) -> bytes:
        changed = bytearray(data)
        changed[int(rng.integers(low, min(high, len(data))))] ^= int(rng.integers(1, 256))
        return bytes(changed)

    damages = [permuted, lambda data: data[:-1]]
    if every:
        damages += [lambda data: b"", lambda data: data[: len(data) // 2], lambda data: data[:20]]
        damages += [lambda data: b"PK\x03\x04" + data, lambda data: data + b"\0"]
        damages += [lambda data: flipped(data, 0, 128)] * 8 + [lambda data: flipped(data, 128, 10**9)] * 4
    seen_again = 0
    for path in files:
        for number, damage in enumerate(damages):
            shutil.rmtree(tmp_path / "e", ignore_errors=True)
            shutil.copytree(kept, tmp_path / "e")
            (tmp_path / "e" / path).write_bytes(damage((tmp_path / "e" / path).read_bytes()))
            # The digests of a whole dataset, and the vectors of each.
            store = FeatureCache(tmp_path / "e")
            opened = open_dataset(dataset)
            digests = store.digests(opened, np.arange(18))
            assert [bytes(d) for d in digests] == [
                hashlib.sha256(opened.image_bytes(row)).digest() for row in range(18)
            ], (path, number)
            model = Small()
            assert evaluate(dataset, model, embeddings=tmp_path / "e", quiet=True).rows.equals(right), (path, number)
            seen_again += model.shown > 0
    assert seen_again > len(damages)


def test_a_damaged_file_is_said_and_replaced(tmp_path: Path) -> None:
    encoder = FeatureCache(tmp_path).outputs(Small(), "image")
    assert encoder is not None
    digests = np.arange(96, dtype=np.uint8).view(DIGEST)
    vectors = np.arange(6, dtype=np.float32).reshape(3, 2)
    encoder.add(digests, vectors)
    (file,) = encoder.folder.glob("*.vectors.npy")
    np.save(file, vectors[::-1].copy())
    again = FeatureCache(tmp_path).outputs(Small(), "image")
    assert again is not None
    with pytest.warns(UserWarning, match="are damaged"):
        assert np.array_equal(again(digests, lambda part: vectors[part]), vectors)
    assert np.array_equal(np.load(file), vectors)
