from .concept_classes import MatchedClasses as MatchedClasses
from .concept_classes import match_classes as match_classes
from .concept_classes import read_synsets as read_synsets
from .concept_levels import Concept as Concept
from .concept_levels import ConceptLevels as ConceptLevels
from .concept_levels import Level as Level
from .concept_levels import make_levels as make_levels
from .concept_pictures import ConceptData as ConceptData
from .concept_pictures import LevelOptions as LevelOptions
from .concept_pictures import concept_data as concept_data
from .concept_pictures import levels_from as levels_from
from .concept_probes import ALL as ALL
from .concept_probes import ProbeProtocol as ProbeProtocol
from .concept_record import concept_study as concept_study
from .concept_record import levels_study as levels_study
from .concepts import SHOTS as SHOTS
from .concepts import ConceptOptions as ConceptOptions
from .concepts import ConceptResults as ConceptResults
from .concepts import measure_concepts as measure_concepts
from .concepts import probe_levels as probe_levels
from .crossed import Estimate as Estimate
from .crossed import crossed_difference as crossed_difference
from .crossed import crossed_mean as crossed_mean
from .domain_findings import DomainFindings as DomainFindings
from .domain_findings import DomainOptions as DomainOptions
from .domain_findings import measure_domains as measure_domains
from .domain_record import domain_study as domain_study
from .feature_statistics import FeatureStatistics as FeatureStatistics
from .fourier_images import FOURIER_CHANGES as FOURIER_CHANGES
from .fourier_images import FourierChange as FourierChange
from .fourier_page import fourier_study as fourier_study
from .fourier_reading import FourierOptions as FourierOptions
from .fourier_reading import FourierReading as FourierReading
from .fourier_reading import read_spectra as read_spectra
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
from .plane import LogOdds as LogOdds
from .plane import TransferPlane as TransferPlane
from .plane import mean_log_odds_of as mean_log_odds_of
from .plane import measure_transfer as measure_transfer
from .plane_page import plane_study as plane_study
from .tasks import Task as Task
from .tasks import transfer_tasks as transfer_tasks
from .wordnet import Synset as Synset
from .wordnet import WordNet as WordNet
from .wordnet import read_nouns as read_nouns
from .wordnet import shipped_wordnet as shipped_wordnet

__all__ = [
    "ALL",
    "FOURIER_CHANGES",
    "SHOTS",
    "Concept",
    "ConceptData",
    "ConceptLevels",
    "ConceptOptions",
    "ConceptResults",
    "DomainFindings",
    "DomainOptions",
    "Estimate",
    "FeatureStatistics",
    "FourierChange",
    "FourierOptions",
    "FourierReading",
    "Ladder",
    "LadderOptions",
    "Level",
    "LevelOptions",
    "LogOdds",
    "MatchedClasses",
    "MeanLogOdds",
    "ProbeProtocol",
    "Synset",
    "Task",
    "TaskScore",
    "TransferPlane",
    "WordNet",
    "climb",
    "concept_data",
    "concept_study",
    "crossed_difference",
    "crossed_mean",
    "domain_study",
    "fourier_study",
    "ladder_study",
    "levels_from",
    "levels_study",
    "make_levels",
    "match_classes",
    "mean_log_odds",
    "mean_log_odds_of",
    "measure_concepts",
    "measure_domains",
    "measure_transfer",
    "odds_of",
    "parse_groups",
    "plane_study",
    "probe_levels",
    "read_label_map",
    "read_nouns",
    "read_spectra",
    "read_synsets",
    "recipe_of",
    "shipped_wordnet",
    "task_score",
    "transfer_tasks",
]
