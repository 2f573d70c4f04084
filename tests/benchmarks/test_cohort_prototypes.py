"""The ways of `benchmarks.cohort_prototypes` against members trained alone, its table, and its command line."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from absgd.losses.attention import attention_weights
from absgd.training.cuda_graph import Replay
from benchmarks import cohort_prototypes
from benchmarks.cohort_members import Fused, Member, Shared, Stack, Stacked, prepare, stacked_weights
from benchmarks.cohort_prototypes import main, measure, summary, verdict
from benchmarks.cohort_ways import Ready, Taken, Way, build_ways, in_turn, made_ready
from benchmarks.packing import Work
from tune_runs.preview.probe_processes import ProbeProcessLost, TimedPass

SIZE, STEPS = 3, 3
TOLERANCE = {torch.float64: 1e-13, torch.float32: 1e-4}
"""Of every weight and statistic after STEPS steps, relative and absolute."""


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Two that wait for each other are slow where other processes work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def shared(case: str = "resnet8", fast: bool = False, dtype: torch.dtype = torch.float32) -> Shared:
    found = prepare(Work(case, num_batches=1, batch=8, device="cpu", exact=not fast))
    return found._replace(batch=found.batch._replace(images_BCHW=found.batch.images_BCHW.to(dtype)))


def members(common: Shared, dtype: torch.dtype = torch.float32) -> list[Member]:
    made = [Member(common, number) for number in range(SIZE)]
    for member in made:
        member.model.to(dtype)
    return made


def distance(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    """Largest difference of two states, relative where numbers are larger than 1."""
    assert one.keys() == other.keys()
    return max(float(((one[name] - other[name]).abs() / other[name].abs().clamp(min=1)).max()) for name in one)


@pytest.mark.parametrize("case", ["resnet8", "resnet32"])
@pytest.mark.parametrize("kind", [Stacked, Fused])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_members_of_a_stack_get_the_numbers_that_they_get_alone(
    kind: type[Stacked | Fused], dtype: torch.dtype, case: str
) -> None:
    common = shared(case, dtype=dtype)
    alone = members(common, dtype)
    stack = kind(common, alone)
    for _ in range(STEPS):
        stack.step()
        for member in alone:
            member.step()
    for number, member in enumerate(alone):
        assert distance(stack.member_state(number), member.state()) < TOLERANCE[dtype]
        attention = member.learner.objective.attention
        assert attention is not None
        assert float(stack.log_u_K[number]) == pytest.approx(float(attention.log_u), rel=TOLERANCE[dtype])
    assert distance(alone[0].state(), alone[1].state()) > 100 * TOLERANCE[dtype], "they are different runs"


@pytest.mark.parametrize("kind", [Stacked, Fused])
def test_statistics_of_batch_norm_move_in_every_member(kind: type[Stacked | Fused]) -> None:
    common = shared()
    stack = kind(common, members(common))
    stack.step()
    for number in range(SIZE):
        state = stack.member_state(number)
        assert int(state["features.1.num_batches_tracked"]) == 1
        assert float(state["features.1.running_mean"].abs().min()) > 0
    means = [stack.member_state(number)["features.1.running_mean"] for number in range(SIZE)]
    assert not torch.equal(means[0], means[1])


@pytest.mark.parametrize(("kind", "tolerance"), [(Stacked, 0.2), (Fused, 0.01)])
def test_a_fast_step_of_a_stack_moves_weights_as_members_move_alone(
    kind: type[Stacked | Fused], tolerance: float
) -> None:
    """Relative to the length of the step; `Stacked` has its convolutions in float32 on CPU."""
    common = shared(fast=True)
    alone = members(common)
    stack = kind(common, alone)
    before = [weights(member, member.state()).clone() for member in alone]
    stack.step()
    for number, member in enumerate(alone):
        member.step()
        moved, own = (weights(member, state) - before[number] for state in (stack.member_state(number), member.state()))
        assert float((moved - own).norm() / own.norm()) < tolerance


def weights(member: Member, state: dict[str, Tensor]) -> Tensor:
    """All parameters in one vector."""
    return torch.cat([state[name].flatten() for name, _ in member.model.named_parameters()])


def test_stacked_weights_are_those_of_each_member() -> None:
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
    """Captures without a GPU, unless it is told that it cannot."""

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
    ready = made_ready(Member(shared(), 0), recorder)
    ready.step()
    assert (ready.how, recorder.done) == ("graph", ["warm up", "replay", "replay"])


def test_a_step_that_cannot_be_captured_runs_as_it_is_and_says_so() -> None:
    common = shared()
    stack = Fused(common, members(common))
    ready = made_ready(stack, Recording("operation not permitted\nwhen stream is capturing"))
    assert ready.how == "eager, as it cannot be captured: operation not permitted"
    before = stack.log_u_K.clone()
    ready.step()
    assert not torch.equal(stack.log_u_K, before)


def test_members_take_turns() -> None:
    done: list[int] = []
    both = in_turn([Ready(lambda: done.append(1), "eager", 10), Ready(lambda: done.append(2), "eager", 20)])
    both.step()
    both.step()
    assert (done, both.peak_bytes) == ([1, 2, 1, 2], 30)


class FakeProcesses:
    """Processes that take a second each."""

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
    found = measure(ways, rounds=1)
    assert sorted(processes.asked) == [[1, 1], [1, 1], [2], [2]], "of a counted round and of the one before"
    assert found[2]["processes"] == [Taken(1.0, 10)]
    assert {name: len(taken) for name, taken in found[2].items()} == dict.fromkeys(ways[2], 1)
    assert list(ways[2]) == ["in turn", "stacked", "fused", "processes"]


MADE_UP = {
    1: {"in turn": [Taken(1.0, 100)] * 3, "stacked": [Taken(2.0, 100)] * 3},
    2: {"in turn": [Taken(1.6, 200)] * 3, "stacked": [Taken(1.0, 100), Taken(1.0, 120), Taken(1.0, 100)]},
}
WAYS = {count: {name: Way(lambda: Taken(1.0, 0), name) for name in named} for count, named in MADE_UP.items()}


def test_ratios_are_of_one_member_and_of_as_many_in_turn() -> None:
    rows = summary(MADE_UP, WAYS, num_images=10)
    assert rows[1]["stacked"].of_one == rows[1]["stacked"].of_in_turn == (0.5, 0.5, 0.5)
    assert rows[2]["in turn"].images_per_s == pytest.approx((12.5, 12.5, 12.5))
    assert rows[2]["in turn"].of_one == pytest.approx((1.25, 1.25, 1.25))
    assert rows[2]["stacked"].of_one == (2.0, 2.0, 2.0)
    assert rows[2]["stacked"].of_in_turn == pytest.approx((1.6, 1.6, 1.6))
    assert rows[2]["stacked"].peak_bytes == 120


def test_verdict_is_of_the_best_way_on_a_gpu_alone() -> None:
    rows = summary(MADE_UP, WAYS, num_images=10)
    assert verdict(rows, "resnet32", "cpu")[0] is None
    is_met, sentence = verdict(rows, "resnet32", "cuda")
    assert is_met is False
    assert "got 2.000 (quartiles 2.000 to 2.000) with 2 runs, stacked" in sentence


def asked(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["cohort_prototypes.py", *arguments])


TINY = (
    "--threads",
    "1",
    "--model",
    "resnet8",
    "--members",
    "2",
    "--rounds",
    "2",
    "--batches",
    "1",
    "--batch",
    "4",
    "--device",
    "cpu",
)


def test_command_prints_and_keeps_a_row_for_each_way_and_number(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    asked(monkeypatch, *TINY, "--fast", "--json", str(tmp_path / "x.json"))
    assert main() == 0
    printed = capsys.readouterr().out
    report = json.loads((tmp_path / "x.json").read_text())
    assert list(report["rows"]) == ["1", "2"]
    for named in report["rows"].values():
        assert list(named) == ["in turn", "stacked", "fused", "processes"]
        assert all(row["images_per_s"][1] > 0 and row["peak_bytes"] == 0 for row in named.values())
    assert report["rows"]["1"]["in turn"]["of_one"] == [1.0, 1.0, 1.0]
    assert report["memory_format"] == "channels_last"
    assert len([line for line in printed.splitlines() if line.lstrip().startswith(("1 ", "2 "))]) == 8
    assert printed.splitlines()[-1] == "not measured: cuda, resnet32: together at least 4 times one at a time"


def test_status_is_one_where_the_target_is_missed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cohort_prototypes, "ProbeProcesses", FakeProcesses)
    monkeypatch.setattr(cohort_prototypes, "verdict", lambda *_: (False, "too slow"))
    asked(monkeypatch, *TINY)
    assert main() == 1
    assert capsys.readouterr().out.splitlines()[-1] == "MISSED: too slow"


def test_a_process_that_ends_is_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(*_: object) -> None:
        raise ProbeProcessLost("its process ended by SIGKILL")

    monkeypatch.setattr(cohort_prototypes, "ProbeProcesses", FakeProcesses)
    monkeypatch.setattr(FakeProcesses, "grow", lost)
    asked(monkeypatch, *TINY)
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
    asked(monkeypatch, *arguments)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("kind", [Stacked, Fused])
def test_ways_are_captured_on_a_gpu(kind: type[Stack]) -> None:
    ways = build_ways(prepare(Work("resnet8", 2, 8, "cuda", exact=True)), [1, 2], FakeProcesses())  # type: ignore[arg-type]
    name = "stacked" if kind is Stacked else "fused"
    assert ways[2]["in turn"].how == ways[2][name].how == "graph"
    assert ways[2][name].epoch().peak_bytes > 0
