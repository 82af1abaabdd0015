"""Occluders: fence, leaves, bars, an object and the picture's edge, each so that it hides a chosen share.

The share is of the pixels at which the first character would be seen without the occluder. An occluder grows from
hiding nothing to hiding all, and the growth is found by bisection, measured by masks of the shapes that are drawn.
"""

from torchmultiverse.engines.builtin.occlusion.search import OCCLUDERS, Occluded, Occlusion, asked

__all__ = ["OCCLUDERS", "Occluded", "Occlusion", "asked"]
