"""How far a representation carries: unseen concepts, unseen combinations, and what to render and train on."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
