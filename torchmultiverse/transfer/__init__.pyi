from .concept_levels import Concept as Concept
from .concept_levels import ConceptLevels as ConceptLevels
from .concept_levels import Level as Level
from .concept_levels import make_levels as make_levels
from .crossed import Estimate as Estimate
from .crossed import crossed_difference as crossed_difference
from .crossed import crossed_mean as crossed_mean
from .feature_statistics import FeatureStatistics as FeatureStatistics
from .fourier_images import FOURIER_CHANGES as FOURIER_CHANGES
from .fourier_images import FourierChange as FourierChange
from .fourier_reading import FourierOptions as FourierOptions
from .fourier_reading import FourierReading as FourierReading
from .fourier_reading import read_spectra as read_spectra
from .fourier_study import fourier_study as fourier_study
from .log_odds import MeanLogOdds as MeanLogOdds
from .log_odds import TaskScore as TaskScore
from .log_odds import mean_log_odds as mean_log_odds
from .log_odds import odds_of as odds_of
from .log_odds import task_score as task_score
from .plane import LogOdds as LogOdds
from .plane import TransferPlane as TransferPlane
from .plane import mean_log_odds_of as mean_log_odds_of
from .plane import measure_transfer as measure_transfer
from .plane_study import plane_study as plane_study
from .tasks import Task as Task
from .tasks import transfer_tasks as transfer_tasks
from .wordnet import Synset as Synset
from .wordnet import WordNet as WordNet
from .wordnet import read_nouns as read_nouns
from .wordnet import shipped_wordnet as shipped_wordnet

__all__ = [
    "FOURIER_CHANGES",
    "Concept",
    "ConceptLevels",
    "Estimate",
    "FeatureStatistics",
    "FourierChange",
    "FourierOptions",
    "FourierReading",
    "Level",
    "LogOdds",
    "MeanLogOdds",
    "Synset",
    "Task",
    "TaskScore",
    "TransferPlane",
    "WordNet",
    "crossed_difference",
    "crossed_mean",
    "fourier_study",
    "make_levels",
    "mean_log_odds",
    "mean_log_odds_of",
    "measure_transfer",
    "odds_of",
    "plane_study",
    "read_nouns",
    "read_spectra",
    "shipped_wordnet",
    "task_score",
    "transfer_tasks",
]
