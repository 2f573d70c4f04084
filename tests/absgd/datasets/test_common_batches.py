"""Shared batches: built once for runs in step, and equal to those of each run alone."""

from __future__ import annotations

import gc
import itertools
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from absgd.config import RunConfig
from absgd.datasets import Batch, BatchSource, CommonImages, Splits, build_batches, load_splits
from absgd.datasets.common_batches import CommonBatches
from absgd.errors import UserError
from tests.support.small_runs import make

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def splits() -> Splits:
    return load_splits(make())


class Counting:
    """A source that counts the batches that it makes, and how many of them are still alive."""

    def __init__(self, source: BatchSource) -> None:
        self._source = source
        self.made = 0
        self._batches: list[weakref.ref[torch.Tensor]] = []

    def draws(self, seed: int, epoch: int, batch_size: int) -> Iterator[Any]:
        return self._source.draws(seed, epoch, batch_size)

    def batch_of(self, draw: Any) -> Batch:
        self.made += 1
        batch = self._source.batch_of(draw)
        self._batches.append(weakref.ref(batch.images_BCHW))
        return batch

    def evaluation(self, batch_size: int) -> Iterator[Batch]:
        for batch in self._source.evaluation(batch_size):
            self.made += 1
            yield batch

    @property
    def alive(self) -> int:
        gc.collect()
        return sum(batch() is not None for batch in self._batches)


def counted(splits: Splits) -> tuple[Counting, CommonBatches]:
    source = Counting(build_batches(splits.train, make(), CPU))
    return source, CommonBatches(splits.train, source, CPU)


def same(one: list[Batch], other: list[Batch]) -> bool:
    return len(one) == len(other) and all(
        torch.equal(ours, theirs) for pair in zip(one, other, strict=True) for ours, theirs in zip(*pair, strict=True)
    )


def test_runs_in_step_share_every_batch_and_nothing_is_kept(splits: Splits) -> None:
    source, common = counted(splits)
    passes = [common.draws(0, 1, 32) for _ in range(3)]
    steps = 0
    for batches in zip(*passes, strict=True):
        assert all(batch is batches[0] for batch in batches)
        steps += 1
        del batches
        assert source.alive <= 1
    assert source.made == steps > 2
    assert source.alive == 0


def test_batches_equal_those_of_a_run_alone(splits: Splits) -> None:
    _, common = counted(splits)
    alone = build_batches(splits.train, make(), CPU)
    (one, other) = zip(*zip(common.draws(3, 2, 32), common.draws(3, 2, 32), strict=True), strict=True)
    expected = [alone.batch_of(draw) for draw in alone.draws(3, 2, 32)]
    assert same(list(one), expected)
    assert same(list(other), expected)
    assert same(list(common.evaluation(50)), list(alone.evaluation(50)))


def test_validation_batches_are_shared_too(splits: Splits) -> None:
    source, common = counted(splits)
    pairs = list(zip(common.evaluation(50), common.evaluation(50), strict=True))
    assert all(one is other for one, other in pairs)
    assert source.made == len(pairs) > 2


def test_run_that_joins_late_gets_its_own_batches(splits: Splits) -> None:
    source, common = counted(splits)
    first = common.draws(0, 0, 32)
    begun = list(itertools.islice(first, 2))
    late = list(common.draws(0, 0, 32))
    assert same(late, [*begun, *first])
    assert source.made == 2 * len(late)


def test_run_that_joins_before_the_second_batch_shares(splits: Splits) -> None:
    source, common = counted(splits)
    first = common.draws(0, 0, 32)
    begun = [next(first)]
    late = common.draws(0, 0, 32)
    late_begun = [next(late)]
    assert same([*begun, *first], [*late_begun, *late])
    assert source.made == len(list(build_batches(splits.train, make(), CPU).draws(0, 0, 32)))


def test_run_that_leaves_keeps_no_batch(splits: Splits) -> None:
    source, common = counted(splits)
    leaves, stays = common.draws(0, 0, 32), common.draws(0, 0, 32)
    next(leaves), next(stays)
    leaves.close()  # type: ignore[attr-defined]
    del leaves
    for batch in stays:
        del batch
        assert source.alive <= 1


@pytest.mark.parametrize("at", [0, 1])
def test_unreadable_image_is_an_error_in_every_run(splits: Splits, at: int) -> None:
    source, common = counted(splits)
    makes_until(source, at, [UserError("cannot read image 33")] * 3)
    runs = [common.draws(0, 0, 32) for _ in range(3)]
    for _ in range(at):
        for run in runs:
            next(run)
    for run in runs:
        with pytest.raises(UserError, match="cannot read image 33"):
            next(run)


@pytest.mark.parametrize("at", [0, 1, 2])
def test_passing_error_reaches_one_run_only(splits: Splits, at: int) -> None:
    """An error that passes, such as no memory left on a GPU: the other runs continue, and later ones join."""
    source, common = counted(splits)
    makes_until(source, at, [torch.OutOfMemoryError("CUDA out of memory")])
    unlucky, other = common.draws(0, 0, 32), common.draws(0, 0, 32)
    found = []
    for _ in range(at):
        next(unlucky)
        found.append(next(other))
    with pytest.raises(torch.OutOfMemoryError):
        next(unlucky)
    alone = build_batches(splits.train, make(), CPU)
    expected = [alone.batch_of(draw) for draw in alone.draws(0, 0, 32)]
    assert same([*found, *other], expected)
    assert same(list(common.draws(0, 0, 32)), expected)


def makes_until(source: Counting, at: int, errors: list[Exception]) -> None:
    """Let a source make `at` batches, then raise the errors, then make the rest."""

    def batch_of(draw: Any) -> Batch:
        if source.made == at and errors:
            raise errors.pop()
        return Counting.batch_of(source, draw)

    source.batch_of = batch_of  # type: ignore[method-assign]


def test_pass_that_all_have_left_at_its_first_batch_is_not_kept(splits: Splits) -> None:
    source, common = counted(splits)
    left = common.draws(0, 0, 32)
    next(left)
    del left
    assert source.alive == 0


@pytest.mark.parametrize("other", [(1, 0, 32), (0, 1, 32), (0, 0, 16)])
def test_other_epochs_seeds_and_sizes_are_not_mixed(splits: Splits, other: tuple[int, int, int]) -> None:
    _, common = counted(splits)
    alone = build_batches(splits.train, make(), CPU)
    batches = list(itertools.zip_longest(common.draws(0, 0, 32), common.draws(*other)))
    expected = list(itertools.zip_longest(alone.training(0, 0, 32), alone.training(*other)))
    for mine, theirs in zip(zip(*batches, strict=True), zip(*expected, strict=True), strict=True):
        assert same([one for one in mine if one], [one for one in theirs if one])


def test_epoch_of_one_batch_is_not_kept_for_the_next_time(splits: Splits) -> None:
    source, common = counted(splits)
    for _ in range(2):
        assert len(list(common.draws(0, 0, 10**6))) == 1
    assert source.made == 2
    assert source.alive == 0


def test_images_are_stored_once_for_runs_with_the_same_settings(splits: Splits) -> None:
    images = CommonImages()

    def of(config: RunConfig, which: Any = splits.train) -> CommonBatches:
        return images.batches(which, config, CPU)

    kept = of(make())
    assert of(make(**{"attention.lam": 9.0, "optimizer.lr": 0.3, "seeds.train": 4})) is kept
    others = [
        of(make(), splits.val),
        of(make(**{"augmentation.pad": 2})),
        of(make(**{"class_balance": {"type": "resample", "from_epoch": "switch"}})),
        of(make(**{"class_balance": {"type": "resample", "from_epoch": "switch"}, "attention.switch_epoch": 3})),
    ]
    assert of(make(**{"attention.switch_epoch": 3})) is kept, "class weights act in the loss only"
    assert of(make(**{"class_balance": {"type": "none"}})) is kept
    assert len({id(one) for one in [kept, *others]}) == 5


def test_images_are_freed_with_the_last_run(splits: Splits) -> None:
    images = CommonImages()
    batches = images.batches(splits.train, make(), CPU)
    gone = weakref.ref(batches)
    del batches
    gc.collect()
    assert gone() is None
