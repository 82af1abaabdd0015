from .correlation import MIN_PAIRS as MIN_PAIRS
from .correlation import Pearson as Pearson
from .correlation import pearson as pearson
from .correlation import unequal_spread as unequal_spread
from .difference import MIN_CLUSTERS as MIN_CLUSTERS
from .difference import Paired as Paired
from .difference import format_difference as format_difference
from .difference import mean_interval as mean_interval
from .difference import paired_interval as paired_interval
from .difference import unpaired_interval as unpaired_interval
from .intervals import LEVEL as LEVEL
from .intervals import RESAMPLES as RESAMPLES
from .intervals import Contrast as Contrast
from .intervals import Interval as Interval
from .intervals import Intervals as Intervals
from .intervals import coded as coded
from .intervals import contrast as contrast
from .intervals import expanded_tail as expanded_tail
from .intervals import resampling_weights as resampling_weights
from .intervals import student_quantile as student_quantile
from .intervals import wilson as wilson
from .lower_tail import LowerTailTest as LowerTailTest
from .power import PowerQuestion as PowerQuestion
from .power import detectable_drop as detectable_drop
from .power import pairs_needed as pairs_needed
from .reliability import BINS as BINS
from .reliability import Calibration as Calibration
from .reliability import calibration_of as calibration_of
from .roc import auc_interval as auc_interval
from .roc import auc_of as auc_of
from .significance import POWER as POWER
from .significance import detectable as detectable
from .significance import holm as holm
from .significance import mcnemar as mcnemar
from .significance import sign_flip as sign_flip
from .trainings import OverTrainings as OverTrainings
from .trainings import over_trainings as over_trainings
from .weighted import LevelPart as LevelPart
from .weighted import WeightedMean as WeightedMean
from .weighted import mean_of_levels as mean_of_levels

__all__ = [
    "BINS",
    "LEVEL",
    "MIN_CLUSTERS",
    "MIN_PAIRS",
    "POWER",
    "RESAMPLES",
    "Calibration",
    "Contrast",
    "Interval",
    "Intervals",
    "LevelPart",
    "LowerTailTest",
    "OverTrainings",
    "Paired",
    "Pearson",
    "PowerQuestion",
    "WeightedMean",
    "auc_interval",
    "auc_of",
    "calibration_of",
    "coded",
    "contrast",
    "detectable",
    "detectable_drop",
    "expanded_tail",
    "format_difference",
    "holm",
    "mcnemar",
    "mean_interval",
    "mean_of_levels",
    "over_trainings",
    "paired_interval",
    "pairs_needed",
    "pearson",
    "resampling_weights",
    "sign_flip",
    "student_quantile",
    "unequal_spread",
    "unpaired_interval",
    "wilson",
]
