"""Bytes and messages of Pixel Streaming and of the two dialects spoken over it. Sans-I/O."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
