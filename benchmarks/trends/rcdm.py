"""Do pictures drawn from the projector vary more than those drawn from the backbone? In some minutes on two cores.

    python benchmarks/trends/rcdm.py [--steps 2500] [--data data/animals] [--model ssl:encoder]

Without data: pictures of a square of one colour at one place, and VICReg whose views redraw the colour. Trains an
encoder (if none is given) and a decoder for its trunk and for its head's end, and prints how much pictures of one
vector vary, in pixels and in the trunk's features, with the interval of the difference; which factors a reader still
sees in them; and the ranks that say whether the decoders can be trusted. Then it says of each trend of the source
(Bordes et al., 2022, section 4) whether it was found.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from torchmultiverse.analyze.decoders import LayerDecoderOptions, load_conditioned_decoder, train_layer_decoder
from torchmultiverse.analyze.experiment_setup import ExperimentSetup
from torchmultiverse.analyze.options import RunOptions
from torchmultiverse.analyze.sample_evaluation import SamplingOptions, evaluate_samples
from torchmultiverse.analyze.sample_experiments import compare_layers
from torchmultiverse.store import ImageList, open_images
from torchmultiverse.train import EncoderTraining, train_encoder

COLOURS = {"red": (220, 40, 40), "green": (40, 180, 60), "blue": (50, 80, 230), "yellow": (230, 210, 40)}
SIDE = 32


def squares(count: int = 1200, seed: int = 0) -> ImageList:
    """A square or a bar of one of four colours, in one of nine places, on grey."""
    rng = np.random.default_rng(seed)
    images, rows = [], []
    for _ in range(count):
        form, colour, place = rng.integers(2), rng.choice(list(COLOURS)), rng.integers(9)
        pixels = np.full((SIDE, SIDE, 3), 128, np.uint8)
        high, wide = ((10, 10), (5, 18))[form]
        y, x = (np.array(divmod(int(place), 3)) * 9 + rng.integers(0, 4, 2)).tolist()
        pixels[y : y + high, x : x + wide] = COLOURS[str(colour)]
        images.append(Image.fromarray(pixels))
        rows.append({"label": ("square", "bar")[form], "colour": str(colour), "place": f"place {place}"})
    return ImageList(images, rows, "squares")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=2500)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--size", type=int, default=16, help="of the decoders, in pixels")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--model", help="of the data; trained here by default")
    parser.add_argument("--head", default="head.3", help="layer at the end of the projector")
    parser.add_argument("--out", type=Path, default=Path(tempfile.mkdtemp()))
    arguments = parser.parse_args()
    data = squares() if arguments.data is None else open_images(arguments.data)
    model = arguments.model
    if model is None:
        training = EncoderTraining(
            method="vicreg", size=SIDE, head=(128, 128, 64), epochs=arguments.epochs, batch_size=128,
            augment=("color", "gray", "solarize") if arguments.data is None else ("crop", "flip", "color", "gray"),
        )  # fmt: skip
        model = f"ssl:{train_encoder(data, arguments.out / 'encoder', training)}"
    store = arguments.out / "features"
    run, training = (
        RunOptions(store=store),
        LayerDecoderOptions(arguments.size, "tiny", arguments.steps, 32, 2e-3, flip=False),
    )
    folders = [
        train_layer_decoder(model, data, arguments.out / layer, layer, training, run=run)
        for layer in ("trunk", arguments.head)
    ]
    decoders = [load_conditioned_decoder(folder, data, run) for folder in folders]
    found = compare_layers([ExperimentSetup(decoder, 6, 2, 25) for decoder in decoders], 48)
    for line in found.table:
        print("  ".join(f"{k}: {100 * v:.1f}" if isinstance(v, float) else f"{k}: {v}" for k, v in line.items()))
    options = SamplingOptions(count=64, samples_per_image=2, steps=25)
    for folder, decoder in zip(folders, decoders, strict=True):
        print(f"{folder.name}: {evaluate_samples(decoder, data, None, options, run).fidelity.summary}")
    head = found.table[1]
    for space in ("pixels", "features"):
        said = str(head[f"more than trunk in {space}"])
        more = float(said.partition("[")[2].partition(",")[0]) > 0  # the whole interval is above zero
        print(f"pictures of the head vary more in {space}: {'found' if more else 'NOT found'}, {said} points")


if __name__ == "__main__":
    main()
