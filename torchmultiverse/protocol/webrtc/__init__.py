"""One WebRTC connection with one data channel and at most one video, the same over either of two stacks."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
