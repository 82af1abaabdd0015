from .crossed import Estimate as Estimate
from .crossed import crossed_difference as crossed_difference
from .crossed import crossed_mean as crossed_mean
from .feature_statistics import FeatureStatistics as FeatureStatistics
from .log_odds import MeanLogOdds as MeanLogOdds
from .log_odds import TaskScore as TaskScore
from .log_odds import mean_log_odds as mean_log_odds
from .log_odds import odds_of as odds_of
from .log_odds import task_score as task_score

__all__ = [
    "Estimate",
    "FeatureStatistics",
    "MeanLogOdds",
    "TaskScore",
    "crossed_difference",
    "crossed_mean",
    "mean_log_odds",
    "odds_of",
    "task_score",
]
