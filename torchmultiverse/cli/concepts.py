"""Commands that ask how far a representation carries to classes that were not learnt."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from torchmultiverse.cli import completion
from torchmultiverse.cli.groups import analyze_group, examples
from torchmultiverse.cli.options import (
    Data,
    Features,
    Group,
    Label,
    Limit,
    Out,
    Seed,
    features_folder,
    images_of,
    option_sets,
    tabular,
)
from torchmultiverse.cli.output import place
from torchmultiverse.cli.study_out import ROWS, finish

if TYPE_CHECKING:
    from torchmultiverse.transfer import LevelOptions

Models = Annotated[
    list[str],
    typer.Argument(
        help="Model strings, see 'models list'; NAME=STRING is called NAME; * and @FILE work.",
        autocompletion=completion.models,
    ),
]


@dataclass(frozen=True)
class Classes:
    """Which classes were learnt, and how the others become levels."""

    seen: Annotated[
        str,
        typer.Option(
            help="What was learnt: imagenet1k; a file of names or synsets, a line each; COLUMN=LEVEL,…: the classes of "
            "the rows that have such a level; or names, with commas."
        ),
    ] = "imagenet1k"
    levels: Annotated[
        str | None,
        typer.Option(
            help="How many, or the file 'levels.json' of another run. Default: 5, or fewer where classes are few."
        ),
    ] = None
    per_level: Annotated[
        int | None, typer.Option(min=2, help="Classes in each level. Default: as many as there are.")
    ] = None
    label: Label = None
    synsets: Annotated[
        Path | None,
        typer.Option(
            help="What classes mean: CSV with the columns class and synset (n02124075, or a word of one concept), or "
            "parent for a concept that is not there; or a JSON object. Default: classes of this package, ids and words."
        ),
    ] = None
    wordnet: Annotated[
        Path | None,
        typer.Option(help="All nouns: data.noun of WordNet. Default: what is above ImageNet-1k and the classes here."),
    ] = None

    def options(self) -> LevelOptions:
        """Return them as options of `torchmultiverse.transfer`."""
        from torchmultiverse.transfer import LevelOptions

        levels = int(self.levels) if self.levels is not None and self.levels.isdigit() else self.levels
        return LevelOptions(self.seen, levels, self.per_level, self.label, self.synsets, self.wordnet)


@dataclass(frozen=True)
class Probes:
    """How probes are trained."""

    shots: Annotated[
        str, typer.Option(help="Pictures of each class that are learnt from; what classes do not have is left out.")
    ] = "1,2,4,8,16,32,64,128,all"
    seeds: Annotated[int, typer.Option(min=1, help="Draws of validation pictures and shots.")] = 5
    solver: Annotated[
        Literal["lbfgs", "sgd"],
        typer.Option(help="lbfgs: penalty chosen on 20 %. sgd: as in the source, slower: 30 trials of 100 epochs."),
    ] = "lbfgs"
    validation: Annotated[
        Literal["shots", "full", "none"],
        typer.Option(
            help="What chooses the penalty of few shots: shots, as many pictures again; full, 20 % of all, as in the "
            "source; none, a fixed penalty."
        ),
    ] = "shots"
    layer: Annotated[
        list[str] | None,
        typer.Option(
            "--layer",
            help="Layer, as 'analyze layers' names it; may be repeated. Default: the penultimate of classifiers, the "
            "trunk of encoders trained here, else what the model gives.",
        ),
    ] = None
    equal: Annotated[
        bool,
        typer.Option(
            "--equal/--no-equal",
            help="Each class has as many pictures, and as many of each combination of factors.",
        ),
    ] = True
    factor: Annotated[
        list[str] | None,
        typer.Option(
            "--factor",
            help="Column to hold equal and to ask about; may be repeated. Default: all that classes share.",
            autocompletion=completion.columns,
        ),
    ] = None
    baseline: Annotated[
        str | None, typer.Option(help="Name of the model that others are compared with. Default: the first.")
    ] = None
    appearance: Annotated[
        bool, typer.Option("--appearance/--no-appearance", help="What a far appearance costs beside a far meaning.")
    ] = True
    group: Group = "auto"


@analyze_group.command(
    "concepts",
    epilog=examples(
        "torchmultiverse analyze concepts timm:resnet50 timm:vit_small_patch16_224.dino --data data/animals",
        "torchmultiverse analyze concepts ssl:encoder --data data/objects --seen trained.txt --shots 1,8,all",
        "torchmultiverse analyze concepts timm:resnet50 --data photos --synsets classes.csv --seeds 3",
    ),
)
@tabular(ROWS)
@option_sets
def concepts(
    models: Models,
    data: Data,
    classes: Classes,
    probes: Probes,
    limit: Limit = None,
    out: Out = Path("concepts"),
    seed: Seed = 0,
    features: Features = None,
) -> None:
    """Say how well models tell classes apart that they never learnt, nearer and farther in meaning (WordNet).

    Classes are ranked by their similarity to those that were learnt and cut into levels; at each level probes learn
    from few and from all pictures. With factors: pictures are held equal over classes, accuracy is broken down by
    factor, and what a change of appearance costs stands beside what distance in meaning costs. Finished probes are
    kept: what is interrupted goes on with the same command.
    """
    from torchmultiverse.analyze import RunOptions
    from torchmultiverse.models import model_strings
    from torchmultiverse.transfer import ConceptOptions, ProbeProtocol, concept_study, measure_concepts

    options = ConceptOptions(
        classes=classes.options(),
        shots=_shots(probes.shots),
        protocol=ProbeProtocol(probes.solver, probes.validation, probes.seeds, seed),
        layers=probes.layer, group=probes.group, equal=probes.equal, factors=probes.factor, baseline=probes.baseline,
        appearance=probes.appearance,
    )  # fmt: skip
    images = images_of(data, limit, seed)
    run = RunOptions(seed, features_folder(features))
    found = measure_concepts(model_strings(models), images, options, run, out)
    found.data.levels.save(out)
    finish(concept_study(found, images), out, seed)


def _shots(text: str) -> list[int]:
    from torchmultiverse.transfer import ALL

    found = []
    for word in text.split(","):
        word = word.strip()
        if word == "all":
            found.append(ALL)
        elif word.isdigit() and int(word):
            found.append(int(word))
        else:
            raise typer.BadParameter(
                f"'{word}': numbers of pictures with commas, and 'all', as 1,8,64,all", param_hint="--shots"
            )
    return found


@analyze_group.command(
    "concept-levels",
    epilog=examples(
        "torchmultiverse analyze concept-levels data/animals",
        "torchmultiverse analyze concept-levels names.txt --seen Zebra,Crow,Dolphin --levels 3 --out levels",
    ),
)
@tabular(ROWS)
@option_sets
def concept_levels(
    source: Annotated[
        Path,
        typer.Argument(
            help="Folder of a dataset or of images in folders of classes; or a file of names, a line each, or of names "
            "and synsets (CSV, JSON).",
            autocompletion=completion.datasets,
        ),
    ],
    classes: Classes,
    out: Out = Path("levels"),
) -> None:
    """Rank classes by how near they are in meaning to those that were learnt, and cut them into levels; no model runs.

    Writes levels.json, which 'analyze concepts --levels' takes, and a page.
    """
    from torchmultiverse.transfer import levels_from, levels_study

    found, matched = levels_from(source, classes.options())
    found.save(out)
    told = matched.told(12)
    finish(levels_study(found, source.name, [told] if told else []), out, 0)
    place("levels", out / found.file)
