"""The ways of `benchmarks.cohort_prototypes` compared with members trained alone, its table and its command line."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from absgd.losses.attention import attention_weights
from absgd.training.cuda_graph import Replay
from benchmarks.cohort_prototypes import __main__ as cohort_prototypes
from benchmarks.cohort_prototypes.__main__ import main
from benchmarks.cohort_prototypes.cohort_members import (
    FusedStack,
    LockstepMember,
    MemberStack,
    VmapStack,
    prepare_lockstep,
    stacked_weights,
)
from benchmarks.cohort_prototypes.cohort_speeds import lockstep_speeds, lockstep_verdict, time_ways
from benchmarks.cohort_prototypes.cohort_ways import (
    LockstepEpoch,
    LockstepWay,
    WarmStep,
    build_ways,
    in_turn,
    warmed_up,
)
from benchmarks.harness.target_verdicts import TargetVerdict
from benchmarks.harness.workloads import EpochWorkload
from tests.support.gpus import needs_gpu
from tests.support.lockstep_stacks import SIZE, assert_members_get_the_numbers_of_runs_alone, members, shared
from tests.support.prototype_commands import TINY, set_arguments
from tune_runs.preview.probe_processes import ProbeProcessLost, TimedPass


@pytest.mark.parametrize("kind", [VmapStack, FusedStack])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_members_of_a_stack_get_the_numbers_of_runs_alone(
    kind: type[VmapStack | FusedStack], dtype: torch.dtype
) -> None:
    assert_members_get_the_numbers_of_runs_alone(kind, dtype, "resnet8")


@pytest.mark.parametrize("kind", [VmapStack, FusedStack])
def test_statistics_of_batch_norm_move_in_every_member(kind: type[VmapStack | FusedStack]) -> None:
    common = shared()
    stack = kind(common, members(common))
    stack.step()
    for number in range(SIZE):
        state = stack.member_state(number)
        assert int(state["features.1.num_batches_tracked"]) == 1
        assert float(state["features.1.running_mean"].abs().min()) > 0
    means = [stack.member_state(number)["features.1.running_mean"] for number in range(SIZE)]
    assert not torch.equal(means[0], means[1])


@pytest.mark.parametrize(("kind", "tolerance"), [(VmapStack, 0.2), (FusedStack, 0.01)])
def test_fast_step_of_a_stack_moves_weights_as_members_trained_alone(
    kind: type[VmapStack | FusedStack], tolerance: float
) -> None:
    """Differences are relative to the length of the step; `VmapStack` keeps convolutions in float32 on CPU."""
    common = shared(fast=True)
    alone = members(common)
    stack = kind(common, alone)
    before = [weights(member, member.state()).clone() for member in alone]
    stack.step()
    for number, member in enumerate(alone):
        member.step()
        moved, own = (weights(member, state) - before[number] for state in (stack.member_state(number), member.state()))
        assert float((moved - own).norm() / own.norm()) < tolerance


def weights(member: LockstepMember, state: dict[str, Tensor]) -> Tensor:
    """Concatenate all parameters to one vector."""
    return torch.cat([state[name].flatten() for name, _ in member.model.named_parameters()])


def test_stacked_weights_equal_each_members() -> None:
    lam_K, gamma_K, ab_alpha_K = torch.tensor([[5.0, -0.5, 1e-3], [0.5, 1.0, 0.1], [1.0, 0.5, 0.3]]).double()
    log_u_K = torch.full((SIZE,), -torch.inf, dtype=torch.float64)
    alone = list(log_u_K)
    for seed in range(3):
        loss_KB = 10 * torch.rand(SIZE, 7, generator=torch.Generator().manual_seed(seed))
        weights_KB, log_u_K = stacked_weights(loss_KB, log_u_K, lam_K, gamma_K, ab_alpha_K)
        for number in range(SIZE):
            settings = [float(values_K[number]) for values_K in (lam_K, gamma_K, ab_alpha_K)]
            weights_B, alone[number] = attention_weights(loss_KB[number], alone[number], *settings)
            torch.testing.assert_close(weights_KB[number], weights_B)
            torch.testing.assert_close(log_u_K[number], alone[number])


class Recording:
    """A recorder that needs no GPU; fails to capture with the message `refused`, where that is given."""

    def __init__(self, refused: str | None = None) -> None:
        self.refused, self.done = refused, list[str]()

    def warm_up(self, body: Replay) -> None:
        self.done.append("warm up")
        body()

    def capture(self, body: Replay) -> Replay:
        if self.refused:
            raise RuntimeError(self.refused)

        def replay() -> None:
            self.done.append("replay")
            body()

        return replay


def test_a_step_is_replayed_where_it_can_be_captured() -> None:
    recorder = Recording()
    warm = warmed_up(LockstepMember(shared(), 0), recorder)
    warm.step()
    assert (warm.how, recorder.done) == ("graph", ["warm up", "replay", "replay"])


def test_step_that_cannot_be_captured_runs_uncaptured_with_a_note() -> None:
    common = shared()
    stack = FusedStack(common, members(common))
    warm = warmed_up(stack, Recording("operation not permitted\nwhen stream is capturing"))
    assert warm.how == "eager, as it cannot be captured: operation not permitted"
    before = stack.log_u_K.clone()
    warm.step()
    assert not torch.equal(stack.log_u_K, before)


def test_members_take_turns() -> None:
    done: list[int] = []
    both = in_turn([WarmStep(lambda: done.append(1), "eager", 10), WarmStep(lambda: done.append(2), "eager", 20)])
    both.step()
    both.step()
    assert (done, both.peak_bytes) == ([1, 2, 1, 2], 30)


class FakeProcesses:
    """Processes that report passes of one second without training."""

    def __init__(self, *_: object) -> None:
        self.asked: list[Sequence[int]] = []

    def __enter__(self) -> FakeProcesses:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def grow(self, count: int) -> None:
        assert count == 2

    def train(self, asked: Sequence[int]) -> list[TimedPass]:
        self.asked.append(asked)
        return [TimedPass(0.0, 1.0, 5)] * len(asked)


def test_threads_are_divided_among_processes() -> None:
    processes = FakeProcesses()
    torch.set_num_threads(2)
    ways = build_ways(shared(), [1, 2], processes)  # type: ignore[arg-type]
    found = time_ways(ways, rounds=1)
    assert sorted(processes.asked) == [[1, 1], [1, 1], [2], [2]], "of a counted round and of the one before"
    assert found[2]["processes"] == [LockstepEpoch(1.0, 10)]
    assert {name: len(taken) for name, taken in found[2].items()} == dict.fromkeys(ways[2], 1)
    assert list(ways[2]) == ["in turn", "stacked", "fused", "processes"]


MADE_UP = {
    1: {"in turn": [LockstepEpoch(1.0, 100)] * 3, "stacked": [LockstepEpoch(2.0, 100)] * 3},
    2: {
        "in turn": [LockstepEpoch(1.6, 200)] * 3,
        "stacked": [LockstepEpoch(1.0, 100), LockstepEpoch(1.0, 120), LockstepEpoch(1.0, 100)],
    },
}
WAYS = {
    count: {name: LockstepWay(lambda: LockstepEpoch(1.0, 0), name) for name in named}
    for count, named in MADE_UP.items()
}


def test_ratios_compare_with_one_member_and_with_members_in_turn() -> None:
    rows = lockstep_speeds(MADE_UP, WAYS, num_images=10)
    assert rows[1]["stacked"].of_one == rows[1]["stacked"].of_in_turn == (0.5, 0.5, 0.5)
    assert rows[2]["in turn"].images_per_s == pytest.approx((12.5, 12.5, 12.5))
    assert rows[2]["in turn"].of_one == pytest.approx((1.25, 1.25, 1.25))
    assert rows[2]["stacked"].of_one == (2.0, 2.0, 2.0)
    assert rows[2]["stacked"].of_in_turn == pytest.approx((1.6, 1.6, 1.6))
    assert rows[2]["stacked"].peak_bytes == 120


def test_verdict_applies_to_the_best_way_on_a_gpu_only() -> None:
    rows = lockstep_speeds(MADE_UP, WAYS, num_images=10)
    assert lockstep_verdict(rows, "resnet32", "cpu").is_met is None
    verdict = lockstep_verdict(rows, "resnet32", "cuda")
    assert verdict.is_met is False
    assert "got 2.000 (quartiles 2.000 to 2.000) with 2 runs, stacked" in verdict.sentence


def test_exit_status_is_1_where_the_target_is_missed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cohort_prototypes, "ProbeProcesses", FakeProcesses)
    monkeypatch.setattr(cohort_prototypes, "lockstep_verdict", lambda *_: TargetVerdict(False, "too slow"))
    set_arguments(monkeypatch, *TINY)
    assert main() == 1
    assert capsys.readouterr().out.splitlines()[-1] == "MISSED: too slow"


def test_a_process_that_ends_is_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(*_: object) -> None:
        raise ProbeProcessLost("its process ended by SIGKILL")

    monkeypatch.setattr(cohort_prototypes, "ProbeProcesses", FakeProcesses)
    monkeypatch.setattr(FakeProcesses, "grow", lost)
    set_arguments(monkeypatch, *TINY)
    with pytest.raises(SystemExit, match="one of 2 processes: its process ended by SIGKILL: try fewer --members"):
        main()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--members", "0"], "expected a whole number of at least 1, got '0'"),
        (["--rounds", "1"], "expected a whole number of at least 2, got '1'"),
        (["--batches", "0"], "expected a whole number of at least 1, got '0'"),
        (["--model", "vgg"], "invalid choice: 'vgg'"),
        pytest.param(
            ["--device", "cuda"],
            "expected a CUDA device, found none",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is one"),
        ),
    ],
)
def test_wrong_options_are_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    set_arguments(monkeypatch, *arguments)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


@needs_gpu
@pytest.mark.parametrize("kind", [VmapStack, FusedStack])
def test_ways_are_captured_on_a_gpu(kind: type[MemberStack]) -> None:
    setup = prepare_lockstep(EpochWorkload("resnet8", 2, 8, "cuda", exact=True))
    ways = build_ways(setup, [1, 2], FakeProcesses())  # type: ignore[arg-type]
    name = "stacked" if kind is VmapStack else "fused"
    assert ways[2]["in turn"].how == ways[2][name].how == "graph"
    assert ways[2][name].epoch().peak_bytes > 0
