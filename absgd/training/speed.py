"""Which of the faster ways a run takes on a device: decided from the settings in one place."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from absgd.config.sections import DeviceConfig
from absgd.errors import UserError

EXACT_EVALUATION_BATCH = 256
"""Images; larger ones are slower on CPU: their activations leave the cache."""
GPU_EVALUATION_BATCH = 2048
Precision = Literal["float32", "bfloat16"]


class Machine(NamedTuple):
    """What matters of a device."""

    type: Literal["cpu", "cuda"]
    native_bfloat16: bool
    """Whether it multiplies bfloat16 in hardware, not by emulation."""


class Speed(NamedTuple):
    """The ways a run takes; the defaults are the exact ones."""

    precision: Precision = "float32"
    """bfloat16: convolutions and products under autocast; weights, statistics, loss and log u keep their types."""
    memory_format: Literal["contiguous", "channels_last"] = "contiguous"
    fused_optimizer: bool = False
    """All parameters updated by one kernel."""
    deferred_checks: bool = False
    """Whether a loss or norm that is not finite is found at the end of its epoch: no step waits for the device."""
    cuda_graph: bool = False
    """Whole training steps are captured once and replayed."""
    evaluation_batch: int = EXACT_EVALUATION_BATCH
    """Images of a batch in evaluation."""

    def describe(self) -> str:
        """One line for people.

        >>> Speed().describe()
        'float32, contiguous, evaluation by 256'
        """
        flags = [name.replace("_", " ") for name, value in self._asdict().items() if value is True]
        return ", ".join([self.precision, self.memory_format, *flags, f"evaluation by {self.evaluation_batch}"])


def resolve_speed(config: DeviceConfig, dropout: float, machine: Machine) -> Speed:
    """The ways that `config` means on a machine: `fast` chooses what is left null.

    >>> resolve_speed(DeviceConfig(), 0.0, Machine("cuda", native_bfloat16=True)) == Speed()
    True

    Args:
        config: settings of the run.
        dropout: of the model; its draws cannot be captured in a graph.
        machine: the device at hand.

    Raises:
        UserError: if a CUDA graph is asked for on a CPU, which a rule on settings alone cannot see under `auto`.
    """
    on_gpu = machine.type == "cuda"
    if config.cuda_graph and not on_gpu:
        raise UserError("expected `cuda_graph` with a CUDA device only, found none (device.cuda_graph)")
    fast_precision: Precision = "bfloat16" if config.fast and machine.native_bfloat16 else "float32"
    fast_graph = config.fast and on_gpu and not dropout and config.ranks == 1
    cuda_graph = fast_graph if config.cuda_graph is None else config.cuda_graph
    fast_on_gpu = config.fast and on_gpu
    return Speed(
        precision=config.precision or fast_precision,
        memory_format=config.memory_format or ("channels_last" if config.fast else "contiguous"),
        fused_optimizer=fast_on_gpu or cuda_graph,
        deferred_checks=fast_on_gpu or cuda_graph,
        cuda_graph=cuda_graph,
        evaluation_batch=GPU_EVALUATION_BATCH if fast_on_gpu else EXACT_EVALUATION_BATCH,
    )


def machine_of(device: torch.device) -> Machine:
    """What a torch device is."""
    if device.type == "cuda":
        return Machine("cuda", torch.cuda.is_bf16_supported(including_emulation=False))
    return Machine("cpu", _cpu_has_bfloat16())


def _cpu_has_bfloat16() -> bool:
    # torch before 2.9 or so cannot say: then float32, which is never wrong.
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


class Network:
    """Calls a model in the precision and memory format of a run.

    Args:
        model: on `device`; where the format asks for it, its convolutions are laid out anew in place.
        speed: decides.
        device: of the model.
    """

    def __init__(self, model: nn.Module, speed: Speed, device: torch.device) -> None:
        self._model, self._speed, self._device = model, speed, device
        if speed.memory_format == "channels_last":
            model.to(memory_format=torch.channels_last)

    def __call__(self, images_BCHW: Tensor) -> Tensor:
        """logits_BC, float32."""
        if self._speed.memory_format == "channels_last":
            images_BCHW = images_BCHW.contiguous(memory_format=torch.channels_last)
        logits_BC: Tensor
        if self._speed.precision == "float32":
            logits_BC = self._model(images_BCHW)
            return logits_BC
        # No weight is used twice in a forward pass, and a cache of casts does not outlive a captured graph.
        with torch.autocast(self._device.type, torch.bfloat16, cache_enabled=False):
            logits_BC = self._model(images_BCHW)
        return logits_BC.float()
