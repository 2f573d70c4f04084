"""Options that make a run faster on its device, resolved from its settings in one place."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import torch

from absgd.config.sections import DeviceConfig
from absgd.errors import UserError

EXACT_EVALUATION_BATCH = 256
"""Images of a batch in exact evaluation; larger batches are slower on CPU: their activations leave the cache."""
GPU_EVALUATION_BATCH = 2048
Precision = Literal["float32", "bfloat16"]


class Machine(NamedTuple):
    """Properties of a device that decide the options."""

    type: Literal["cpu", "cuda"]
    native_bfloat16: bool
    """Whether it multiplies bfloat16 in hardware rather than by emulation."""


class DeviceOptions(NamedTuple):
    """Resolved options of a run; the defaults give the exact numbers."""

    precision: Precision = "float32"
    """bfloat16: convolutions and products under autocast; weights, statistics, loss and log u keep their types."""
    memory_format: Literal["contiguous", "channels_last"] = "contiguous"
    fused_optimizer: bool = False
    """All parameters updated by one kernel."""
    deferred_checks: bool = False
    """Whether non-finite losses and norms are found at the end of the epoch, so that no step waits for the device."""
    cuda_graph: bool = False
    """Whether whole training steps are captured once and replayed."""
    evaluation_batch: int = EXACT_EVALUATION_BATCH
    """Images of a batch in evaluation."""

    def describe(self) -> str:
        """The options in one line, for people.

        >>> DeviceOptions().describe()
        'float32, contiguous, evaluation by 256'
        """
        flags = [name.replace("_", " ") for name, value in self._asdict().items() if value is True]
        return ", ".join([self.precision, self.memory_format, *flags, f"evaluation by {self.evaluation_batch}"])


def resolve_device_options(config: DeviceConfig, can_be_captured: bool, machine: Machine) -> DeviceOptions:
    """Resolve the device options for a machine; `fast` decides the settings that are null.

    >>> resolve_device_options(DeviceConfig(), True, Machine("cuda", native_bfloat16=True)) == DeviceOptions()
    True

    Args:
        config: device settings of the run.
        can_be_captured: whether a step of the run can be captured in a graph, as `RunSections` says.
        machine: properties of the device.

    Raises:
        UserError: if a CUDA graph is asked for on a CPU; under `auto` the rules on settings alone cannot tell.
    """
    on_gpu = machine.type == "cuda"
    if config.cuda_graph and not on_gpu:
        raise UserError("expected `cuda_graph` with a CUDA device only, found none (device.cuda_graph)")
    fast_precision: Precision = "bfloat16" if config.fast and machine.native_bfloat16 else "float32"
    fast_graph = config.fast and on_gpu and can_be_captured and config.ranks == 1
    cuda_graph = fast_graph if config.cuda_graph is None else config.cuda_graph
    fast_on_gpu = config.fast and on_gpu
    return DeviceOptions(
        precision=config.precision or fast_precision,
        memory_format=config.memory_format or ("channels_last" if config.fast else "contiguous"),
        fused_optimizer=fast_on_gpu or cuda_graph,
        deferred_checks=fast_on_gpu or cuda_graph,
        cuda_graph=cuda_graph,
        evaluation_batch=GPU_EVALUATION_BATCH if fast_on_gpu else EXACT_EVALUATION_BATCH,
    )


def machine_of(device: torch.device) -> Machine:
    """Properties of a torch device."""
    if device.type == "cuda":
        return Machine("cuda", torch.cuda.is_bf16_supported(including_emulation=False))
    return Machine("cpu", _cpu_has_bfloat16())


def _cpu_has_bfloat16() -> bool:
    # torch before about 2.9 cannot tell: then False, and float32 is never wrong.
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
