"""Ranks that are joined in a process group, each of which trains on its share of every batch.

Every process computes the loss of the whole batch from logits gathered over all of them, so weights, moving average,
records and the check for a finite loss are the same in each without further communication. Gradients are summed.

Suffixes: B images of a batch, C classes.
"""

from __future__ import annotations

import io
import time
import warnings
from typing import Any, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch._C._distributed_c10d import GradBucket, Store  # torch.distributed does not export them officially
from torch.nn.parallel import DistributedDataParallel

from absgd.datasets import Batch
from absgd.datasets.batch_shares import Share
from absgd.models.global_batch_norm import over_ranks, set_whole_batch
from absgd.training.checkpoint import checkpoint_bytes
from absgd.training.evaluation import LogitsOf
from absgd.training.ranks.alone import HasState, NetworkOf, Ranks

_SHORTEST_S, _LONGEST_S = 0.001, 0.2
"""Time between two looks at the store: a twentieth of the time waited so far, within these limits."""


class JoinedRanks(Ranks):
    """One of several processes, joined in torch's default process group.

    Args:
        share: this process's share of every batch.
        store: key-value store in which rank 0 announces each epoch.
        device: device on which this process trains; None: the one that the run's config asks for.
    """

    def __init__(self, share: Share, store: Store, device: torch.device | None = None) -> None:
        self.share = share
        self.device = device
        self._store = store
        self._num_asked = 0
        self.is_broken = False
        """Whether a process was lost and the collectives that waited for it were aborted."""

    def synchronised(self, model: nn.Module) -> nn.Module:
        """`model` with batch norm over all processes."""
        return over_ranks(model)

    def logits_of(self, model: nn.Module, network_of: NetworkOf) -> LogitsOf:
        """See `Ranks.logits_of`. In training each parameter's gradient is the sum over all images, not a mean."""
        evaluated = network_of(model)  # sets the memory layout before DDP allocates its gradient buckets
        with warnings.catch_warnings():  # torch 2.14 deprecates the argument; torch 2.6 does not know its successor
            warnings.filterwarnings("ignore", "`broadcast_buffers` is deprecated", FutureWarning)
            trained = DistributedDataParallel(model, broadcast_buffers=False, gradient_as_bucket_view=True)
        trained.register_comm_hook(None, lambda _, bucket: _summed_gradient(bucket))
        training = network_of(trained)

        def logits_of(batch: Batch) -> Tensor:
            num_images = len(batch.labels_B)
            set_whole_batch(model, num_images, self.share.rows(num_images))
            is_training = model.training and torch.is_grad_enabled()
            own_BC = (training if is_training else evaluated)(batch.images_BCHW)
            return cast(Tensor, _Gathered.apply(own_BC, num_images, self.share))

        return logits_of

    def broadcast_state(self, trainer: HasState) -> None:
        """Send rank 0's state, serialised as in a checkpoint.

        Raises:
            UserError: in the other ranks, if their trainer belongs to another run.
        """
        content: list[Any] = [None]
        if self.share.rank == 0:
            content = [bytes(checkpoint_bytes(trainer.state_dict()))]
        dist.broadcast_object_list(content, src=0)
        if self.share.rank:
            state = torch.load(io.BytesIO(content[0]), map_location=_load_device(self.device), weights_only=True)
            trainer.load_state_dict(state)

    def check(self) -> None:
        """See `Ranks.check`.

        Raises:
            RuntimeError: if another process was lost.
        """
        if self.is_broken:
            raise RuntimeError("the process group was aborted: another process is lost")

    def has_next_epoch(self) -> bool:
        """See `Ranks.has_next_epoch`; the others wait for rank 0, however long it does something else."""
        self._num_asked += 1
        key = _epoch_key(self._num_asked)
        if self.share.rank == 0:
            self._store.set(key, "on")
            return True
        return is_told_to_go_on(self._store, key)

    def stop(self) -> None:
        """Announce, as rank 0, that no further epoch is trained."""
        self._store.set(_epoch_key(self._num_asked + 1), "stop")


def is_told_to_go_on(store: Store, key: str) -> bool:
    """Wait, however long, until rank 0 sets `key`; whether to `on`. torch's own wait would print each time-out."""
    started = time.monotonic()
    while not store.check([key]):
        time.sleep(min(max((time.monotonic() - started) / 20, _SHORTEST_S), _LONGEST_S))
    return bool(store.get(key) == b"on")


def _epoch_key(number: int) -> str:
    return f"epoch-{number}"


def _load_device(device: torch.device | None) -> torch.device | str:
    """Device onto which a state is loaded before it is copied into a trainer's tensors."""
    return "cpu" if device is None else device


def _summed_gradient(bucket: GradBucket) -> torch.futures.Future[Tensor]:
    """The sum of a bucket over all processes: each computes the loss of the whole batch, so nothing is averaged."""
    work = dist.all_reduce(bucket.buffer(), async_op=True)
    assert work is not None
    return cast("torch.futures.Future[Tensor]", work.get_future().then(lambda done: done.value()[0]))


class _Gathered(torch.autograd.Function):
    """logits_BC of the whole batch in every process, gathered from the rows of each.

    Every process differentiates the same loss, so the gradient of its own rows is all that it needs.
    """

    @staticmethod
    def forward(ctx: Any, own_BC: Tensor, num_images: int, share: Share) -> Tensor:
        ctx.rows = share.rows(num_images)
        all_rows = [Share(rank, share.size).rows(num_images) for rank in range(share.size)]
        counts = [rows.stop - rows.start for rows in all_rows]
        padded_BC = own_BC.new_zeros(max(counts), own_BC.shape[1])
        padded_BC[: len(own_BC)] = own_BC
        parts = [torch.empty_like(padded_BC) for _ in counts]
        dist.all_gather(parts, padded_BC)
        return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return gradients[0][ctx.rows], None, None
