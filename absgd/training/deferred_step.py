"""A training step that never waits for the device."""

from __future__ import annotations

from typing import Any

from absgd.training.step import LOSS, NORM, BatchOf, Diverged, EpochSums, EpochTotals, Learner


class DeferredStep:
    """The operations of `ExactStep` in the same order, with the checks for finite numbers at the end of the epoch.

    Nothing is read from the device before `totals`, so the host can queue steps ahead, and a CUDA graph can hold one.
    """

    def __init__(self, learner: Learner, sums: EpochSums, batch_of: BatchOf) -> None:
        self._learner, self._sums, self._batch_of = learner, sums, batch_of
        self._epoch = 0

    def begin(self, epoch: int) -> None:
        """Call before the first batch of an epoch."""
        self._epoch = epoch
        self._sums.reset()

    def __call__(self, draw: Any) -> None:
        """Train on the batch of a draw, whether or not its numbers are finite."""
        batch = self._batch_of(draw)
        step = self._learner.loss(batch, self._epoch)
        self._sums.note(LOSS, step.loss.detach().isfinite())
        is_finite = self._learner.backward(step, batch, self._epoch)
        if is_finite is not None:
            self._sums.note(NORM, is_finite)
        self._learner.optimizer.step()
        self._sums.add(step, batch)

    def totals(self) -> EpochTotals:
        """Totals of the epoch, in one transfer from the device.

        Raises:
            Diverged: naming the first step whose loss, or norm of a gradient to be clipped, was not finite.
        """
        totals = self._sums.read()
        if totals.first_bad is not None:
            raise Diverged(self._epoch, *totals.first_bad)
        return totals
