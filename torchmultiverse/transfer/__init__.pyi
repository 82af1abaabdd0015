from .concept_levels import Concept as Concept
from .concept_levels import ConceptLevels as ConceptLevels
from .concept_levels import Level as Level
from .concept_levels import make_levels as make_levels
from .crossed import Estimate as Estimate
from .crossed import crossed_difference as crossed_difference
from .crossed import crossed_mean as crossed_mean
from .feature_statistics import FeatureStatistics as FeatureStatistics
from .ladder import Ladder as Ladder
from .ladder import LadderOptions as LadderOptions
from .ladder import climb as climb
from .ladder_classes import read_label_map as read_label_map
from .ladder_encoders import recipe_of as recipe_of
from .ladder_groups import parse_groups as parse_groups
from .ladder_record import ladder_study as ladder_study
from .log_odds import MeanLogOdds as MeanLogOdds
from .log_odds import TaskScore as TaskScore
from .log_odds import mean_log_odds as mean_log_odds
from .log_odds import odds_of as odds_of
from .log_odds import task_score as task_score
from .wordnet import Synset as Synset
from .wordnet import WordNet as WordNet
from .wordnet import read_nouns as read_nouns
from .wordnet import shipped_wordnet as shipped_wordnet

__all__ = [
    "Concept",
    "ConceptLevels",
    "Estimate",
    "FeatureStatistics",
    "Ladder",
    "LadderOptions",
    "Level",
    "MeanLogOdds",
    "Synset",
    "TaskScore",
    "WordNet",
    "climb",
    "crossed_difference",
    "crossed_mean",
    "ladder_study",
    "make_levels",
    "mean_log_odds",
    "odds_of",
    "parse_groups",
    "read_label_map",
    "read_nouns",
    "recipe_of",
    "shipped_wordnet",
    "task_score",
]
