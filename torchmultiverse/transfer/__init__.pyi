from .concept_classes import MatchedClasses as MatchedClasses
from .concept_classes import match_classes as match_classes
from .concept_classes import read_synsets as read_synsets
from .concept_data import ConceptData as ConceptData
from .concept_data import LevelOptions as LevelOptions
from .concept_data import concept_data as concept_data
from .concept_data import levels_from as levels_from
from .concept_levels import Concept as Concept
from .concept_levels import ConceptLevels as ConceptLevels
from .concept_levels import Level as Level
from .concept_levels import make_levels as make_levels
from .concept_probes import ALL as ALL
from .concept_probes import ProbeProtocol as ProbeProtocol
from .concept_study import concept_study as concept_study
from .concept_study import levels_study as levels_study
from .concepts import SHOTS as SHOTS
from .concepts import ConceptOptions as ConceptOptions
from .concepts import ConceptResults as ConceptResults
from .concepts import measure_concepts as measure_concepts
from .concepts import probe_levels as probe_levels
from .wordnet import Synset as Synset
from .wordnet import WordNet as WordNet
from .wordnet import read_nouns as read_nouns
from .wordnet import shipped_wordnet as shipped_wordnet

__all__ = [
    "ALL",
    "SHOTS",
    "Concept",
    "ConceptData",
    "ConceptLevels",
    "ConceptOptions",
    "ConceptResults",
    "Level",
    "LevelOptions",
    "MatchedClasses",
    "ProbeProtocol",
    "Synset",
    "WordNet",
    "concept_data",
    "concept_study",
    "levels_from",
    "levels_study",
    "make_levels",
    "match_classes",
    "measure_concepts",
    "probe_levels",
    "read_nouns",
    "read_synsets",
    "shipped_wordnet",
]
