"""Training: contrastive, self-supervised, fine-tuning, classifiers from scratch, decoders of representations."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
