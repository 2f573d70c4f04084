"""Part 1: driver, versions and memory of the machine, and its measured rates of copying and multiplying."""

from __future__ import annotations

import platform
import shutil
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from benchmarks.gpu.part_job import PartJob, texts
from benchmarks.gpu.part_records import PartSection
from benchmarks.harness.interleaved_rounds import Quartiles, quartile_cell, quartiles
from benchmarks.harness.workloads import Stopwatch

DRIVER_QUERY = "name,driver_version,memory.total,power.limit,clocks.max.sm,mig.mode.current"
DRIVER_S = 20.0
"""Time for the answer of nvidia-smi."""
WARM_UPS = 3


class RateSizes(NamedTuple):
    """Sizes of what is copied and multiplied."""

    copied_bytes: int
    side: int
    """Rows and columns of the matrices."""
    repeats: int


FULL, TOY = RateSizes(2**30, 8192, 10), RateSizes(2**20, 64, 3)


class MeasuredRate(NamedTuple):
    """A rate, and its unit."""

    name: str
    unit: str
    rate: Quartiles


def measure(job: PartJob) -> None:
    """Say what is there, then measure rates."""
    job.measure("Machine", lambda: described_machine(job))
    sizes = TOY if job.is_dry_run else FULL
    job.measure("Rates", lambda: rate_section(list(measured_rates(torch.device(job.device), sizes)), sizes))
    job.finish()


def described_machine(job: PartJob) -> PartSection:
    """Describe driver, versions, processor and memory."""
    about = job.record.environment
    facts: dict[str, Any] = {
        "nvidia-smi": driver_answer(),
        "Python": platform.python_version(),
        **{name: version or "not installed" for name, version in about["packages"].items()},
        "CUDA of torch": torch.version.cuda or "none",
        "cuDNN": torch.backends.cudnn.version() or "none",  # type: ignore[no-untyped-call]
        "TF32 in convolutions": torch.backends.cudnn.allow_tf32,
        "TF32 in matrix products": torch.backends.cuda.matmul.allow_tf32,
        "processor": f"{about['cpu']}, {about['cores']} cores",
        "system": about["platform"],
    }
    if job.device == "cuda":
        facts |= gpu_facts()
    return PartSection("", texts([f"{name:>24}  {value}" for name, value in facts.items()]), facts)


def gpu_facts() -> dict[str, Any]:
    """Return what torch says about the GPU."""
    properties = torch.cuda.get_device_properties(0)
    free, total = torch.cuda.mem_get_info()
    return {
        "GPU": properties.name,
        "GPUs": torch.cuda.device_count(),
        "compute capability": f"{properties.major}.{properties.minor}",
        "multiprocessors": properties.multi_processor_count,
        "GPU memory": f"{total / 2**30:.1f} GiB, {free / 2**30:.1f} GiB free",
        "bfloat16 in hardware": torch.cuda.is_bf16_supported(including_emulation=False),
    }


def driver_answer() -> str:
    """Return what the driver says about its GPUs, or why it says nothing."""
    if shutil.which("nvidia-smi") is None:
        return "nvidia-smi not found"
    command = ["nvidia-smi", f"--query-gpu={DRIVER_QUERY}", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=DRIVER_S, check=False)
    except (OSError, subprocess.SubprocessError) as error:
        return f"no answer: {error}"
    return "; ".join((done.stdout or done.stderr).strip().splitlines())


def measured_rates(device: torch.device, sizes: RateSizes) -> Iterator[MeasuredRate]:
    """Measure copies on the device and to it, and products of square matrices of random numbers."""
    numbers = torch.empty(sizes.copied_bytes, dtype=torch.uint8, device=device)
    target = torch.empty_like(numbers)
    host = torch.empty(sizes.copied_bytes, dtype=torch.uint8, pin_memory=device.type == "cuda")
    on_device = _seconds(lambda: target.copy_(numbers), sizes.repeats, device)
    yield _rate("copy on the device, read + written", "GB/s", 2 * sizes.copied_bytes / 1e9, on_device)
    to_device = _seconds(lambda: target.copy_(host, non_blocking=True), sizes.repeats, device)
    yield _rate("copy from pinned memory", "GB/s", sizes.copied_bytes / 1e9, to_device)
    for dtype in (torch.bfloat16, torch.float32):
        one, other = (torch.randn(sizes.side, sizes.side, device=device).to(dtype) for _ in range(2))
        product: Callable[[], Tensor] = partial(torch.mm, one, other, out=torch.empty_like(one))
        name = f"{str(dtype).removeprefix('torch.')} product of {sizes.side} x {sizes.side}"
        yield _rate(name, "TFLOP/s", 2 * sizes.side**3 / 1e12, _seconds(product, sizes.repeats, device))


def rate_section(rates: list[MeasuredRate], sizes: RateSizes) -> PartSection:
    """Format rates; medians with quartiles in brackets."""
    lines = [f"{one.name:>36}  {quartile_cell(one.rate, ',.1f')} {one.unit}" for one in rates]
    return PartSection("", texts(lines), {"sizes": sizes, "rates": rates})


def _seconds(operation: Callable[[], object], repeats: int, device: torch.device) -> list[float]:
    for _ in range(WARM_UPS):
        operation()
    taken = []
    for _ in range(repeats):
        with Stopwatch(device) as clock:
            operation()
        taken.append(clock.seconds)
    return taken


def _rate(name: str, unit: str, amount: float, taken: list[float]) -> MeasuredRate:
    return MeasuredRate(name, unit, quartiles([amount / max(one, 1e-9) for one in taken]))
