"""The resources of one trial: CPUs and GPUs of one process, of several or of a part of one, and how many trials fit.

Nothing here imports torch, Ray or Optuna.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from absgd.config.sections import Section
from absgd.errors import broken_rule

AUTO_GPU = 0.25
"""Default share of a GPU for a trial: a small ResNet does not fill one."""
LEAST_SHARE = 1e-4
"""Smallest share of a CPU or GPU: Ray counts in multiples of it."""
MAX_COHORT = 32
"""Most trials of a cohort: torch has as many streams for a GPU."""


def _share(gpu: float) -> float:
    if 0 < gpu < LEAST_SHARE:
        raise broken_rule("", f"expected `gpu` to be 0 or >= {LEAST_SHARE}, got {gpu!r}")
    return gpu


class ResourcesConfig(Section):
    cpu: Annotated[float, Field(ge=LEAST_SHARE, le=1024)] = 1.0
    """CPUs of one trial, or of each of its processes; one trains on CPU with as many threads, at least one."""
    gpu: Annotated[float, Field(ge=0, le=1024), AfterValidator(_share)] | None = None
    """GPUs of one trial: a fraction lets trials share one, 0 trains on CPU; null: a quarter where there are GPUs."""
    cohort: Annotated[int, Field(ge=1, le=MAX_COHORT)] = 1
    """Trials that take turns in one process; `cpu` and `gpu` are then its own, `gpu: null` one where there are GPUs."""
    gpus_per_trial: Annotated[int, Field(ge=1, le=1024)] | None = None
    """GPUs of one trial that takes several, a process on each, all of one node; in place of `gpu`."""
    ranks_per_trial: Annotated[int, Field(ge=1, le=1024)] = 1
    """Processes of one trial that train on each batch together on CPUs; only with `gpu: 0`."""

    @model_validator(mode="after")
    def _check_ranks(self) -> ResourcesConfig:
        if self.gpus_per_trial is not None and self.gpu not in (None, 1):
            message = f"expected no `gpu` beside `gpus_per_trial`: each process has one GPU, got {self.gpu:g}"
            raise broken_rule("gpu", message)
        if self.ranks_per_trial > 1 and self.gpus_per_trial is not None:
            message = f"expected no `ranks_per_trial` beside `gpus_per_trial`, got {self.ranks_per_trial}"
            raise broken_rule("ranks_per_trial", message)
        if self.ranks_per_trial > 1 and self.gpu != 0:
            gpu = "nothing" if self.gpu is None else f"{self.gpu:g}"
            message = f"expected `gpu` 0 with `ranks_per_trial`, got {gpu}; on GPUs it is `gpus_per_trial`"
            raise broken_rule("ranks_per_trial", message)
        return self

    @model_validator(mode="after")
    def _check_cohort(self) -> ResourcesConfig:
        if self.cohort > 1 and self.ranks > 1:
            message = f"expected no `cohort` with trials of several processes, got {self.cohort} with {self.ranks}"
            raise broken_rule("cohort", message)
        for name, whole in (("cpu", self.cpu), ("gpu", self.gpu or 1)):
            if whole / self.cohort < LEAST_SHARE:
                message = f"expected a `{name}` that gives each of `cohort` at least {LEAST_SHARE}, got {whole:g}"
                raise broken_rule(name, message)
        return self

    @property
    def ranks(self) -> int:
        """Processes of a trial, each with `cpu` CPUs and at most one GPU."""
        return self.gpus_per_trial or self.ranks_per_trial

    @property
    def threads(self) -> int:
        """CPU threads of a process of a trial."""
        return max(1, int(self.cpu))

    @property
    def device(self) -> str:
        """`device.type` of a trial."""
        if self.gpus_per_trial is not None:
            return "cuda"
        return "auto" if self.gpu is None else "cuda" if self.gpu else "cpu"

    def on(self, num_gpus: float) -> ResourcesConfig:
        """Return a copy that gives the GPUs of each process, for a machine or cluster with `num_gpus`.

        >>> ResourcesConfig().on(num_gpus=2).gpu, ResourcesConfig().on(num_gpus=0).gpu
        (0.25, 0.0)
        """
        if self.gpu is not None:
            return self
        whole = self.gpus_per_trial is not None or (self.cohort > 1 and num_gpus > 0)
        gpu = 1.0 if whole else AUTO_GPU if num_gpus else 0.0
        return self.model_copy(update={"gpu": gpu})

    def concurrent(self, num_cpus: float, num_gpus: float) -> int:
        """Return the trials that fit on one node at once; a fraction of a GPU is always part of one GPU.

        >>> ResourcesConfig(cpu=1, gpu=0.3).concurrent(num_cpus=16, num_gpus=2)
        6
        >>> ResourcesConfig(cpu=2, gpus_per_trial=4).concurrent(num_cpus=32, num_gpus=8)
        2
        >>> ResourcesConfig(cpu=2, gpu=1, cohort=8).concurrent(num_cpus=16, num_gpus=2)
        16
        """
        processes, gpu = math.floor(num_cpus / self.cpu + 1e-9), self.on(num_gpus).gpu
        if gpu:
            by_gpu = int(num_gpus) * math.floor(1 / gpu + 1e-9) if gpu < 1 else int(num_gpus // gpu)
            processes = min(processes, by_gpu)
        return processes // self.ranks * self.cohort

    @property
    def bundle(self) -> dict[str, float]:
        """The amounts that Ray reserves for a process of a trial; in a cohort, for a trial's part of the process.

        Rounded down to multiples of `LEAST_SHARE`, so that a whole cohort fits.

        >>> ResourcesConfig(cpu=2, gpu=1, cohort=7).bundle
        {'CPU': 0.2857, 'GPU': 0.1428}
        """
        amounts = {"CPU": self.cpu, "GPU": self.gpu or 0.0}
        if self.cohort == 1:
            return amounts
        parts = round(1 / LEAST_SHARE)
        return {name: math.floor(whole / self.cohort * parts + 1e-9) / parts for name, whole in amounts.items()}

    def nearest_that_fit(self, nodes: Sequence[tuple[float, float]]) -> str:
        """Return resources close to these that fit on one of `nodes`, each with CPUs and GPUs, as a space gives them.

        >>> ResourcesConfig(cpu=8, gpus_per_trial=4).nearest_that_fit([(16, 2)])
        'cpu 8, gpus_per_trial 2'
        """
        given = self.on(sum(gpus for _, gpus in nodes))
        tries = [
            given.model_copy(update={"cpu": cpu, **self._with_ranks(ranks)})
            for ranks in range(self.ranks, 0, -1)
            for cpu in (self.cpu, *(float(cpus // ranks) for cpus, _ in nodes if ranks <= cpus))
        ]
        fits = [one for one in tries if any(one.concurrent(*node) for node in nodes)]
        return fits[0].words if fits else "cpu 1, gpu 0"

    def _with_ranks(self, ranks: int) -> dict[str, int]:
        return {"gpus_per_trial" if self.gpus_per_trial else "ranks_per_trial": ranks}

    @property
    def words(self) -> str:
        """The resources of a trial, as a space gives them.

        >>> ResourcesConfig(cpu=2, gpu=0, ranks_per_trial=2).words
        'cpu 2, gpu 0, ranks_per_trial 2'
        """
        if self.gpus_per_trial is not None:
            return f"cpu {self.cpu:g}, gpus_per_trial {self.gpus_per_trial}"
        keys = {name: value for name in ("ranks_per_trial", "cohort") if (value := getattr(self, name)) > 1}
        several = "".join(f", {name} {value}" for name, value in keys.items())
        return f"cpu {self.cpu:g}, gpu {self.gpu or 0:g}{several}"
