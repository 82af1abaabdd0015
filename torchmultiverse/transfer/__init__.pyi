from .concept_levels import Concept as Concept
from .concept_levels import ConceptLevels as ConceptLevels
from .concept_levels import Level as Level
from .concept_levels import make_levels as make_levels
from .wordnet import Synset as Synset
from .wordnet import WordNet as WordNet
from .wordnet import read_nouns as read_nouns
from .wordnet import shipped_wordnet as shipped_wordnet

__all__ = [
    "Concept",
    "ConceptLevels",
    "Level",
    "Synset",
    "WordNet",
    "make_levels",
    "read_nouns",
    "shipped_wordnet",
]
