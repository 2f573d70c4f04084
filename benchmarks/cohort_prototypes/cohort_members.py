"""Forks of one trunk, each as its own model or all as one stacked model, and their step on one batch.

Suffixes: K members, B samples of a batch, C classes, H rows, W columns.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state

from absgd.config import RunConfig
from absgd.datasets import DATASETS, Batch
from absgd.losses import build_objective
from absgd.models import build_model
from absgd.randomness import seeded_globally
from absgd.training.device import prepare_device
from absgd.training.device_options import DeviceOptions, machine_of, resolve_device_options
from absgd.training.network import Network
from absgd.training.optimizer import build_optimizer
from absgd.training.step import Learner
from benchmarks.cohort_prototypes.fused_layers import fuse
from benchmarks.harness.workloads import BENCHMARK_MODELS, NUM_CLASSES, EpochWorkload, resident_batch, stage_two_run

ModelState = dict[str, Tensor]
"""Parameters and buffers of one member, by name in its model."""


def member_config(work: EpochWorkload, number: int) -> RunConfig:
    """Configure a fork in stage two: members differ in lambda (either sign), gamma, abAlpha and initial weights."""
    config = stage_two_run(BENCHMARK_MODELS[work.case], work.batch, work.device, {} if work.exact else {"fast": True})
    sign = -1 if number % 2 else 1
    numbers = {"lam": sign * (2.0 + number), "gamma": 0.9 / (1 + number), "ab_alpha": 1 / (1 + number % 3)}
    return config.with_values({f"attention.{name}": value for name, value in numbers.items()} | {"seeds.train": number})


class LockstepSetup(NamedTuple):
    """Workload, device and batch that all members share."""

    work: EpochWorkload
    device: torch.device
    options: DeviceOptions
    batch: Batch


def prepare_lockstep(work: EpochWorkload) -> LockstepSetup:
    """Prepare the device as a run does, and put a batch on it.

    Raises:
        UserError: if the device is not present.
    """
    config = member_config(work, 0)
    device = prepare_device(config.device)
    options = resolve_device_options(config.device, config.can_be_captured, machine_of(device))
    if device.type == "cuda":  # the exact step is captured too, which only the fused optimiser allows
        options = options._replace(cuda_graph=True, fused_optimizer=True)
    batch = resident_batch(config, device)
    if options.memory_format == "channels_last":
        batch = batch._replace(images_BCHW=batch.images_BCHW.contiguous(memory_format=torch.channels_last))
    return LockstepSetup(work, device, options, batch)


class LockstepMember:
    """One fork with its own model, loss and optimiser."""

    def __init__(self, setup: LockstepSetup, number: int) -> None:
        self.config = config = member_config(setup.work, number)
        spec = DATASETS[config.data.name]
        with seeded_globally(config.seeds.train, "init"):
            self.model = build_model(config.resolved().model, spec.channels, NUM_CLASSES).to(setup.device)
        network = Network(self.model, setup.options, setup.device)
        objective = build_objective(config, [1] * NUM_CLASSES).to(setup.device)
        self.optimizer = build_optimizer(self.model, config.optimizer, fused=setup.options.fused_optimizer)
        self.learner = Learner(self.model, lambda batch: network(batch.images_BCHW), objective, self.optimizer, None)
        self._batch = setup.batch

    def step(self) -> None:
        """Run forward, loss, backward and update."""
        self.learner.backward(self.learner.loss(self._batch, epoch=0), self._batch, epoch=0)
        self.optimizer.step()

    def state(self) -> ModelState:
        """Return the parameters and buffers of the model; live, not copied."""
        return self.model.state_dict()


class MemberStack:
    """All members as one model, with one optimiser and their settings in tensors of length K.

    Copies the members. A step sums their losses, so that each gets its own gradient.
    """

    def __init__(self, setup: LockstepSetup, members: Sequence[LockstepMember]) -> None:
        first = members[0]
        attentions = [member.config.attention for member in members]
        numbers = [(one.lam, one.gamma, one.ab_alpha) for one in attentions if one is not None]
        self._numbers_3K = torch.tensor(numbers, dtype=torch.float64, device=setup.device).T
        self.log_u_K = torch.full_like(self._numbers_3K[0], -torch.inf)
        self._batch, self._size = setup.batch, len(members)
        self._criterion = torch.vmap(first.learner.objective.criterion, in_dims=(0, None))
        self._network, parameters = self._stacked(setup, [member.model for member in members])
        self.optimizer = build_optimizer(parameters, first.config.optimizer, fused=setup.options.fused_optimizer)

    def _stacked(
        self, setup: LockstepSetup, models: Sequence[nn.Module]
    ) -> tuple[Callable[[Tensor], Tensor], nn.Module]:
        """Return a function from images_BCHW to float logits_KBC, and a module with its parameters."""
        raise NotImplementedError

    def step(self) -> None:
        """Run forward, loss, backward and update of all members."""
        loss_KB = self._criterion(self._network(self._batch.images_BCHW), self._batch.labels_B)
        weights_KB, log_u_K = stacked_weights(loss_KB, self.log_u_K, *self._numbers_3K)
        self.log_u_K.copy_(log_u_K)
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward((weights_KB * loss_KB).sum())
        self.optimizer.step()


class VmapStack(MemberStack):
    """Members stacked by torch.func: weights and statistics under vmap.

    Batch norm writes to the stacked statistics in place, which torch.func allows since they are mapped over too. On CPU
    autocast does not reach a convolution under vmap (torch 2.14): it stays in float32.
    """

    def _stacked(
        self, setup: LockstepSetup, models: Sequence[nn.Module]
    ) -> tuple[Callable[[Tensor], Tensor], nn.Module]:
        stacked, self._buffers = stack_module_state(list(models))
        is_channels_last = setup.options.memory_format == "channels_last"
        self._parameters = parameters = {
            name: nn.Parameter(_channels_last(value) if is_channels_last else value) for name, value in stacked.items()
        }
        base = copy.deepcopy(models[0])
        logits_of = torch.vmap(lambda *own: functional_call(base, own[:2], own[2:]), in_dims=(0, 0, None))
        # `channels_last` is not defined for weights of five axes.
        options = setup.options._replace(memory_format="contiguous")
        network = Network(_Called(lambda images: logits_of(parameters, self._buffers, images)), options, setup.device)
        return network, nn.ParameterList(parameters.values())

    def member_state(self, number: int) -> ModelState:
        """Return the parameters and buffers of one member; live, not copied."""
        return {name: value.detach()[number] for name, value in {**self._parameters, **self._buffers}.items()}


class FusedStack(MemberStack):
    """Members in wider layers, see `benchmarks.cohort_prototypes.fused_layers`."""

    def _stacked(
        self, setup: LockstepSetup, models: Sequence[nn.Module]
    ) -> tuple[Callable[[Tensor], Tensor], nn.Module]:
        self._model = fuse(models)
        return Network(self._model, setup.options, setup.device), self._model

    def member_state(self, number: int) -> ModelState:
        """Return the parameters and buffers of one member; live, not copied."""
        values = self._model.state_dict().items()
        return {name: value.chunk(self._size)[number] if value.dim() else value for name, value in values}


def stacked_weights(
    loss_KB: Tensor, log_u_K: Tensor, lam_K: Tensor, gamma_K: Tensor, ab_alpha_K: Tensor
) -> tuple[Tensor, Tensor]:
    """Compute the attention weights of several members.

    vmap cannot map `absgd.losses.attention_weights`, which branches on its settings.

    Args:
        loss_KB: base losses, floating; detached.
        log_u_K: float64 like the settings; -inf before the first batch.
        lam_K: lambda, non-zero.
        gamma_K: in (0, 1].
        ab_alpha_K: in (0, 1].

    Returns:
        weights_KB in the dtype of `loss_KB`, and the new log u.

    Source: arXiv 2012.06951, the moving-average estimator and the weights of the two-stage algorithm.
    """
    num_images = loss_KB.shape[1]
    scaled_KB = loss_KB.detach().double() / lam_K[:, None]
    log_newest_K = scaled_KB.logsumexp(dim=1) + (gamma_K * ab_alpha_K / num_images).log()
    new_log_u_K = torch.logaddexp(log_u_K + torch.log1p(-gamma_K), log_newest_K)
    return ((scaled_KB - new_log_u_K[:, None]).exp() / num_images).to(loss_KB.dtype), new_log_u_K


class _Called(nn.Module):
    """A module without parameters that calls a function."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self._function = function

    def forward(self, images_BCHW: Tensor) -> Tensor:
        return self._function(images_BCHW)


def _channels_last(stacked: Tensor) -> Tensor:
    """Lay out stacked weights of a convolution as channels-last; return others unchanged."""
    if stacked.dim() != 5:
        return stacked
    return stacked.movedim(2, -1).contiguous().movedim(-1, 2)
