"""From radiance to the image where it was traced: `postprocess`, on tensors that never leave their device.

The same steps in the same order as `postprocess.postprocess`, on torch tensors that use the memory of the tracer's
arrays: on a GPU an image goes from the path tracer into a training step without a copy to the host.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from torchmultiverse.engines.builtin.placement import View
from torchmultiverse.engines.builtin.postprocess import denoised as denoised_image
from torchmultiverse.engines.builtin.postprocess import denoiser_works, tint, veil_of
from torchmultiverse.engines.builtin.tracer import RenderBuffers
from torchmultiverse.engines.builtin.world import World
from torchmultiverse.errors import EngineError

if TYPE_CHECKING:
    import torch

_LUMA = (0.2126, 0.7152, 0.0722)


def postprocess_device(buffers: RenderBuffers, world: World, view: View, light: str, denoised: bool) -> torch.Tensor:
    """Return the image, uint8 (H, W, 3), sRGB, on the device of ``buffers.on_device``.

    Raises:
        EngineError: the image was traced without its maps on the device.
    """
    import torch

    maps, spec = buffers.on_device, world.spec
    if maps is None:
        raise EngineError("this image was not traced for its device")
    color = maps[..., :3]
    if denoised and denoiser_works():
        color = denoised_image(color, maps[..., 3:6].clamp(0, 1), maps[..., 6:9], buffers.noisy_maps)
    color = color.clamp(min=0)

    def here(values: Any) -> torch.Tensor:
        return torch.as_tensor(np.asarray(values, np.float32), device=maps.device)

    if spec.haze is not None:
        transmittance = maps[..., 9:]
        color = color * transmittance + here(veil_of(spec, view, buffers)) * (1 - transmittance)
    color = color * here(tint(light) * world.exposure)
    if spec.glow > 0:
        side = min(view.size)
        bright = color.clamp(max=6)
        spread = sum(_blurred(bright, side * s) for s in (0.008, 0.03)) / 2
        color = color * (1 - spec.glow) + spread * spec.glow
    if spec.saturation != 1:
        grey = (color * here(_LUMA)).sum(-1, keepdim=True)
        color = (grey + (color - grey) * spec.saturation).clamp(min=0)
    x = (color * 0.72).clamp(min=0)
    x = (x * (2.51 * x + 0.03) / (x * (2.43 * x + 0.59) + 0.14)).clamp(0, 1)
    srgb = torch.where(x <= 0.0031308, 12.92 * x, 1.055 * x.clamp(min=1e-9) ** (1 / 2.4) - 0.055)
    image = (srgb.clamp(0, 1) * 255).round().to(torch.uint8)
    if image.is_cuda:
        # It may be read in another queue than this one, such as that of a training step.
        torch.cuda.current_stream(image.device).synchronize()
    return image


def _blurred(image: torch.Tensor, sigma: float) -> torch.Tensor:
    """Return an image (H, W, C) blurred as `scipy.ndimage.gaussian_filter` with ``truncate=2.5`` does it, float32.

    Products are in double precision, as there: in single precision a GPU may round them to ten bits (TF32).
    """
    import torch

    down, across = (_blur_matrix(size, sigma, image.device) for size in image.shape[:2])
    blurred: torch.Tensor = across @ torch.tensordot(down, image.double(), 1)
    return blurred.float()


@lru_cache(16)
def _blur_matrix(size: int, sigma: float, device: torch.device) -> torch.Tensor:
    """Return what blurs one axis, (size, size) float64: mirrored at the ends as often as a small image needs."""
    import torch
    from scipy.ndimage import gaussian_filter1d

    return torch.from_numpy(gaussian_filter1d(np.eye(size), sigma, axis=0, truncate=2.5)).to(device)
