from .judgement import Judgement as Judgement
from .judgement import judged as judged
from .object_energy import ObjectEnergy as ObjectEnergy
from .regions import Regions as Regions
from .regions import regions_of as regions_of
from .subset_probes import SubsetAccuracy as SubsetAccuracy
from .subset_probes import subset_accuracies as subset_accuracies
from .trust_options import TrustOptions as TrustOptions
from .trust_study import study_trust as study_trust
from .typicality import Typicality as Typicality
from .typicality import noise_errors as noise_errors

__all__ = [
    "Judgement",
    "ObjectEnergy",
    "Regions",
    "SubsetAccuracy",
    "TrustOptions",
    "Typicality",
    "judged",
    "noise_errors",
    "regions_of",
    "study_trust",
    "subset_accuracies",
]
