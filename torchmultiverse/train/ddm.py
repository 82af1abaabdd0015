"""Domain disentanglement: two terms by which any training of an encoder keeps a domain in a prefix, out of the rest.

The first ``k`` numbers of a representation ``h``, the prefix ``hᵈ``, are pulled together within a domain and apart
across domains (`domain_variance`, maximised). A critic is shown the rest, ``hᵖ``, with its domain and with the domain
of another image, and learns to tell which is which; the distance that it finds (`critic_gap`, Wasserstein's, with a
gradient penalty) is what the encoder makes smaller. What the training itself learns, it learns on ``hᵖ`` alone.

Source: N. Kalibhat, *Adapting self-supervised representations to multi-domain setups*, 2023, arXiv 2309.03999, section
2.4, eq. 2.1. The source prints the encoder as maximising all three terms; a critic that makes the gap large, as is
usual, must face an encoder that makes it small, and what it calls the self-supervised term is a likelihood: minus the
loss. Temperature, width and steps of the critic and the weight of its penalty are not given there and are settings
here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.errors import DatasetError, ModelError, SettingError
from torchmultiverse.train.loss_terms import EpochMeans, TrunkVectors

if TYPE_CHECKING:
    import torch

    from torchmultiverse.train.settings import EncoderTraining

_BETAS = (0.5, 0.9)  # of Adam, as in the source of the gradient penalty (Gulrajani et al., 2017)
_SLOPE = 0.2
COLUMNS = ("epoch", "domain_term", "critic_gap", "content_norm", "left_out")
"""Of the table of an encoder that was trained so, ``domains.csv``."""


def domain_variance(prefix: torch.Tensor, domains: torch.Tensor, temperature: float = 0.5) -> torch.Tensor:
    """Return how much nearer each prefix is to its own domain than to the others, (N,); to be maximised.

    The logarithm of the sum of ``exp(cos / temperature)`` over the others of the domain, over that sum over all other
    domains. It is not a number where either sum is empty.

    Args:
        prefix: (N, k).
        domains: codes (N,).
        temperature: of the similarity.

    Source: arXiv 2309.03999, the first term of section 2.4.

    >>> import torch
    >>> prefix = torch.tensor([[1.0, 0.0]] * 4 + [[0.0, 1.0]] * 4)
    >>> [round(float(v), 4) for v in domain_variance(prefix, torch.tensor([0] * 4 + [1] * 4))[:2]]
    [1.7123, 1.7123]
    """
    import torch

    unit = torch.nn.functional.normalize(prefix, dim=1)
    cosine = unit @ unit.T / temperature
    same = domains[:, None] == domains[None, :]
    others = ~torch.eye(len(prefix), dtype=torch.bool, device=prefix.device)
    none = torch.full_like(cosine, -math.inf)
    near = torch.logsumexp(torch.where(same & others, cosine, none), 1)
    far = torch.logsumexp(torch.where(same, none, cosine), 1)
    counted = (same & others).any(1) & (~same).any(1)
    zero = torch.zeros_like(near)  # the gradient of ∞ − ∞ is not a number, also where it is not used
    found = torch.where(counted, near, zero) - torch.where(counted, far, zero)
    return torch.where(counted, found, torch.full_like(found, math.nan))


def make_critic(width: int, domains: int, hidden: Sequence[int] = (256, 256)) -> torch.nn.Module:
    """Return a critic of pairs of a vector and a domain, (N, width + domains) to (N, 1), that is not yet learnt.

    Args:
        width: of the vectors.
        domains: how many there are; a domain is a vector with a single 1.
        hidden: widths of its layers, each with LeakyReLU.
    """
    import torch

    layers: list[torch.nn.Module] = []
    last = width + domains
    for wide in hidden:
        layers += [torch.nn.Linear(last, wide), torch.nn.LeakyReLU(_SLOPE)]
        last = wide
    return torch.nn.Sequential(*layers, torch.nn.Linear(last, 1))


def critic_gap(critic: torch.nn.Module, content: torch.Tensor, own: torch.Tensor, drawn: torch.Tensor) -> torch.Tensor:
    """Return what the critic says of vectors with their own domains minus with domains drawn at random, scalar.

    Args:
        critic: see `make_critic`.
        content: (N, D).
        own, drawn: domains as vectors with a single 1, (N, M).
    """
    import torch

    both = critic(torch.cat([torch.cat([content, own], 1), torch.cat([content, drawn], 1)]))
    of_own, of_drawn = both.chunk(2)
    value: torch.Tensor = of_own.mean() - of_drawn.mean()
    return value


def gradient_penalty(
    critic: torch.nn.Module, content: torch.Tensor, own: torch.Tensor, drawn: torch.Tensor, mixed: torch.Tensor
) -> torch.Tensor:
    """Return how far the critic's slope is from 1, squared, between the pairs with own and with drawn domains, scalar.

    The slope is that along the whole pair, vector and domain.

    Args:
        critic, content, own, drawn: as in `critic_gap`.
        mixed: share of the own domain at each place between them, (N, 1), 0 to 1.

    Source: I. Gulrajani et al., *Improved training of Wasserstein GANs*, 2017.
    """
    import torch

    between = torch.cat([content, mixed * own + (1 - mixed) * drawn], 1).detach().requires_grad_(True)
    (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    value: torch.Tensor = ((slope.norm(2, dim=1) - 1) ** 2).mean()
    return value


def refuse_idle(training: EncoderTraining) -> None:
    """Refuse settings of domains that would do nothing.

    Raises:
        ModelError: some are not at their defaults, and no domain is named.
    """
    if training.ddm:
        return
    for name, field in type(training).model_fields.items():
        if name.startswith("ddm_") and getattr(training, name) != field.default:
            raise SettingError(f"{name} does nothing without ddm=COLUMN, such as ddm=world_name")


class DomainTerms:
    """Both terms and the critic, beside any loss on the same encoder.

    The representation is what the trunk gives while the loss is computed, of however many views: it is caught there, so
    that no loss needs to know of it. Views stand one after the other, each of all images of the batch.

    Args:
        module: with ``trunk``, and a ``head`` that takes what is behind the prefix.
        width: of the representation.
        domains: codes of all images, (N,).
        training: settings that begin with ``ddm``, and the seed.

    Attributes:
        critic: what tells domains from ``hᵖ``; learnt here, not by the loop.

    Raises:
        ModelError: the prefix leaves nothing of the representation.
        DatasetError: fewer than two domains.
    """

    table = "domains.csv"

    def __init__(
        self, module: torch.nn.Module, width: int, domains: NDArray[np.int64], training: EncoderTraining
    ) -> None:
        import torch

        self._count = int(domains.max()) + 1 if len(domains) else 0
        if self._count < 2:
            raise DatasetError(f"ddm={training.ddm}: the images to be trained on have one level of it, two are needed")
        if training.ddm_prefix >= width:
            raise ModelError(
                f"ddm_prefix={training.ddm_prefix} leaves nothing of a representation of {width} numbers; "
                f"the source takes a sixteenth of it, here {max(1, width // 16)}"
            )
        self._domains, self._training = torch.from_numpy(domains), training
        self.critic = make_critic(width - training.ddm_prefix, self._count, training.ddm_critic)
        self.critic.requires_grad_(False)  # the loop learns all that has a gradient
        self._optimizer = torch.optim.Adam(self.critic.parameters(), training.ddm_rate, _BETAS)
        self._done = 0.0
        self._means, self._vectors = EpochMeans(COLUMNS), TrunkVectors(module)

    def __call__(self, loss: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """Return what the encoder minimises, scalar: the weighted loss, minus the first term, plus the critic's gap.

        Args:
            loss: of the training, just computed by one pass of the module over views of these images.
            rows: of the images, (B,).
        """
        import torch

        with torch.autocast(loss.device.type, enabled=False):
            whole = self._vectors.take()
            domains = self._domains[rows.cpu()].to(whole.device).repeat(len(whole) // len(rows))
            own = torch.nn.functional.one_hot(domains, self._count).float()
            prefix, content = whole[:, : self._training.ddm_prefix], whole[:, self._training.ddm_prefix :]
            self._teach(content.detach(), own)
            term = domain_variance(prefix, domains, self._training.ddm_temperature)
            counted = ~torch.isnan(term)
            pulled = term[counted].mean() if bool(counted.any()) else whole.sum() * 0
            gap = critic_gap(self.critic, content, own, own[self._draw(len(own))])
            norm = content.detach().norm(dim=1).mean()
            left_out = (~counted).float().mean()
            self._means.add([float(value.detach()) for value in (pulled, gap, norm, left_out)])
            return self._training.ddm_weight * loss.float() - pulled + gap

    def _teach(self, content: torch.Tensor, own: torch.Tensor) -> None:
        """Let the critic take its steps; its rate falls as a cosine over the training."""
        import torch

        for group in self._optimizer.param_groups:
            group["lr"] = self._training.ddm_rate * 0.5 * (1 + math.cos(math.pi * min(1.0, self._done)))
        self.critic.requires_grad_(True)
        for _ in range(self._training.ddm_steps):
            drawn = own[self._draw(len(own))]
            mixed = torch.rand(len(own), 1).to(own.device)
            penalty = gradient_penalty(self.critic, content, own, drawn, mixed)
            value = self._training.ddm_penalty * penalty - critic_gap(self.critic, content, own, drawn)
            self._optimizer.zero_grad(set_to_none=True)
            value.backward()  # type: ignore[no-untyped-call]
            self._optimizer.step()
        self.critic.requires_grad_(False)

    @staticmethod
    def _draw(count: int) -> torch.Tensor:
        """Return an order of the batch: domains drawn as often as they are there."""
        import torch

        return torch.randperm(count)

    def modules(self) -> dict[str, torch.nn.Module]:
        """Return the critic."""
        return {"critic": self.critic}

    def follow(self, done: float) -> None:
        """Take note of how much of the training is done, 0 to 1."""
        self._done = done

    @property
    def history(self) -> list[list[float]]:
        """Means of `COLUMNS` but the first, of each epoch that has ended."""
        return self._means.history

    def end_epoch(self) -> str:
        """Return the table of all epochs so far, with means of the one that ends, as CSV of `COLUMNS`."""
        return self._means.end_epoch()

    def state(self) -> dict[str, Any]:
        """Return what beside the critic the next step depends on."""
        return {"critic_optimizer": self._optimizer.state_dict(), "done": self._done, "history": self.history}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take what `state` returned."""
        self._optimizer.load_state_dict(state["critic_optimizer"])
        self._done = float(state["done"])
        self._means.load(state["history"])


def terms_of(module: torch.nn.Module, domains: NDArray[np.int64], training: EncoderTraining) -> DomainTerms:
    """Return the terms of an encoder with a backbone of timm; see `DomainTerms`.

    Args:
        module: with ``trunk``, which knows how wide its vectors are.
        domains: codes of all images, (N,).
        training: how.
    """
    return DomainTerms(module, int(module.trunk.num_features), domains, training)  # type: ignore[union-attr, arg-type]
