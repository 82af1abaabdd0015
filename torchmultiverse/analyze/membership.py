"""Was a picture trained on? Baselines beside the déjà vu score, which asks what was memorized of it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.documents import Record
from torchmultiverse.errors import DatasetError, ModelError
from torchmultiverse.images import rgb
from torchmultiverse.models import torch_tools as tools
from torchmultiverse.progress import progress_bar
from torchmultiverse.stats import auc_interval, auc_of
from torchmultiverse.train import AugmentedViews


class Membership(Record):
    """How well members can be told.

    Attributes:
        auc, low, high: probability that a member's score is above a non-member's; 0.5 is chance.
        true_positive_rate: fraction of members that are found, at a false positive rate of 1 %.
        members, non_members: pictures.
    """

    auc: float
    low: float
    high: float
    true_positive_rate: float
    members: int
    non_members: int


def view_agreement(
    model: Any, images: Any, rows: NDArray[np.int64], views: int = 6, seed: int = 0, quiet: bool = False
) -> NDArray[np.float64]:
    """Return how alike the features of augmented views of each picture are: their mean cosine, (N,).

    A model was trained to make views of its own pictures alike. Source: H. Liu, J. Jia, W. Qu and N. Gong,
    *EncoderMI: membership inference against pre-trained encoders in contrastive learning*, CCS 2021, section 4.

    Args:
        model: an encoder of this package.
        images: the dataset.
        rows: which of them.
        views: of each picture, an even number.
        seed: of the views.
        quiet: show no bar.

    Raises:
        ModelError: no PyTorch encoder of this package.
    """
    import torch

    if not isinstance(model, tools.TorchModel) or model.info.preprocess is None:
        raise ModelError("membership by agreement of views needs a PyTorch encoder of this package")
    size = model.info.preprocess.size[0]
    side = round(1.25 * size)
    found = np.empty(len(rows))
    with progress_bar(quiet) as progress:
        bar = progress.add_task("views", total=len(rows))
        for start in range(0, len(rows), 64):
            part = rows[start : start + 64]
            pixels = np.stack([np.asarray(rgb(i).resize((side, side))) for i in images.iter_images(part.tolist())])
            draw = AugmentedViews(pixels, size, ("crop", "flip", "color", "gray"), 0.2, seed)
            vectors = []
            with model.computing():
                for number in range(max(1, views // 2)):
                    for view in draw(np.arange(len(part)), number):
                        features = model.forward_full(view.to(model.device)).float()
                        vectors.append(torch.nn.functional.normalize(features, dim=1))
            both = torch.stack(vectors, 1)
            cosine = both @ both.transpose(1, 2)
            count = both.shape[1]
            mean = (cosine.sum((1, 2)) - cosine.diagonal(dim1=1, dim2=2).sum(1)) / (count * (count - 1))
            found[start : start + len(part)] = mean.cpu().numpy()
            progress.advance(bar, len(part))
    return found


def infer_membership(members: NDArray[np.float64], non_members: NDArray[np.float64]) -> Membership:
    """Return how well a score tells members from non-members; higher scores speak for members.

    Args:
        members, non_members: scores, (N,) and (M,).

    Raises:
        DatasetError: none of either.
    """
    if not len(members) or not len(non_members):
        raise DatasetError("membership needs members and non-members")
    auc = auc_of(members, non_members)
    low, high = auc_interval(auc, len(members), len(non_members))
    edge = np.quantile(non_members, 0.99, method="higher")
    return Membership(
        auc=auc, low=low, high=high, true_positive_rate=float((members > edge).mean()), members=len(members),
        non_members=len(non_members),
    )  # fmt: skip
