"""Commands that train: encoders, decoders of representations, classifiers; and that fine-tune CLIP models."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from torchmultiverse.cli import completion
from torchmultiverse.cli.evaluate import BOARD, board_table
from torchmultiverse.cli.groups import examples, train_group
from torchmultiverse.cli.options import (
    AcceptedLicense,
    Data,
    Dataset,
    Features,
    Images,
    Label,
    ModelString,
    Out,
    Save,
    Seed,
    Settings,
    SplitsFile,
    features_folder,
    loggable,
    option_sets,
    refuse_idle,
    tabular,
)
from torchmultiverse.cli.output import for_people, place, print_table, save_document, say
from torchmultiverse.cli.study_out import ROWS, finish, show_study, with_provenance
from torchmultiverse.study import Section
from torchmultiverse.tables import Table, interval, number, share, text
from torchmultiverse.train import ClipTraining, EncoderTraining, FineTuning, TokenTraining

if TYPE_CHECKING:
    from torchmultiverse.analyze import LayerDecoderOptions
    from torchmultiverse.models import TokenModel

_HELD_OUT = (
    number("kept", "C"), text("held_out"), number("trained_on"), share("seen"),
    interval("accuracy", "held-out images"), interval("control"),
)  # fmt: skip


@train_group.command(
    "ssl",
    epilog=examples(
        "torchmultiverse train ssl data/animals --method vicreg --epochs 50 --out encoder",
        "torchmultiverse train ssl data/animals --method trex --head 2048-256 --unseen 10 --out encoder",
        "torchmultiverse train ssl data/animals --from encoder --method supervised --epochs 20 --out tuned",
    ),
)
@loggable
@option_sets
def ssl(
    context: typer.Context,
    data: Images,
    out: Out,
    training: EncoderTraining,
    label: Label = None,
    splits: SplitsFile = None,
    of: Annotated[Literal["A", "B"], typer.Option(help="With --splits: the model that sees A, or B.")] = "A",
    unseen: Annotated[
        list[str] | None,
        typer.Option(
            help="Class of --label that training does not see, may be repeated; or a number: so many, drawn by --seed. "
            "'analyze transfer' asks for them. Default: all are seen."
        ),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="Folder of an encoder, or FOLDER@EPOCH, of the same backbone and head, whose weights are the first "
            "ones: fine-tuning; with --head none its trunk alone. Default: random weights.",
        ),
    ] = None,
) -> None:
    """Train an encoder with a projector, self-supervised or supervised; it is loaded as ssl:FOLDER."""
    from torchmultiverse.analyze import HeldOutSplits
    from torchmultiverse.store import open_images
    from torchmultiverse.train import train_encoder

    if splits is None:
        refuse_idle(context, ["of"], "--splits FILE, which says who sees what")
    pictures = open_images(data)
    divided = None if splits is None else HeldOutSplits.load_for(splits, pictures)
    rows = None if divided is None else divided.seen_by(of)
    folder = train_encoder(pictures, out, training, label, rows, unseen=_classes(unseen), start=start)
    if divided is not None:  # so that what it memorized can be asked for without saying again what it saw
        (divided if of == "A" else divided.exchanged()).save(folder / "sets.json")
    place("encoder", f"ssl:{folder}")


def _classes(named: list[str] | None) -> list[str] | int:
    """Return names of classes, or the one number that was given in their place."""
    return int(named[0]) if named and len(named) == 1 and named[0].isdecimal() else named or []


@train_group.command("clip", epilog=examples("torchmultiverse train clip data/spar --steps 480 --out model"))
@loggable
@option_sets
def clip(dataset: Dataset, out: Out, training: ClipTraining) -> None:
    """Train a small image-text model from scratch on captioned images; it is loaded as tiny:FOLDER."""
    from torchmultiverse.store import open_dataset
    from torchmultiverse.train import train_clip

    place("model", f"tiny:{train_clip(open_dataset(dataset), out, training)}")


@train_group.command(
    "finetune",
    epilog=examples(
        "torchmultiverse train finetune data/ar4t --model open_clip:ViT-B-32-quickgelu/openai --out tuned",
        "torchmultiverse train finetune data/ar4t --model tiny:small --test data/vg_relation --out tuned",
    ),
)
@tabular(BOARD)
@loggable
@option_sets
def finetune(
    dataset: Dataset,
    model: Annotated[
        str, typer.Option(help="open_clip:ARCH/PRETRAINED or tiny:FOLDER.", autocompletion=completion.models)
    ],
    out: Out,
    training: FineTuning,
    test: Annotated[
        list[Path] | None,
        typer.Option(
            help="Dataset to score before and after, without what was trained on; may be repeated. Default: this one."
        ),
    ] = None,
    features: Features = None,
) -> None:
    """Fine-tune a CLIP model on captioned pictures, score it before and after, and make a page of what changed.

    A run that was interrupted goes on; one that is finished is scored without training anew, one of other settings is
    replaced, which is said. On ARO, Winoground and SPAR (data import) the page has the published table of fine-tuning
    on PUG: AR4T beside one's own numbers.
    """
    from torchmultiverse.errors import DatasetError
    from torchmultiverse.evaluation import composition_results, composition_study
    from torchmultiverse.report import write_report
    from torchmultiverse.store import open_dataset, open_images, without
    from torchmultiverse.train import finetune as tune
    from torchmultiverse.train import trained_on

    opened = open_dataset(dataset)
    rows = trained_on(opened, training.split, training.captions)
    ids = opened.table(["scene_id"])["scene_id"].to_pylist()
    seen = {ids[row] for row in rows}
    # Before anything is trained: a score on pictures of the training says what was remembered.
    asked = [open_images(folder) for folder in test or [dataset]]
    try:
        tests = [without(pictures, seen) for pictures in asked]
    except DatasetError as error:
        raise DatasetError(
            f"{error}: every picture would be trained on. Give the dataset a split 'test', or name another with --test"
        ) from None
    tuned = tune(opened, model, out, training)
    say(f"fine-tuned: {tuned}")
    folders = [(pictures, out / f"results{k or ''}") for k, pictures in enumerate(tests)]
    _remove_results(out, {folder for _, folder in folders})
    found = composition_results(folders, [model, tuned], seed=training.seed, embeddings=features_folder(features))
    for pictures in tests:
        say(f"scored on {len(pictures):,} pictures that were not trained on")
    names = [facts.name for facts in found[0][0].provenance.models][:2]
    study = with_provenance(
        composition_study(found, names, training.seed, "Before and after fine-tuning on captions"), training.seed
    )
    study.save(out)
    if for_people():
        show_study(study)
    print_table(*(board_table(result, names) for result, _ in found), people="")
    place("page", write_report(study, out))


def _remove_results(out: Path, wanted: set[Path]) -> None:
    """Remove results that an earlier call left, with other sets to test on: they are of another model."""
    for folder in sorted(out.glob("results*")):
        number = folder.name.removeprefix("results")
        ours = not number or number.isdecimal()
        if ours and folder not in wanted and not folder.is_symlink() and (folder / "results.parquet").is_file():
            shutil.rmtree(folder)
            say(f"removed: {folder}, results of an earlier call")


@train_group.command(
    "tokens",
    epilog=examples(
        "torchmultiverse train tokens data/minimal_pairs --epochs 60 --layers 2 --width 64 --heads 4 --size 64 "
        "--patch 8 --rate 1e-3 --out tokens"
    ),
)
@tabular(ROWS)
@loggable
@option_sets
def tokens(
    dataset: Dataset,
    out: Out,
    training: TokenTraining,
    encoder: Annotated[
        list[str] | None,
        typer.Option(help="tokens, tokens-plain or patches; may be repeated. Default: all three, to compare."),
    ] = None,
    pairs: Annotated[
        str, typer.Option(help="Name or path of a protocol of the kind minimal_pairs: what is trained on and asked.")
    ] = "minimal_pairs",
) -> None:
    """Train encoders of objects and of patches on minimal pairs, and compare them on the test split. Research.

    Tokens are objects and their relations from exact masks: the dataset is rendered with the pass 'mask' and has a
    split 'test'. 'tokens' has the additive attention of the source, 'tokens-plain' not, 'patches' sees no masks.
    """
    from torchmultiverse.evaluation import composition_results, composition_study, minimal_protocol
    from torchmultiverse.models import TOKEN_KINDS
    from torchmultiverse.store import MaskedImages, columns_of, open_dataset
    from torchmultiverse.train import CaptionPairs, train_tokens

    kinds = [kind for kind in TOKEN_KINDS if encoder is None or kind in encoder]
    if unknown := sorted(set(encoder or ()) - set(TOKEN_KINDS)):
        raise typer.BadParameter(f"'{unknown[0]}' is none of {', '.join(TOKEN_KINDS)}", param_hint="--encoder")
    images = MaskedImages(open_dataset(dataset))
    columns = columns_of(images)
    tasks = minimal_protocol(pairs, "train").compile(columns)
    tested = minimal_protocol(pairs, "test")
    tested.compile(columns)  # before anything is trained: what cannot be tested is told
    shown = [CaptionPairs(task.name, task.rows.reshape(-1, 2), task.caption_pairs) for task in tasks]
    models = [train_tokens(images, shown, out / kind, training, kind) for kind in kinds]
    found = composition_results([(images, out / "results")], models, protocol=tested, blind=False, seed=training.seed)
    names = [model.info.name for model in models]
    study = composition_study(found, names, training.seed, "Objects or patches as tokens: minimal pairs (research)")
    finish(study.model_copy(update={"sections": (*study.sections, encoder_section(models))}), out, training.seed)


@train_group.command(
    "held-out", epilog=examples("torchmultiverse train held-out data/animals --factor world_name --count 14 --keep 0")
)
@tabular(_HELD_OUT)
@loggable
def held_out(
    dataset: Dataset,
    factor: Annotated[
        str,
        typer.Option(help="Column whose levels are held out, such as world_name.", autocompletion=completion.columns),
    ],
    level: Annotated[list[str] | None, typer.Option(help="Level to hold out; may be repeated.")] = None,
    count: Annotated[int | None, typer.Option(min=1, help="Or so many levels, drawn at random.")] = None,
    keep: Annotated[
        list[int] | None, typer.Option(help="Animals seen at all levels (C); may be repeated. Default: 0.")
    ] = None,
    recipe: Annotated[str, typer.Option(help="published (ResNet-50), small (for a laptop), or a file.")] = "small",
    setting: Settings = None,
    seed: Seed = 0,
    save: Save = None,
) -> None:
    """Train classifiers that never saw some levels, and say how they do there, beside a control that saw all."""
    from torchmultiverse.evaluation import HeldOutRecord
    from torchmultiverse.evaluation import held_out as measure
    from torchmultiverse.train import classifier_training, parse_settings

    if (level is None) == (count is None):
        raise typer.BadParameter("name levels with --level, or how many with --count", param_hint="--level")
    held = list(level) if level else int(count or 1)
    training = parse_settings(classifier_training(recipe), setting or ())
    found = [measure(dataset, factor, held, keep=c, recipe=training, seed=seed) for c in keep or [0]]
    rows = Table(_HELD_OUT)
    for f in found:
        control = (f.control, f.control_low, f.control_high)
        rows.add(f.keep, f.held_out, f.trained, f.seen, (f.accuracy, f.low, f.high), control)
    print_table(rows)
    say("control: trained on as many images of each animal from all levels, tested on the same images", "dim")
    save_document(save, HeldOutRecord(results=tuple(found)))


@dataclass(frozen=True)
class Decoding:
    """What a decoder is and how it is trained."""

    size: Annotated[int, typer.Option(min=8, max=256, help="Side of the images in pixels.")] = 64
    preset: Annotated[
        str,
        typer.Option(help="tiny or small, for two cores; adm-64, adm-128, adm-256: published networks of these sizes."),
    ] = "small"
    steps: Annotated[int, typer.Option(min=1, help="Of training.")] = 10_000
    batch: Annotated[int, typer.Option(min=1, help="Images per step.")] = 64
    rate: Annotated[float, typer.Option(help="Learning rate.")] = 1e-4
    conditioning: Annotated[str, typer.Option(help="add_emb (as released), cond_bn (as in the paper) or none.")] = (
        "add_emb"
    )
    flip: Annotated[bool, typer.Option("--flip/--no-flip", help="Mirror images half of the time, as published.")] = True

    def options(self) -> LayerDecoderOptions:
        """Return them as training takes them."""
        from torchmultiverse.analyze import LayerDecoderOptions

        return LayerDecoderOptions(
            self.size, self.preset, self.steps, self.batch, self.rate, self.conditioning, self.flip
        )


@train_group.command(
    "decoder",
    epilog=examples(
        "torchmultiverse train decoder ssl:encoder --layer trunk --data data/animals --out decoder",
        "torchmultiverse train decoder ssl:encoder --layer trunk --data data/animals --size 128 --enlarge-from 64 "
        "--out enlarger",
    ),
)
@loggable
@option_sets
def decoder(
    model: ModelString,
    data: Data,
    out: Out,
    decoding: Decoding,
    layer: Annotated[str | None, typer.Option(help="As 'analyze layers' names it. Default: the last.")] = None,
    enlarge_from: Annotated[
        int, typer.Option(min=0, help="Side of small images that it enlarges; 0: it draws from the vector alone.")
    ] = 0,
    splits: SplitsFile = None,
    accept_license: AcceptedLicense = None,
    seed: Seed = 0,
    features: Features = None,
) -> None:
    """Train a decoder from a layer's vectors to images (RCDM). With --splits it learns the public images alone.

    With --enlarge-from N it learns to enlarge images of N pixels that another decoder of the layer draws.
    """
    from torchmultiverse.analyze import HeldOutSplits, RunOptions, train_layer_decoder
    from torchmultiverse.store import open_images

    images = open_images(data)
    rows = None if splits is None else HeldOutSplits.load_for(splits, images).rows["public"]
    how = replace(decoding.options(), enlarges=enlarge_from)
    run = RunOptions(seed, features_folder(features))
    folder = train_layer_decoder(model, images, out, layer, how, rows, accept_license, run)
    place("decoder", folder)


def encoder_section(models: Sequence[TokenModel]) -> Section:
    """Return how large each encoder is, and what the additive attention adds by rank, as learnt."""
    every = [model.rank_weights() for model in models]
    table = tuple(
        {
            "encoder": model.info.name, "numbers learnt": model.info.parameters, "shape": model.info.about,
            **{f"rank {rank}": None if weights is None else float(weights[rank]) for rank in range(1, 8)},
        }
        for model, weights in zip(models, every, strict=True)
    )  # fmt: skip
    return Section(
        title="The encoders",
        about="Rank: what is added to the attention of a token to another: 7 from subject to object, 6 from an object "
        "to its relation, 5 from a relation to its object, 4 to 1 to the nearest objects. 1 to 7 before training.",
        table=table,
    )
