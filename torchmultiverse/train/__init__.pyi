from .augment import AugmentedViews as AugmentedViews
from .autoencoder import SparseAutoencoder as SparseAutoencoder
from .autoencoder import kept_autoencoder as kept_autoencoder
from .autoencoder import train_autoencoder as train_autoencoder
from .classifier import TrainedClassifier as TrainedClassifier
from .classifier import fit_classifier as fit_classifier
from .classifier import train_classifier as train_classifier
from .clip import train_clip as train_clip
from .decoder import train_decoder as train_decoder
from .finetuning import finetune as finetune
from .finetuning import trained_on as trained_on
from .fourier import AMPLITUDE_FACTORS as AMPLITUDE_FACTORS
from .fourier import FourierAugmentation as FourierAugmentation
from .fourier import frequencies as frequencies
from .fourier import phase_shifted as phase_shifted
from .fourier import pictures_of as pictures_of
from .fourier import random_mask as random_mask
from .fourier import random_mixture as random_mixture
from .fourier import rescaled as rescaled
from .fourier import spectrum_of as spectrum_of
from .fourier import swapped as swapped
from .loggers import LOGGERS as LOGGERS
from .loggers import MlflowLogger as MlflowLogger
from .loggers import RunLogger as RunLogger
from .loggers import TensorBoardLogger as TensorBoardLogger
from .loggers import WandbLogger as WandbLogger
from .loggers import log_to as log_to
from .loggers import open_loggers as open_loggers
from .loop import Loop as Loop
from .loop import LoopSettings as LoopSettings
from .loop import Objective as Objective
from .settings import SMALL as SMALL
from .settings import AutoencoderTraining as AutoencoderTraining
from .settings import ClassifierTraining as ClassifierTraining
from .settings import ClipTraining as ClipTraining
from .settings import DiffusionTraining as DiffusionTraining
from .settings import EncoderTraining as EncoderTraining
from .settings import FineTuning as FineTuning
from .settings import TokenTraining as TokenTraining
from .settings import TrainingSettings as TrainingSettings
from .settings import classifier_training as classifier_training
from .settings import parse_setting as parse_setting
from .settings import parse_settings as parse_settings
from .ssl import checkpoints as checkpoints
from .ssl import train_encoder as train_encoder
from .token_encoder import CaptionPairs as CaptionPairs
from .token_encoder import train_tokens as train_tokens

__all__ = [
    "AMPLITUDE_FACTORS",
    "LOGGERS",
    "SMALL",
    "AugmentedViews",
    "AutoencoderTraining",
    "CaptionPairs",
    "ClassifierTraining",
    "ClipTraining",
    "DiffusionTraining",
    "EncoderTraining",
    "FineTuning",
    "FourierAugmentation",
    "Loop",
    "LoopSettings",
    "MlflowLogger",
    "Objective",
    "RunLogger",
    "SparseAutoencoder",
    "TensorBoardLogger",
    "TokenTraining",
    "TrainedClassifier",
    "TrainingSettings",
    "WandbLogger",
    "checkpoints",
    "classifier_training",
    "finetune",
    "fit_classifier",
    "frequencies",
    "kept_autoencoder",
    "log_to",
    "open_loggers",
    "parse_setting",
    "parse_settings",
    "phase_shifted",
    "pictures_of",
    "random_mask",
    "random_mixture",
    "rescaled",
    "spectrum_of",
    "swapped",
    "train_autoencoder",
    "train_classifier",
    "train_clip",
    "train_decoder",
    "train_encoder",
    "train_tokens",
    "trained_on",
]
