"""Engines: whatever turns a scene into a frame. The contract, the codec, and (imported where used) the engines."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
