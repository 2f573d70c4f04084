"""Part 7: an epoch of a ResNet-32 on images of CIFAR's size, and its steps under torch.profiler.

The epoch is what `absgd-train` trains, with its validation; its time is taken without the profiler. Then some steps of
the next epoch are profiled. On a CPU, operations that call no others stand in for kernels.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from torch.profiler import ProfilerActivity, profile

from absgd.training import Trainer
from benchmarks.gpu.part_job import PartJob, texts
from benchmarks.gpu.part_records import PartSection
from benchmarks.harness.workloads import BENCHMARK_MODELS, made_up_splits, stage_two_run, synchronise

LAUNCHES = ("cudaLaunchKernel", "cudaLaunchKernelExC", "cuLaunchKernel", "cuLaunchKernelEx", "cudaGraphLaunch")
"""Calls by which the host gives the device work."""
COPIES = ("Memcpy", "Memset")
LONGEST = 12
"""Kernels that are named."""


class ProfileSizes(NamedTuple):
    """Model, data and number of steps that are profiled."""

    model: str
    images: int
    batch: int
    steps: int
    """Steps under the profiler."""


FULL, TOY = ProfileSizes("resnet32", 50_000, 128, 40), ProfileSizes("resnet8", 12, 4, 2)
OPTIONS: Mapping[str, dict[str, Any]] = {
    "exact": {},
    "fast, without a graph": {"fast": True, "cuda_graph": False},
    "fast": {"fast": True},
}


class DeviceSpan(NamedTuple):
    """A kernel or copy on the device, in microseconds."""

    name: str
    start_us: float
    end_us: float


class StepProfile(NamedTuple):
    """The time of a step by what it is spent on; means over the profiled steps, in milliseconds."""

    span_ms: float
    """From the start of the first kernel to the end of the last one."""
    busy_ms: float
    """While at least one kernel or copy runs."""
    gaps_ms: float
    """While none runs."""
    kernels: float
    launches: float
    longest: tuple[tuple[str, float, float], ...]
    """Name, milliseconds and number of the kernels that take the longest together."""


def measure(job: PartJob) -> None:
    """Profile each set of options."""
    for name, options in OPTIONS.items():
        given = {key: value for key, value in options.items() if job.device == "cuda" or key != "cuda_graph"}
        job.measure(f"ResNet-32, {name}" if not job.is_dry_run else name, partial(profile_section, given, job))
    job.finish()


def profile_section(options: dict[str, Any], job: PartJob) -> PartSection:
    """Train an epoch with options of `device`, then profile steps of the next one."""
    sizes = TOY if job.is_dry_run else FULL
    model = BENCHMARK_MODELS[sizes.model]
    config = stage_two_run(model, sizes.batch, job.device, options)
    trainer = Trainer(config, made_up_splits(model, sizes.images))
    epochs = trainer.epochs()
    warm, epoch = next(epochs), next(epochs)
    found = profiled_steps(trainer, sizes.steps)
    lines = [
        f"{model.name}, {sizes.images} images, batch {sizes.batch}: {trainer.device_options.describe()}",
        f"first epoch {warm.train_s:.2f} s + {warm.val_s:.2f} s of validation; the next {epoch.train_s:.2f} s + "
        f"{epoch.val_s:.2f} s, {epoch.images_per_s:,.0f} images/s",
        f"a step, mean of {sizes.steps} under the profiler: {found.span_ms:.3f} ms, of which {found.busy_ms:.3f} in "
        f"kernels and copies ({100 * found.busy_ms / found.span_ms:.0f} %), {found.gaps_ms:.3f} in gaps; "
        f"{found.kernels:.0f} kernels, {found.launches:.0f} launches",
        *(f"{ms:9.4f} ms {count:7.1f} x  {name[:110]}" for name, ms, count in found.longest),
    ]
    values = {"options": options, "sizes": sizes, "train_s": epoch.train_s, "val_s": epoch.val_s, "step": found}
    return PartSection("", texts(lines), values)


def profiled_steps(trainer: Trainer, steps: int) -> StepProfile:
    """Profile the next steps of a run that has trained an epoch."""
    training = trainer.steps()
    next(training)  # the epoch begins
    synchronise(trainer.device)
    on_gpu = trainer.device.type == "cuda"
    with profile(activities=[ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]) as profiler:
        for _ in range(steps):
            next(training)
        synchronise(trainer.device)
    events = profiler.events()
    assert events is not None, "the profiler has ended"
    return step_profile(*work_of(events, on_gpu), steps)


def work_of(events: Sequence[Any], on_gpu: bool) -> tuple[list[DeviceSpan], int]:
    """Return the kernels and copies among the profiler's events, and the number of launches."""
    spans = [_span(event) for event in events if _is_work(event, on_gpu)]
    return spans, sum(event.name in LAUNCHES for event in events) if on_gpu else len(spans)


def step_profile(spans: Sequence[DeviceSpan], launches: int, steps: int) -> StepProfile:
    """Add up kernels and copies, which may run at the same time.

    Args:
        spans: kernels and copies of all steps.
        launches: calls of the host that start them.
        steps: their number.

    Raises:
        ValueError: if there is no kernel, as where the driver lets nobody profile.
    """
    if not spans:
        raise ValueError("the profiler saw no kernel")
    busy_us = covered_us((span.start_us, span.end_us) for span in spans)
    span_us = max(span.end_us for span in spans) - min(span.start_us for span in spans)
    by_name: dict[str, list[float]] = defaultdict(list)
    for span in spans:
        by_name[span.name].append(span.end_us - span.start_us)
    longest = sorted(by_name.items(), key=lambda item: -sum(item[1]))[:LONGEST]
    per_step = 1e3 * steps
    return StepProfile(
        span_ms=span_us / per_step,
        busy_ms=busy_us / per_step,
        gaps_ms=(span_us - busy_us) / per_step,
        kernels=sum(not span.name.startswith(COPIES) for span in spans) / steps,
        launches=launches / steps,
        longest=tuple((name, sum(taken) / per_step, len(taken) / steps) for name, taken in longest),
    )


def covered_us(spans: Iterable[tuple[float, float]]) -> float:
    """Return the length of the union of intervals.

    >>> covered_us([(0.0, 2.0), (1.0, 3.0), (5.0, 6.0)])
    4.0
    """
    covered, reached = 0.0, float("-inf")
    for start, end in sorted(spans):
        covered += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return covered


def _is_work(event: Any, on_gpu: bool) -> bool:
    if on_gpu:
        return bool(event.device_type.name == "CUDA" and not getattr(event, "is_user_annotation", False))
    return event.device_type.name == "CPU" and event.name.startswith("aten::") and not event.cpu_children


def _span(event: Any) -> DeviceSpan:
    return DeviceSpan(event.name, float(event.time_range.start), float(event.time_range.end))
