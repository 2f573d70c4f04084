"""The device a run trains on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from absgd.config import RunConfig
from absgd.config.sections import DeviceConfig
from absgd.errors import UserError


def prepare_device(config: DeviceConfig, device: torch.device | None = None) -> torch.device:
    """Return the torch device that `config` asks for, or the given one, and prepare the process for it.

    Sets, for the whole process, the number of CPU threads if `threads` is given and, on CUDA, deterministic convolution
    algorithms.

    Raises:
        UserError: if CUDA is asked for and there is none.
    """
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
    return chosen_device(config) if device is None else device


def chosen_device(config: DeviceConfig) -> torch.device:
    """The torch device that `config` asks for.

    Raises:
        UserError: if CUDA is asked for and there is none.
    """
    if config.type == "cuda" and not torch.cuda.is_available():
        raise UserError("expected a CUDA device, found none: use `cpu` or `auto` (device.type)")
    use_cuda = config.type == "cuda" or (config.type == "auto" and torch.cuda.is_available())
    return torch.device("cuda" if use_cuda else "cpu")


@contextmanager
def out_of_memory_as_user_error(config: RunConfig) -> Iterator[None]:
    """Turn the error of a full GPU inside the block into a UserError that says which settings need less memory."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        smaller = max(config.batch_size // 2, 1)
        message = ". ".join(str(error).split(". ")[:2])
        raise UserError(
            f"expected a run that fits into the memory of the GPU, got model `{config.model.name}` with `batch_size` "
            f"{config.batch_size} ({message}): set batch_size={smaller} or less, or let fewer "
            "runs share the GPU (batch_size)"
        ) from None


def gpu_names() -> list[str]:
    """Names of the CUDA devices that torch sees."""
    return [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
