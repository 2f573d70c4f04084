"""A model called in the precision and memory format of a run."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from absgd.training.device_options import DeviceOptions


class Network:
    """Calls a model in the precision and memory format of a run.

    Args:
        model: on `device`; under `channels_last` the layout of its convolutions changes in place.
        options: precision and memory format.
        device: the model's.
    """

    def __init__(self, model: nn.Module, options: DeviceOptions, device: torch.device) -> None:
        self._model, self._options, self._device = model, options, device
        if options.memory_format == "channels_last":
            model.to(memory_format=torch.channels_last)

    def __call__(self, images_BCHW: Tensor) -> Tensor:
        """logits_BC, float32."""
        if self._options.memory_format == "channels_last":
            images_BCHW = images_BCHW.contiguous(memory_format=torch.channels_last)
        logits_BC: Tensor
        if self._options.precision == "float32":
            logits_BC = self._model(images_BCHW)
            return logits_BC
        # No weight is used twice in a forward pass, and a cache of casts does not outlive a captured graph.
        with torch.autocast(self._device.type, torch.bfloat16, cache_enabled=False):
            logits_BC = self._model(images_BCHW)
        return logits_BC.float()
