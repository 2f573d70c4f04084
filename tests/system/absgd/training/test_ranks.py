"""Several processes that train one run give the records of one process, and end together when one fails."""

from __future__ import annotations

import copy
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
import torch.distributed as dist

from absgd.config import RunConfig
from absgd.datasets import load_splits
from absgd.datasets.batch_shares import Share
from absgd.errors import UserError
from absgd.training import Diverged, Trainer
from absgd.training.local_ranks import local_ranks
from absgd.training.ranks import process_group, rank_failures
from absgd.training.ranks.alone import ALONE, Ranks
from absgd.training.ranks.joined import JoinedRanks
from absgd.training.ranks.process_group import Rendezvous, following, leading, refuse_mixed_gpus
from absgd.training.ranks.rank_failures import RankFailed, RanksLost
from tests.contracts.datasets import dataset_config
from tests.support import on_ranks as support
from tests.support.on_ranks import HOST, FollowerProcesses, nothing, on_ranks, rank_of
from tests.support.small_files import write_imagefolder
from tests.support.small_runs import config_with, numbers

FLOAT64_TOLERANCE = 1e-9
"""Relative tolerance of every number after two or three epochs in float64, where rounding grows to about 1e-13."""
FLOAT32_TOLERANCE = 1e-3
"""Tolerance of all weights relative to the length of a step in float32, where rounding is about 1e-6."""


class Trained(NamedTuple):
    """A run's results in one rank."""

    rows: list[dict[str, Any]]
    initial: dict[str, torch.Tensor]
    """State of the model before the first epoch."""
    final: dict[str, torch.Tensor]
    kept: list[bool]
    """Flags of the training samples that the loss keeps."""


def trained(ranks: Ranks, settings: dict[str, Any]) -> Trained:
    config = RunConfig.from_dict(settings)
    trainer = Trainer(config, load_splits(config), ranks=ranks)
    dtype = torch.get_default_dtype()
    trainer.model.register_forward_pre_hook(lambda _module, inputs: (inputs[0].to(dtype),))  # batches are float32
    initial = copy.deepcopy(trainer.model.state_dict())
    rows = [numbers(record) for record in trainer.epochs()]
    kept = getattr(trainer.objective.criterion, "keep_N", torch.ones(0)).tolist()
    return Trained(rows, initial, copy.deepcopy(trainer.model.state_dict()), kept)


def trained_in_float64(ranks: Ranks, settings: dict[str, Any]) -> Trained:
    """Train the run with model, loss and optimiser in float64.

    In float32 the order of sums decides how far the runs drift apart: on some processors by 1e-3 within two epochs.
    """
    torch.set_default_dtype(torch.float64)
    try:
        return trained(ranks, settings)
    finally:
        torch.set_default_dtype(torch.float32)


RUNS: dict[str, tuple[int, dict[str, Any]]] = {
    "dropout and deferred weights": (2, {}),
    "three ranks, uneven batches": (3, {"batch_size": 25, "model.dropout": 0.0}),
    "resampling": (2, {"class_balance.type": "resample", "class_balance.from_epoch": 0}),
    "pruning": (2, {"loss.name": "abtce", "loss.tce_k": 0.12, "class_balance": {"type": "none"}}),
    "clipping": (2, {"optimizer.grad_clip": 0.5, "loss.name": "absce", "loss.class_tau": 1.0}),
    "a last batch of one image": (2, {"model.name": "cnn8", "batch_size": 39, "optimizer.lr": 0.005, "epochs": 2}),
    "channels-last": (2, {"device.memory_format": "channels_last"}),
    "sharpness-aware": (2, {"optimizer.sam_rho": 0.05}),
    "tilted": (2, {"loss.name": "term", "attention": None, "class_balance": {"type": "none"}}),
    "label noise": (2, {"noise.type": "symmetric", "noise.rate": 0.2, "attention.lam": -1.0}),
}


ONE_STEP = {"epochs": 1, "batch_size": 10_000, "attention.switch_epoch": 0, "schedule.warmup_epochs": 0}
"""A single step in stage two; later steps are not comparable in float32: gradients jump where a ReLU turns."""


def all_trained(ranks: Ranks, runs: list[dict[str, Any]]) -> list[Trained]:
    return [*(trained_in_float64(ranks, settings) for settings in runs), one_step(ranks)]


def one_step(ranks: Ranks) -> Trained:
    return trained(ranks, config_with(**ONE_STEP).to_dict())


@pytest.fixture(scope="module")
def on_all_ranks() -> dict[str, list[Trained]]:
    """Results in each rank by name of the run; the processes are started once for each number of ranks."""
    found: dict[str, list[Trained]] = {}
    for size in (2, 3):
        names = [name for name, (its_size, _) in RUNS.items() if its_size == size]
        results = on_ranks(size, all_trained, [config_with(**RUNS[name][1]).to_dict() for name in names])
        names.append(f"one step of {size}")
        found.update({name: [each[place] for each in results] for place, name in enumerate(names)})
    return found


@pytest.mark.parametrize("name", RUNS)
def test_records_equal_one_process(name: str, on_all_ranks: dict[str, list[Trained]]) -> None:
    values = RUNS[name][1]
    if name == "a last batch of one image":
        assert sum(load_splits(config_with(**values)).class_counts) % values["batch_size"] == 1
    torch.set_num_threads(1)
    alone = trained_in_float64(ALONE, config_with(**values).to_dict())
    check_same_bits(on_all_ranks[name])
    ranks = on_all_ranks[name][0]
    assert ranks.kept == alone.kept
    for row, expected in zip(ranks.rows, alone.rows, strict=True):
        assert_close(row, expected)
    for own, value in ranks.final.items():
        torch.testing.assert_close(value, alone.final[own], rtol=FLOAT64_TOLERANCE, atol=FLOAT64_TOLERANCE)


@pytest.mark.parametrize("size", [2, 3])
def test_step_in_float32_equals_one_process(size: int, on_all_ranks: dict[str, list[Trained]]) -> None:
    torch.set_num_threads(1)
    alone = one_step(ALONE)
    results = on_all_ranks[f"one step of {size}"]
    check_same_bits(results)
    assert results[0].rows[0]["train_loss"] == pytest.approx(alone.rows[0]["train_loss"], rel=1e-5)
    difference = distance(results[0].final, alone.final)
    assert difference < FLOAT32_TOLERANCE * distance(alone.final, alone.initial)


def check_same_bits(results: list[Trained]) -> None:
    """Assert that every rank has the same bits, including log u and the statistics of batch norm."""
    first, *others = results
    for other in others:
        assert other.rows == first.rows
        assert other.kept == first.kept
        assert all(torch.equal(first.final[own], value) for own, value in other.final.items())


def distance(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    """Return the Euclidean distance of the parameters of two models."""
    parameters = [name for name in one if name.endswith(("weight", "bias"))]
    return sum(float((one[name].double() - other[name].double()).square().sum()) for name in parameters) ** 0.5


def assert_close(row: dict[str, Any], expected: dict[str, Any]) -> None:
    for column, value in expected.items():
        found, wanted = ([one] if not isinstance(one, tuple) else one for one in (row[column], value))
        for one, other in zip(found, wanted, strict=True):
            close = other if other is None else pytest.approx(other, rel=FLOAT64_TOLERANCE, abs=FLOAT64_TOLERANCE)
            assert one == close, column


def test_ranks_resume_from_the_state_of_rank_0_to_the_same_bits() -> None:
    settings = config_with().to_dict()
    whole = on_ranks(2, trained, settings)[0]
    (rows, model), _ = on_ranks(2, trained_in_two_parts, settings)
    assert rows == whole.rows
    assert all(torch.equal(value, whole.final[name]) for name, value in model.items())


def trained_in_two_parts(ranks: Ranks, settings: dict[str, Any]) -> tuple[list[Any], dict[str, torch.Tensor]]:
    config = RunConfig.from_dict(settings)
    first = Trainer(config.with_values({"epochs": 3}), load_splits(config), ranks=ranks)
    epochs = first.epochs()
    rows = [numbers(next(epochs)), numbers(next(epochs))]
    second = Trainer(config, load_splits(config), ranks=ranks)
    if rank_of(ranks) == 0:
        second.load_state_dict(first.state_dict())
    return [*rows, *map(numbers, second.epochs())], second.model.state_dict()


def test_loss_that_is_not_finite_in_one_rank_ends_all_at_the_same_step() -> None:
    assert on_ranks(2, step_of_divergence, config_with().to_dict()) == [(0, 2), (0, 2)]


def step_of_divergence(ranks: Ranks, settings: dict[str, Any]) -> tuple[int, int]:
    config = RunConfig.from_dict(settings)
    trainer = Trainer(config, load_splits(config), ranks=ranks)
    passes = 0

    def spoilt(_module: Any, _inputs: Any, logits_BC: torch.Tensor) -> torch.Tensor:
        nonlocal passes
        passes += 1
        return logits_BC * torch.nan if passes == 3 and rank_of(ranks) == 1 else logits_BC

    trainer.model.register_forward_hook(spoilt)
    with pytest.raises(Diverged) as error:
        list(trainer.epochs())
    return error.value.epoch, error.value.step


def test_run_closed_between_epochs_ends_every_rank_cleanly() -> None:
    started: list[FollowerProcesses] = []

    def start(rendezvous: Rendezvous) -> FollowerProcesses:
        started.append(FollowerProcesses(trained, (config_with(epochs=50).to_dict(),), rendezvous))
        return started[0]

    with leading(2, HOST, start, nothing, "gloo") as (ranks, _):
        config = config_with(epochs=50)
        epochs = Trainer(config, load_splits(config), ranks=ranks).epochs()
        next(epochs)
    assert [one.exitcode for one in started[0].all] == [0], "the other rank was killed"


@pytest.mark.parametrize("ends", ["killed", "raises", "refuses"])
def test_rank_0_ends_with_the_reason_of_a_rank_that_ends(ends: str) -> None:
    kinds = {"killed": (RanksLost, "rank 1 ended with -9"), "raises": (RankFailed, "rank 1: KeyError: 'x'")}
    kind, words = kinds.get(ends, (UserError, "expected an image"))
    with pytest.raises(kind, match=words):
        on_ranks(3, ends_early, config_with(epochs=50).to_dict(), ends)
    assert not dist.is_initialized()


def ends_early(ranks: Ranks, settings: dict[str, Any], ends: str) -> None:
    config = RunConfig.from_dict(settings)
    for record in Trainer(config, load_splits(config), ranks=ranks).epochs():
        if rank_of(ranks) == 1 and record.epoch == 1:
            if ends == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            raise KeyError("x") if ends == "raises" else UserError("expected an image, got none")


def test_image_that_another_rank_cannot_read_is_named(tmp_path: Path) -> None:
    root = write_imagefolder(tmp_path, num_classes=3, per_class=9)
    config = dataset_config("imagefolder", root, **{"data.side": 16, "data.workers": 0, "batch_size": 27})
    splits = load_splits(config)
    for position in range(len(splits.train)):
        splits.train.path(position).write_bytes(f"broken {position}".encode())  # type: ignore[union-attr]
    with pytest.raises(UserError, match="expected an image, got a file that is not an image"):
        on_ranks(2, trained, config.to_dict())


def test_ranks_of_a_data_set_on_disk_read_with_their_own_workers(tmp_path: Path) -> None:
    root = write_imagefolder(tmp_path, num_classes=3, per_class=9)
    more = {"data.side": 16, "data.workers": 1, "batch_size": 8, "epochs": 1, "optimizer.lr": 1e-5}
    config = dataset_config("imagefolder", root, **more).with_values({"device": {"type": "cpu", "ranks": 2}})
    with local_ranks(config) as (ranks, splits):
        (record,) = Trainer(config, splits, ranks=ranks).epochs()
    (alone,) = Trainer(config, splits).epochs()
    assert record.train_loss == pytest.approx(alone.train_loss, rel=1e-3)


def test_record_of_an_aborted_group_is_not_used() -> None:
    ranks = JoinedRanks(Share(0, 2), dist.HashStore())
    ranks.check()
    ranks.is_broken = True
    with pytest.raises(RuntimeError, match="aborted: another process is lost"):
        ranks.check()
    ALONE.check()


def test_gpus_of_several_kinds_are_refused() -> None:
    refuse_mixed_gpus(["H100", "H100"])
    with pytest.raises(UserError, match=r"got A100 and H100 \(device.ranks\)"):
        refuse_mixed_gpus(["H100", "A100", "H100"])


def test_process_whose_partner_hangs_says_so_and_ends_itself(capfd: pytest.CaptureFixture[str]) -> None:
    """The launcher reports the partner as lost while its connection stays open, as NCCL sees a dead partner."""
    waiting = multiprocessing.get_context("spawn").Process(target=waits_for_a_hanging_partner)
    waiting.start()
    waiting.join(300)
    code = waiting.exitcode
    waiting.kill()
    assert code == 1
    assert "error: rank 1 does not answer" in capfd.readouterr().err.splitlines()


def waits_for_a_hanging_partner() -> None:
    rank_failures.ABORTED_S = 1.0

    class Hanging(FollowerProcesses):
        has_joined = False

        def lost(self) -> str | None:
            return "rank 1 does not answer" if self.has_joined else None

    started: list[Hanging] = []

    def start(rendezvous: Rendezvous) -> Hanging:
        started.append(Hanging(sleeps, (), rendezvous))
        return started[0]

    with leading(2, HOST, start, nothing, "gloo"):
        started[0].has_joined = True
        dist.all_reduce(torch.ones(1))
    os._exit(7)


def sleeps(ranks: Ranks) -> None:
    time.sleep(300)


def says_here(
    function: Callable[..., None], arguments: tuple[Any, ...], rendezvous: Rendezvous, rank: int, _: str
) -> None:
    host, port, size = rendezvous
    store = dist.TCPStore(host, port, size, is_master=False)
    for word in ("here", "loaded"):
        store.set(f"{word}-{rank}", "")
    function(*arguments)


class Absent(FollowerProcesses):
    """Ranks that say that they are there, and then call a function instead of joining the group."""

    target = staticmethod(says_here)


def test_rank_that_ends_before_the_group_is_formed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    is_over = threading.Event()

    def never_forms(*_: Any, **__: Any) -> None:
        assert is_over.wait(300), "rank 0 waited for a rank that is gone"

    monkeypatch.setattr(dist, "init_process_group", never_forms)
    try:
        with pytest.raises(RanksLost, match="rank 1 ended with 3"), leading_absent_ranks(2, ends_with_3):
            pass
    finally:
        is_over.set()


def leading_absent_ranks(size: int, function: Callable[..., None], *arguments: Any) -> Any:
    return leading(size, HOST, lambda rendezvous: Absent(function, arguments, rendezvous), nothing, "gloo")


def ends_with_3() -> None:
    os._exit(3)


def test_signal_ends_a_run_whose_group_is_not_formed() -> None:
    context = multiprocessing.get_context("spawn")
    is_forming = context.Event()
    run = context.Process(target=leads_absent_ranks, args=(is_forming,))
    run.start()
    try:
        assert is_forming.wait(120)
        assert run.pid is not None
        os.kill(run.pid, signal.SIGINT)
        run.join(120)
        assert run.exitcode == 5
    finally:
        run.kill()


def leads_absent_ranks(is_forming: Any) -> None:
    init = dist.init_process_group

    def said(*arguments: Any, **options: Any) -> None:
        is_forming.set()
        init(*arguments, **options)

    dist.init_process_group = said
    support.PATIENCE_S = 1.0
    try:
        with leading_absent_ranks(3, time.sleep, 300):
            pass
    except KeyboardInterrupt:
        sys.exit(5)  # not by `os._exit`: a thread that still waits for the group must not abort the end of Python


def test_rank_that_cannot_load_ends_the_run_before_any_joins() -> None:
    started: list[FollowerProcesses] = []

    def start(rendezvous: Rendezvous) -> FollowerProcesses:
        started.append(Unable(refuses, (), rendezvous))
        return started[0]

    with (
        pytest.raises(UserError, match="expected an image, got none"),
        leading(3, HOST, start, nothing, "gloo"),
    ):
        pass
    assert not dist.is_initialized()
    assert [one.exitcode for one in started[0].all] == [1, 1], "the other rank was killed"


def refuses() -> None:
    raise UserError("expected an image, got none")


def loads(load: Callable[[], None], _arguments: Any, rendezvous: Rendezvous, rank: int, _folder: str) -> None:
    with following(rendezvous, rank, load if rank == 2 else nothing, "gloo"):
        pass


class Unable(FollowerProcesses):
    """Ranks of which the second calls a function as its images are loaded."""

    target = staticmethod(loads)


def test_other_ranks_end_by_themselves_if_rank_0_cannot_load() -> None:
    started: list[FollowerProcesses] = []

    def start(rendezvous: Rendezvous) -> FollowerProcesses:
        started.append(FollowerProcesses(sleeps, (), rendezvous))
        return started[0]

    with pytest.raises(UserError, match="expected an image"), leading(3, HOST, start, refuses, "gloo"):
        pass
    assert [one.exitcode for one in started[0].all] == [1, 1], "the other rank was killed"


def test_error_of_a_rank_is_raised_once_rank_0_has_loaded() -> None:
    has_loaded: list[bool] = []

    def load() -> None:
        time.sleep(2.0)
        has_loaded.append(True)

    with (
        pytest.raises(UserError, match="expected an image"),
        leading(3, HOST, lambda rendezvous: Unable(refuses, (), rendezvous), load, "gloo"),
    ):
        pass
    assert has_loaded


def test_ranks_wait_for_rank_0_to_load_longer_than_a_process_may_take_to_start() -> None:
    def load() -> None:
        deadline = time.monotonic() + 120
        while not list(Path(started[0].folder.name).glob("*")):  # the other rank has loaded
            assert time.monotonic() < deadline
            time.sleep(0.1)
        time.sleep(4 * SHORT_START_S)

    started: list[FollowerProcesses] = []

    def start(rendezvous: Rendezvous) -> FollowerProcesses:
        started.append(Impatient(nothing, (), rendezvous))
        return started[0]

    with leading(2, HOST, start, load, "gloo"):
        dist.barrier()
    assert [one.exitcode for one in started[0].all] == [0]


SHORT_START_S = 1.0


def joins_with_short_start(_load: Any, _arguments: Any, rendezvous: Rendezvous, rank: int, folder: str) -> None:
    process_group.START_S = SHORT_START_S
    with following(rendezvous, rank, Path(folder, "loaded").touch, "gloo"):
        dist.barrier()  # a rank that leaves at once may end the join of the other


class Impatient(FollowerProcesses):
    """Ranks that torch lets wait a second for a word of rank 0."""

    target = staticmethod(joins_with_short_start)


def test_ranks_that_were_started_end_if_an_interrupt_comes_meanwhile() -> None:
    started: list[FollowerProcesses] = []

    class Interrupted(FollowerProcesses):
        def start(self) -> None:
            started.append(self)
            super().start()
            raise KeyboardInterrupt

    with (
        pytest.raises(KeyboardInterrupt),
        leading(2, HOST, lambda rendezvous: Interrupted(sleeps, (), rendezvous), nothing, "gloo"),
    ):
        pass
    assert [one.exitcode for one in started[0].all] == [1]


class Gone(NamedTuple):
    """Followers of which one is lost."""

    reason: str | None

    def start(self) -> None:
        """Nothing runs."""

    def lost(self) -> str | None:
        return self.reason

    def end(self) -> None:
        """Nothing runs."""


def test_group_that_cannot_be_formed_is_an_error() -> None:
    def fails() -> None:
        raise RuntimeError("gloo: connection refused")

    with pytest.raises(RuntimeError, match="connection refused"):
        rank_failures.join_watched(fails, nothing, dist.HashStore(), 2, Gone(None))


def test_group_that_forms_after_the_run_has_failed_is_left() -> None:
    may_join, has_left = threading.Event(), threading.Event()

    with pytest.raises(RanksLost, match="rank 1 is gone"):
        rank_failures.join_watched(
            lambda: bool(may_join.wait()), has_left.set, dist.HashStore(), 2, Gone("rank 1 is gone")
        )
    assert not has_left.is_set()
    may_join.set()
    assert has_left.wait(30)


def test_run_cannot_have_more_ranks_than_images_in_a_batch() -> None:
    with pytest.raises(UserError, match="expected `ranks` <= `batch_size` \\(32\\), got 33"):
        config_with(**{"device.ranks": 33})
