"""The live explorer: turn a factor, watch the picture and what several models say of it."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
