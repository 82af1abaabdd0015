"""How far a representation carries: log-odds over tasks, and which widening of the training pictures pays."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
