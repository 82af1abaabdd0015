"""Corruptions of pictures: the types of ImageNet-C, and those of 3D Common Corruptions that exact depth allows."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
