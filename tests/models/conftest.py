"""One thread per process: small models gain nothing from two, and waiting threads starve whatever else runs."""

import contextlib

with contextlib.suppress(ImportError):
    import torch

    torch.set_num_threads(1)
