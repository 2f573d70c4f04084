"""Ranks: the processes that train one run together, each on its share of every batch.

Every process computes the loss of the whole batch from logits that are gathered over all of them, so weights, moving
average, records and whether a loss is finite are the same in each without further talk. Gradients are summed.

Suffixes: B images of a batch, C classes.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from typing import Any, Protocol, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch._C._distributed_c10d import GradBucket, Store  # torch.distributed hands them on without saying so
from torch.nn.parallel import DistributedDataParallel

from absgd.datasets import Batch
from absgd.datasets.shares import WHOLE, Share
from absgd.models.global_norm import over_ranks, set_whole_batch
from absgd.training.checkpoint import checkpoint_bytes
from absgd.training.evaluation import LogitsOf

NetworkOf = Callable[[nn.Module], Callable[[Tensor], Tensor]]
"""How a run calls a model: logits of images, in its precision."""


class HasState(Protocol):
    """What can be brought to another process's state."""

    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state: dict[str, Any]) -> None: ...


class Ranks:
    """One process that trains alone: nothing is communicated, the path of the exact numbers."""

    share: Share = WHOLE
    """Of this process."""
    device: torch.device | None = None
    """Where this process trains; None: where the run's config says."""

    def synchronised(self, model: nn.Module) -> nn.Module:
        """`model`, on its device, with layers that compute on the whole batch."""
        return model

    def logits_of(self, model: nn.Module, network_of: NetworkOf) -> LogitsOf:
        """A function that gives a synchronised model's logits of a whole batch, from every process's share."""
        network = network_of(model)
        return lambda batch: network(batch.images_BCHW)

    def bring_together(self, trainer: HasState) -> None:
        """Give every process the state of rank 0."""

    def check(self) -> None:
        """To be called before what was computed is used: a collective that was aborted leaves what it likes."""

    def goes_on(self) -> bool:
        """Whether another epoch is to be trained; rank 0 is not stopped between epochs, and says so by asking."""
        return True


ALONE = Ranks()


class JoinedRanks(Ranks):
    """One of several processes, joined in torch's default process group.

    Args:
        share: of this process.
        store: where rank 0 says whether there is another epoch.
        device: where this process trains; None: where the run's config says.
    """

    def __init__(self, share: Share, store: Store, device: torch.device | None = None) -> None:
        self.share = share
        self.device = device
        self._store = store
        self._num_asked = 0
        self.is_broken = False
        """Whether a process was lost, and collectives that waited for it were aborted."""

    def synchronised(self, model: nn.Module) -> nn.Module:
        """`model` with batch norm over all processes."""
        return over_ranks(model)

    def logits_of(self, model: nn.Module, network_of: NetworkOf) -> LogitsOf:
        """In training mode gradient flows to every process's parameters: the sum over all images, not a mean."""
        evaluated = network_of(model)  # lays it out in memory before gradients are given their places
        with warnings.catch_warnings():  # torch 2.14 has a new word for it that 2.6 does not know
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

    def bring_together(self, trainer: HasState) -> None:
        """Send rank 0's state, as a checkpoint holds it.

        Raises:
            UserError: in the others, if their trainer is of another run.
        """
        content: list[Any] = [None]
        if self.share.rank == 0:
            content = [bytes(checkpoint_bytes(trainer.state_dict()))]
        dist.broadcast_object_list(content, src=0)
        if self.share.rank:
            state = torch.load(io.BytesIO(content[0]), map_location=_device_here(self.device), weights_only=True)
            trainer.load_state_dict(state)

    def check(self) -> None:
        """See `Ranks.check`.

        Raises:
            RuntimeError: where another process was lost.
        """
        if self.is_broken:
            raise RuntimeError("the process group was aborted: another process is lost")

    def goes_on(self) -> bool:
        """Rank 0 says that it does; the others wait for its word, however long it does something else."""
        self._num_asked += 1
        key = _word(self._num_asked)
        if self.share.rank == 0:
            self._store.set(key, "on")
            return True
        while True:
            try:
                return bool(self._store.get(key) == b"on")
            except dist.DistStoreError as error:
                if "timeout" not in str(error).lower():
                    raise

    def stop(self) -> None:
        """Rank 0 says that no further epoch is trained."""
        self._store.set(_word(self._num_asked + 1), "stop")


def _word(number: int) -> str:
    return f"epoch-{number}"


def _device_here(device: torch.device | None) -> torch.device | str:
    """Where a state is loaded before it is copied into a trainer's tensors."""
    return "cpu" if device is None else device


def _summed_gradient(bucket: GradBucket) -> torch.futures.Future[Tensor]:
    """The sum of a bucket over all processes: each loss is that of the whole batch, so nothing is averaged."""
    work = dist.all_reduce(bucket.buffer(), async_op=True)
    assert work is not None
    return cast("torch.futures.Future[Tensor]", work.get_future().then(lambda done: done.value()[0]))


class _Gathered(torch.autograd.Function):
    """logits_BC of the whole batch in every process, from each one's rows.

    Every process takes the gradient of the same loss, so its own rows of it are all that it needs.
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
