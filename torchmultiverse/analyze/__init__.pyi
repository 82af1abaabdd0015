from .analysis import Alike as Alike
from .analysis import Analysis as Analysis
from .analysis import Budget as Budget
from .analysis import analyse as analyse
from .analysis import paint as paint
from .analysis import painting as painting
from .analysis import remember as remember
from .depth import Cut as Cut
from .depth import Depths as Depths
from .depth import Gap as Gap
from .geometry import Shape as Shape
from .memorization import Memory as Memory
from .memorization import memory as memory
from .mismatch import Misalignment as Misalignment
from .mismatch import Recipe as Recipe
from .mismatch import misalignment as misalignment
from .mismatch import read_recipe as read_recipe
from .portraits import Portrait as Portrait
from .portraits import grid as grid
from .portraits import pixels_of as pixels_of
from .portraits import portrait as portrait
from .portraits import sitter as sitter
from .portraits import train_on_layer as train_on_layer
from .probes import PROBES as PROBES
from .rcdm import sample as sample
from .studies import Studies as Studies
from .studies import ask as ask
from .studio import Studio as Studio
from .studio import Study as Study
from .sweeps import Sweep as Sweep
from .sweeps import sweep as sweep
from .withheld import Sets as Sets
from .withheld import draw_sets as draw_sets

__all__ = [
    "PROBES",
    "Alike",
    "Analysis",
    "Budget",
    "Cut",
    "Depths",
    "Gap",
    "Memory",
    "Misalignment",
    "Portrait",
    "Recipe",
    "Sets",
    "Shape",
    "Studies",
    "Studio",
    "Study",
    "Sweep",
    "analyse",
    "ask",
    "draw_sets",
    "grid",
    "memory",
    "misalignment",
    "paint",
    "painting",
    "pixels_of",
    "portrait",
    "read_recipe",
    "remember",
    "sample",
    "sitter",
    "sweep",
    "train_on_layer",
]
