"""What a machine with a GPU should be asked first: `python benchmarks/gpu.py`, at most eight minutes.

Each step runs in a process of its own under its own limit of time and prints one line of JSON; a table comes last. A
step that fails, hangs or aborts leaves the others alone. Without a GPU it says so and measures nothing; the code is
tried with

    python benchmarks/gpu.py --variant llvm_ad_rgb --tiny

Exit status: 0 all that was run did what is expected, 1 something did not, 2 there is no GPU.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:] = [path for path in sys.path if Path(path).resolve() != ROOT / "benchmarks"]  # statistics.py lies there
WORLDS = ("Desert", "Museum", "TokyoNight", "Forest", "OceanFloor", "Circus")
Facts = dict[str, Any]


@dataclass(frozen=True)
class Setting:
    """What is measured: the variant of the renderer, and whether only the code is tried."""

    variant: str
    tiny: bool

    @property
    def device(self) -> str:
        return "cuda" if self.variant == "cuda_ad_rgb" else "cpu"

    def engine(self, **more: Any) -> Any:
        from torchmultiverse.engines.builtin import BuiltinEngine

        return BuiltinEngine(variant=self.variant, **more)

    def scenes(self, worlds: tuple[str, ...], count: int) -> list[Any]:
        from torchmultiverse.scenes import Scene

        animals = ("Zebra", "Elephant", "Penguin", "Camel", "Lion", "Cat")
        return [
            Scene({"World_Name": world, "Character_Name": animals[k % len(animals)], "Camera_Yaw": 7 * k})
            for world in worlds
            for k in range(count)
        ]


def _options(side: int, samples: int | None, **more: Any) -> Any:
    from torchmultiverse.engines import RenderOptions

    return RenderOptions(size=(side, side), samples=samples, **more)


def _psnr(a: Any, b: Any) -> float:
    error = float(((np.asarray(a, float) - np.asarray(b, float)) ** 2).mean())
    return 99.0 if error == 0 else float(10 * np.log10(255**2 / error))


def _synchronise(setting: Setting) -> None:
    if setting.device == "cuda":
        import torch

        torch.cuda.synchronize()


def environment(setting: Setting) -> Facts:
    """Versions, the driver, and the denoiser on a tensor where it is."""
    import torch

    engine = setting.engine()
    picture = torch.rand(224, 224, 3, device=setting.device)
    found: Facts = {"fingerprint": engine.catalogue().fingerprint, "torch": torch.__version__, "denoiser_ms": None}
    if setting.device == "cuda":
        found["gpu"] = torch.cuda.get_device_name()
        query = ["nvidia-smi", "--query-gpu=driver_version,clocks.sm,clocks.mem,memory.total", "--format=csv,noheader"]
        found["driver"] = subprocess.run(query, capture_output=True, text=True, check=False, timeout=15).stdout.strip()
    if engine.denoise:
        import pyoidn

        seconds = []
        for _ in range(4 if setting.tiny else 50):
            _synchronise(setting)
            start = time.perf_counter()
            pyoidn.denoise(picture, hdr=True)
            _synchronise(setting)
            seconds.append(time.perf_counter() - start)
        found["denoiser_ms"] = round(1000 * float(np.median(seconds)), 3)
    return found


def agreement(setting: Setting) -> Facts:
    """The reference pictures: by this variant against those of the LLVM and scalar ones; tensors against arrays."""
    sys.path.insert(0, str(ROOT / "tests" / "engines"))
    import references

    from torchmultiverse.scenes import Scene

    scenes = [Scene(scene) for scene in references.SCENES[: 2 if setting.tiny else None]]
    options = _options(references.SIDE, references.SAMPLES["llvm_ad_rgb"], passes=("rgb", "mask"))
    host, device = setting.engine(denoise=False), setting.engine(denoise=False)
    device.on_device = True
    first = list(host.render(scenes, options))
    again = list(setting.engine(denoise=False).render(scenes, options))
    there = list(device.render(scenes, options))
    kept = references.kept("llvm_ad_rgb")[: len(scenes)]
    with tempfile.TemporaryDirectory() as folder:
        code = (
            "import sys, numpy; sys.path[:0] = sys.argv[1:2]; import references; "
            "from torchmultiverse.engines import RenderOptions; from torchmultiverse.scenes import Scene; "
            "from torchmultiverse.engines.builtin import BuiltinEngine; "
            "engine = BuiltinEngine(variant='scalar_rgb', denoise=False); "
            "options = RenderOptions((64, 64), ('rgb', 'mask'), samples=1); "
            "scenes = map(Scene, references.SCENES[:int(sys.argv[3])]); "
            "numpy.save(sys.argv[2], [f.array('mask') for f in engine.render(scenes, options)])"
        )
        file = str(Path(folder) / "masks.npy")
        command = [sys.executable, "-c", code, str(ROOT / "tests" / "engines"), file, str(len(scenes))]
        subprocess.run(command, check=True, timeout=60)
        masks = np.load(file)
    return {
        "psnr_llvm": round(min(_psnr(f.array(), k) for f, k in zip(first, kept, strict=True)), 1),
        "masks_equal": round(float(np.mean([f.array("mask") == m for f, m in zip(first, masks, strict=True)])), 5),
        "device_levels": max(
            int(np.abs(f.array().astype(int) - t.array()).max()) for f, t in zip(first, there, strict=True)
        ),
        "same_twice": all(f.sha256() == g.sha256() for f, g in zip(first, again, strict=True)),
    }


def kernels(setting: Setting) -> Facts:
    """Kernels that had to be compiled over changes of character."""
    engine = setting.engine()
    import drjit as dr

    dr.set_flag(dr.JitFlag.KernelHistory, True)
    changes, misses, seconds, first = 3 if setting.tiny else 12, 0, 0.0, 0
    for world in WORLDS[: 1 if setting.tiny else 3]:
        for k, scene in enumerate(setting.scenes((world,), changes)):
            dr.kernel_history_clear()
            list(engine.render([scene], _options(32 if setting.tiny else 224, 4)))
            # Those that are found on disk have been compiled by another process.
            missed = [
                found for found in dr.kernel_history() if not found.get("cache_hit", True) or found.get("cache_disk")
            ]
            seconds += sum(k.get("codegen_time", 0) + k.get("backend_time", 0) for k in missed) / 1000
            first, misses = (first + len(missed), misses) if k == 0 else (first, misses + len(missed))
    return {"of_first_pictures": first, "of_changes": misses, "compile_s": round(seconds, 2)}


def cost(setting: Setting) -> Facts:
    """Milliseconds of a picture's phases by size and samples, the tracer's kernels alone, one without annotations
    (``plain_ms``, as in a stream that is not recorded), and the fit: fixed, by pixel, by sample."""
    engine = setting.engine()
    engine.on_device = True
    import drjit as dr

    sides, counts = ((32, 64), (1, 4)) if setting.tiny else ((64, 224, 512), (1, 4, 16, 64))
    rows, found = [], {}
    for side in sides:
        for samples in counts:
            frames = list(engine.render(setting.scenes(WORLDS[:1], 3 if setting.tiny else 8), _options(side, samples)))
            steps = {name: np.median([f.timings[name] for f in frames[1:]]) for name in frames[0].timings}
            engine.annotated = False
            plain = list(engine.render(setting.scenes(WORLDS[:1], 1) * 4, _options(side, samples)))
            steps["plain_ms"] = np.median([f.timings["render_ms"] for f in plain[1:]])
            engine.annotated = True
            with dr.scoped_set_flag(dr.JitFlag.KernelHistory, True):
                dr.kernel_history_clear()
                list(engine.render(setting.scenes(WORLDS[:1], 1), _options(side, samples)))
                steps["kernels_ms"] = sum(kernel.get("execution_time") or 0 for kernel in dr.kernel_history())
            found[f"{side}x{samples}"] = {name: round(float(ms), 2) for name, ms in steps.items() if name != "world_ms"}
            rows.append((1.0, side * side, side * side * samples, steps["trace_ms"]))
    table = np.array(rows)
    fit = np.linalg.lstsq(table[:, :3], table[:, 3], rcond=None)[0]
    return {"ms": found, "trace_fit": {"ms": fit[0], "us_pixel": 1000 * fit[1], "us_sample": 1000 * fit[2]}}


def noise(setting: Setting) -> Facts:
    """PSNR of as many samples as each world has by default against many."""
    engine = setting.engine()
    few, many, side = (2, 16, 32) if setting.tiny else (None, 1024, 128)
    found = {}
    for world in WORLDS[: 1 if setting.tiny else 3]:
        (scene,) = setting.scenes((world,), 1)
        a, b = (next(iter(engine.render([scene], _options(side, n)))).array() for n in (few, many))
        found[world] = round(_psnr(a, b), 1)
    return {"psnr": found}


def stream(setting: Setting) -> Facts:
    """Pictures a second of a live stream by engines, alone and beside training in another queue; none may differ."""
    import torch

    from torchmultiverse.stream import RenderStream

    side, count = (32, 16) if setting.tiny else (224, 160)
    samples = 2 if setting.tiny else 16
    queue = torch.cuda.Stream() if setting.device == "cuda" else None

    def run(worlds: int = 1, workers: int = 1, train: bool = False) -> tuple[float, dict[str, str]]:
        spec = {
            "World_Name": list(WORLDS[:worlds]),
            "Character_Name": ["Zebra"],
            "Camera_Yaw": list(range(count // worlds)),
        }
        start, pixels, half = 0.0, {}, count // 2  # the first of which loads worlds and kernels and is not counted
        with (
            torch.cuda.stream(queue),  # nothing without one
            RenderStream(spec, lambda: setting.engine(worlds=worlds), size=side, samples=samples, workers=workers,
                         prefetch=2 * workers, window=half, device=setting.device) as live,
        ):  # fmt: skip
            for k, item in enumerate(live):
                if k == half - 1:
                    start = time.perf_counter()
                if train:
                    net(item["image"][None].repeat(8, 1, 1, 1)).mean().backward()
                pixels[item["scene_id"]] = (item["image"] * 255).round().to(torch.uint8)
            seconds = time.perf_counter() - start
            hashes = {key: hashlib.sha256(value.cpu().numpy().tobytes()).hexdigest() for key, value in pixels.items()}
        return round((k + 1 - half) / seconds, 1), hashes

    net = torch.nn.Sequential(torch.nn.Conv2d(3, 64, 7, 4), torch.nn.ReLU(), torch.nn.Conv2d(64, 64, 3, 2))
    if setting.device == "cuda":
        from torchvision.models import resnet50

        net = resnet50()
    net = net.to(setting.device)
    alone, first = run()
    by_workers = {str(workers): run(workers=workers) for workers in ((2,) if setting.tiny else (2, 3))}
    mixed, _ = run(worlds=2 if setting.tiny else 3)
    beside, second = run(train=True)
    others = [second, *(hashes for _, hashes in by_workers.values())]
    return {
        "per_second": alone, "by_engines": {n: speed for n, (speed, _) in by_workers.items()}, "worlds_mixed": mixed,
        "beside_training": beside, "differ": sum(first[key] != other[key] for other in others for key in first),
    }  # fmt: skip


def farm(setting: Setting) -> Facts:
    """Pictures a second of a whole run over WebRTC, by workers."""
    from torchmultiverse.farm import generate

    count = 4 if setting.tiny else 100
    spec = {"World_Name": ["Desert"], "Character_Name": ["Zebra"], "Camera_Yaw": list(range(count))}
    found = {}
    for workers in (1,) if setting.tiny else (1, 2, 3):
        with tempfile.TemporaryDirectory() as folder:
            report = generate(
                spec, Path(folder) / "d", size=32 if setting.tiny else 224, samples=2 if setting.tiny else 16,
                workers=workers, check=0, progress=False,
            )  # fmt: skip
            found[str(workers)] = round(report.rendered / report.seconds, 2)
    return {"per_second": found}


def encoder(setting: Setting) -> Facts:
    """Random ViTs in bfloat16 against what matrix products reach."""
    import open_clip
    import torch

    def seconds(work: Callable[[], Any]) -> float:
        for _ in range(2):
            work()
        _synchronise(setting)
        start = time.perf_counter()
        for _ in range(2 if setting.tiny else 10):
            work()
        _synchronise(setting)
        return (time.perf_counter() - start) / (2 if setting.tiny else 10)

    n = 256 if setting.tiny else 8192
    a = torch.randn(n, n, device=setting.device, dtype=torch.bfloat16)
    limit = 2 * n**3 / seconds(lambda: a @ a)
    found: Facts = {"matrix_tflops": round(limit / 1e12, 3)}
    sizes = {"ViT-B-32": 4.4e9} if setting.tiny else {"ViT-B-32": 4.4e9, "ViT-L-14": 81e9}  # multiply-adds a picture
    for name, products in sizes.items():
        model = open_clip.create_model(name, precision="bf16", device=setting.device).eval()
        batch = torch.randn(2 if setting.tiny else 256, 3, 224, 224, device=setting.device, dtype=torch.bfloat16)
        with torch.inference_mode():
            each = seconds(lambda model=model, batch=batch: model.encode_image(batch)) / len(batch)  # type: ignore[misc]
        found[name] = {"per_second": round(1 / each, 1), "of_limit": round(2 * products / each / limit, 3)}
    return found


def neighbours(setting: Setting) -> Facts:
    """Seconds for the ten nearest of many vectors, and how far the distances are from those in double precision."""
    from torchmultiverse.analyze.neighbours import nearest_rows

    rng = np.random.default_rng(0)
    queries, index = (
        rng.standard_normal((n, 512), np.float32) for n in ((200, 2_000) if setting.tiny else (50_000, 500_000))
    )
    nearest_rows(queries[:100], index[:1_000], 10)
    start = time.perf_counter()
    found = nearest_rows(queries, index, 10)
    seconds = time.perf_counter() - start
    exact = ((queries[:100, None].astype(float) - index[found.rows[:100]]) ** 2).sum(-1)
    best = ((index**2).sum(1)[:, None] - 2 * (index @ queries[:20].T)).argmin(0)
    return {
        "seconds": round(seconds, 2),
        "error": float(np.abs(found.distances[:100] / exact - 1).max()),
        "wrong": int((found.rows[:20, 0] != best).sum()),
    }


def decoder(setting: Setting) -> Facts:
    """Seconds of a step of training a decoder of 64 × 64 pixels, of drawing a picture, and the loss.

    No checkpoints are written: of this network each has 4.4 GB.
    """
    from torchmultiverse.analyze import sample
    from torchmultiverse.models import DecoderConfig, device
    from torchmultiverse.models.diffusion import DECODER_PRESETS, Decoder
    from torchmultiverse.train import DiffusionTraining
    from torchmultiverse.train.decoder import DecoderObjective
    from torchmultiverse.train.loop import Loop, LoopSettings

    side, preset, steps, batch = (16, "tiny", 2, 4) if setting.tiny else (64, "adm-64", 20, 64)
    rng = np.random.default_rng(0)
    pixels = np.kron(rng.integers(0, 256, (256, 4, 4, 3)), np.ones((1, side // 4, side // 4, 1))).astype(np.uint8)
    vectors = rng.standard_normal((256, 512), np.float32)
    made = Decoder(DecoderConfig(side, 512, **DECODER_PRESETS[preset])).to(device())

    def train(steps: int) -> tuple[float, float]:
        training = DiffusionTraining(steps=steps, batch_size=batch, every=steps)
        settings = LoopSettings(epochs=1, steps=steps, learning_rate=1e-4, ema=0.999)
        start = time.perf_counter()
        loss = Loop(DecoderObjective(made, pixels, vectors, training), settings, quiet=True).run().last_loss
        _synchronise(setting)
        return time.perf_counter() - start, loss

    def draw(count: int) -> tuple[float, float]:
        start = time.perf_counter()
        images = sample(made, vectors[:count], steps=4 if setting.tiny else 50, quiet=True)
        return (time.perf_counter() - start) / count, float(images.std())

    train(1)  # loads kernels
    seconds, loss = train(steps)
    draw(4)
    drawing, spread = draw(4 if setting.tiny else 16)
    return {
        "step_s": round(seconds / steps, 4), "loss": round(loss, 4), "sample_s": round(drawing, 4),
        "spread": round(spread, 1),
    }  # fmt: skip


def memory(setting: Setting) -> Facts:
    """Growth of memory over ten worlds, after the first two."""
    import gc

    from torchmultiverse.engines.builtin.world import world_names

    engine = setting.engine()

    def used() -> float:
        gc.collect()
        if setting.device == "cuda":
            import torch

            free, total = torch.cuda.mem_get_info()
            return (total - free) / 1e6
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * 4096 / 1e6

    worlds = tuple(world_names()[: 2 if setting.tiny else 10])
    seen = []
    for _ in range(2):
        list(engine.render(setting.scenes(worlds, 1), _options(32 if setting.tiny else 224, 4)))
        seen.append(used())
    return {
        "first_round_mb": round(seen[0]),
        "second_round_mb": round(seen[1]),
        "growth": round(seen[1] / seen[0] - 1, 4),
    }


@dataclass(frozen=True)
class Step:
    """A measurement: its limit in seconds, what is expected on a GPU, and whether what was found is that."""

    work: Callable[[Setting], Facts]
    limit: int
    expect: str
    good: Callable[[Facts], bool]
    everywhere: bool = False
    """Whether it is expected of every variant; the others are of speed, which only a GPU has."""


STEPS = {
    "environment": Step(environment, 30, "denoiser 0.3 to 0.7 ms", lambda f: (f["denoiser_ms"] or 9) < 1.5),
    "agreement": Step(
        agreement, 60, "PSNR above 35 dB, masks equal in 99.9 %, tensor and array within 1 level, same bytes twice",
        lambda f: f["psnr_llvm"] > 35 and f["masks_equal"] > 0.999 and f["device_levels"] <= 1 and f["same_twice"],
        True,
    ),
    "kernels": Step(kernels, 30, "no kernel is compiled for a change of character",
                    lambda f: f["of_changes"] == 0, True),
    "cost": Step(cost, 70, "trace of 224², 16 samples below 11.5 ms; 512² below 28 ms",
                 lambda f: f["ms"]["224x16"]["trace_ms"] < 11.5 and f["ms"]["512x16"]["trace_ms"] < 28),
    "noise": Step(noise, 30, "at least 32 dB at the world's own samples", lambda f: min(f["psnr"].values()) > 32),
    "stream": Step(stream, 70, "80 pictures/s alone, none differs beside training",
                   lambda f: f["per_second"] >= 80 and f["differ"] == 0),
    "farm": Step(farm, 40, "says where the wall is", lambda f: True),
    "encoder": Step(encoder, 40, "at least 60 % of the limit of matrix products",
                    lambda f: all(v["of_limit"] >= 0.6 for v in f.values() if isinstance(v, dict))),
    "neighbours": Step(neighbours, 20, "distances right to a part in 10,000, nearest rows right",
                       lambda f: f["error"] < 1e-4 and f["wrong"] == 0, True),
    "decoder": Step(decoder, 60, "drawn pictures are not one colour", lambda f: f["spread"] > 1),
    "memory": Step(memory, 30, "grows by at most 1 %", lambda f: f["growth"] <= 0.01),
}  # fmt: skip


def run_steps(setting: Setting, names: list[str], minutes: float) -> Iterator[Facts]:
    """Yield a row for each step, run in a process of its own."""
    end = time.monotonic() + 60 * minutes
    for name in names:
        step, left = STEPS[name], end - time.monotonic()
        row: Facts = {"step": name, "expect": step.expect, "ok": False}
        command = [sys.executable, __file__, "--step", name, "--variant", setting.variant, *["--tiny"] * setting.tiny]
        start = time.monotonic()
        try:
            if left < 5:
                raise subprocess.TimeoutExpired(command, 0)
            done = subprocess.run(command, capture_output=True, text=True, timeout=min(step.limit, left), check=False)
            lines = done.stdout.strip().splitlines()
            if done.returncode == 0 and lines:
                row["found"] = json.loads(lines[-1])
                judged = step.everywhere or (setting.device == "cuda" and not setting.tiny)
                row["ok"] = bool(step.good(row["found"])) if judged else None
            else:
                said = (done.stderr.strip().splitlines() or ["nothing was said"])[-1]
                row["failed"] = f"exit status {done.returncode}: {said[:300]}"
                print(done.stderr, file=sys.stderr)
        except subprocess.TimeoutExpired as error:
            row["failed"] = f"not done within {error.timeout:.0f} s"
        row["seconds"] = round(time.monotonic() - start, 1)
        yield row


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variant", default="cuda_ad_rgb", choices=["cuda_ad_rgb", "llvm_ad_rgb"])
    parser.add_argument("--tiny", action="store_true", help="small sizes: tries the code, measures nothing")
    parser.add_argument("--only", nargs="+", choices=sorted(STEPS), metavar="STEP", help=", ".join(STEPS))
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--step", choices=sorted(STEPS), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    setting = Setting(arguments.variant, arguments.tiny)
    if arguments.step:
        print(json.dumps(STEPS[arguments.step].work(setting), default=float))
        return 0
    names = [name for name in STEPS if not arguments.only or name in arguments.only]
    if setting.device == "cuda":
        from torchmultiverse.engines.builtin.variant import probe

        report = probe()
        if report.chosen != "cuda_ad_rgb":
            reason = next((trial.reason for trial in report.trials if trial.variant == "cuda_ad_rgb"), "not tried")
            print(json.dumps({"step": "gpu", "ok": False, "failed": reason}))
            print(f"no GPU: {reason}. Not run: {', '.join(names)}")
            return 2
    rows = []
    for row in run_steps(setting, names, arguments.minutes):
        print(json.dumps(row), flush=True)
        rows.append(row)
    words = {True: "as expected", False: "NOT as expected", None: "ran"}
    print(f"\n{setting.variant}{', tiny' if setting.tiny else ''}")
    for row in rows:
        state = "FAILED" if "failed" in row else words[row["ok"]]
        print(f"{row['step']:12} {row['seconds']:6.1f} s  {state:16} {row.get('failed') or row['expect']}")
    return int(any(row["ok"] is False for row in rows))


if __name__ == "__main__":
    sys.exit(main())
