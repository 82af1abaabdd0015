"""One adapter per model family; preprocessing is declared and travels with the model."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
