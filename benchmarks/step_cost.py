"""Cost of a stage-two step of ABSGD, compared with a plain cross-entropy step on a ResNet-8 batch.

    python -m benchmarks.step_cost [--rounds 60] [--steps 3] [--batch 128] [--device cpu] [--threads 1]
                                   [--published SCRATCH] [--json FILE]

To measure the authors' package too, install it where no import finds it, since its name is `absgd` as well:

    pip install --target SCRATCH --no-deps absgd==0.0.1

Every contender trains its own copy of one model on one batch. Each round times `steps` steps of every contender in a
new random order and divides by the round's plain step. `plain_again` is a second plain contender: the deviation of its
ratio from 1 is noise. On the CPU the clock is the processor time of this process, which other work on the machine
disturbs least; on a GPU it is wall time with the device synchronised. With --published, the losses of both ABLoss are
compared too.

Exit status: 1 if the median ratio of `absgd` or `ab_loss` exceeds 1.03, or if the losses of the two ABLoss differ by
more than 1e-5 (float32) or 1e-10 (float64) of their value; 2 if the command line is wrong; else 0.
"""

from __future__ import annotations

import argparse
import copy
import importlib.util
import math
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from absgd.config.sections import ModelConfig
from absgd.losses import ABLoss, AttentionWeights, CrossEntropy, Objective
from absgd.models import build_model
from absgd.training import gpu_names
from benchmarks.harness.command_line import (
    at_least,
    command_parser,
    report_environment,
    without_folders,
    write_json_report,
)
from benchmarks.harness.interleaved_rounds import interleaved_rounds, quartiles
from benchmarks.harness.target_verdicts import TargetVerdict, exit_status
from benchmarks.harness.workloads import NUM_CLASSES, synchronise

LossFunction = Callable[[Tensor, Tensor], Tensor]
LAM, GAMMA, AB_ALPHA = 5.0, 0.7, 0.5
MAX_RATIO = 1.03
"""Largest accepted median ratio of a stage-two step to a plain one."""
OURS = ("absgd", "ab_loss")
MAX_DIFFERENCE = {torch.float32: 1e-5, torch.float64: 1e-10}
"""Largest accepted relative difference between our loss and that of the published package."""


def published_ab_loss(folder: Path) -> Any:
    """Load the class ABLoss of the authors' package installed in `folder`, under another name than `absgd`."""
    path = folder / "absgd" / "losses" / "ABLosses.py"
    spec = importlib.util.spec_from_file_location("published_ab_losses", path)
    if spec is None or spec.loader is None or not path.is_file():
        print(f"expected the package absgd 0.0.1 in {folder}, found no {path} (--published)", file=sys.stderr)
        raise SystemExit(2)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.ABLoss


def contender_losses(published: Any, device: torch.device) -> dict[str, LossFunction]:
    """Return name -> loss of (logits_BC, labels_B); those with attention weights are in stage two."""
    objective = Objective(CrossEntropy(), attention=AttentionWeights(LAM, GAMMA, AB_ALPHA)).to(device)

    def absgd(logits_BC: Tensor, labels_B: Tensor) -> Tensor:
        loss: Tensor = objective(logits_BC, labels_B, labels_B, 0).loss
        return loss

    losses: dict[str, LossFunction] = {"plain": F.cross_entropy, "plain_again": F.cross_entropy, "absgd": absgd}
    for name, ab_loss in {"ab_loss": ABLoss, "published_ab_loss": published}.items():
        if ab_loss is not None:
            losses[name] = _switched_on(ab_loss, device)
    return losses


def _switched_on(ab_loss: Any, device: torch.device) -> Any:
    criterion = ab_loss(LAM, abgamma=GAMMA, abalpha=AB_ALPHA).to(device)
    criterion.updateLambda()
    return criterion


class StepContender:
    """A copy of a model, trained on one batch with one loss."""

    def __init__(self, model: nn.Module, loss: LossFunction, images_BCHW: Tensor, labels_B: Tensor) -> None:
        self.model, self.loss = copy.deepcopy(model), loss
        self.images_BCHW, self.labels_B = images_BCHW, labels_B
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=1e-3, momentum=0.9)

    def seconds(self, steps: int) -> float:
        """Return seconds of `steps` steps: processor time on the CPU, else wall time with the device synchronised."""
        device = self.images_BCHW.device
        clock = time.process_time if device.type == "cpu" else time.perf_counter
        synchronise(device)
        started = clock()
        for _ in range(steps):
            self.optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(self.loss(self.model(self.images_BCHW), self.labels_B))
            self.optimizer.step()
        synchronise(device)
        return clock() - started


def time_steps(contenders: Mapping[str, StepContender], rounds: int, steps: int) -> dict[str, list[float]]:
    """Return seconds of a step in each round, by contender; two rounds warm up."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for name, is_counted in interleaved_rounds([list(contenders)], rounds, warm_up=2):
        taken = contenders[name].seconds(steps) / steps
        if is_counted:
            seconds[name].append(taken)
    return seconds


def step_ratios(seconds: Mapping[str, list[float]]) -> dict[str, dict[str, float]]:
    """Return median seconds of a step, and median and quartiles of its ratio to the same round's plain step."""
    table = {}
    for name, taken in seconds.items():
        low, median, high = quartiles([mine / plain for mine, plain in zip(taken, seconds["plain"], strict=True)])
        table[name] = {"step_s": statistics.median(taken), "ratio": median, "ratio_q1": low, "ratio_q3": high}
    return table


def largest_difference(published: Any, dtype: torch.dtype, num_steps: int = 200) -> float:
    """Return the largest relative difference of the two ABLoss over random batches with both signs of lambda."""
    generator, largest = torch.Generator().manual_seed(0), 0.0
    for lam in (5.0, 0.5, -0.5, -5.0):
        pair = [ab_loss(lam, milestone=2, abgamma=GAMMA, abalpha=AB_ALPHA) for ab_loss in (ABLoss, published)]
        for step in range(num_steps):
            logits_BC = 3 * torch.randn(64, NUM_CLASSES, generator=generator, dtype=dtype)
            labels_B = torch.randint(NUM_CLASSES, (64,), generator=generator)
            ours, theirs = (float(criterion(logits_BC, labels_B)) for criterion in pair)
            difference = abs(ours - theirs) / abs(theirs)
            largest = max(largest, difference if math.isfinite(difference) else math.inf)
            if step % 50 == 49:
                for criterion in pair:
                    criterion.updateLambda()
    return largest


def step_verdicts(
    table: Mapping[str, Mapping[str, float]], differences: Mapping[torch.dtype, float]
) -> Iterator[TargetVerdict]:
    """Compare the ratios, and the differences to the published losses, with their bounds."""
    for name in OURS:
        ratio = table[name]["ratio"]
        holds = ratio <= MAX_RATIO
        words = f"{name}: median ratio {ratio:.4f} {'is within' if holds else 'exceeds'} {MAX_RATIO}"
        yield TargetVerdict(holds, words)
    for dtype, difference in differences.items():
        largest = MAX_DIFFERENCE[dtype]
        holds = difference <= largest
        relation = f"{'is within' if holds else 'exceeds'} {largest:.0e}"
        words = f"published ABLoss, {dtype}: largest relative difference {difference:.2e} {relation}"
        yield TargetVerdict(holds, words)


def step_cost_parser() -> argparse.ArgumentParser:
    """Return the parser of this command."""
    parser = command_parser("benchmarks.step_cost", __doc__)
    parser.add_argument("--rounds", type=at_least(2), default=60)
    parser.add_argument("--steps", type=at_least(1), default=3, help="steps of each contender in a round")
    parser.add_argument("--batch", type=at_least(1), default=128, help="images of the batch")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=at_least(1), default=1)
    parser.add_argument("--published", type=Path, help="folder with the authors' package")
    parser.add_argument("--json", type=Path)
    return parser


def build_contenders(published: Any, batch: int, device: torch.device) -> dict[str, StepContender]:
    """Build a contender for each loss, all with copies of one model and one random batch."""
    model = build_model(ModelConfig(name="resnet8"), in_channels=3, num_classes=NUM_CLASSES).to(device)
    images_BCHW = torch.randn(batch, 3, 32, 32, device=device)
    labels_B = torch.randint(NUM_CLASSES, (batch,), device=device)
    losses = contender_losses(published, device)
    return {name: StepContender(model, loss, images_BCHW, labels_B) for name, loss in losses.items()}


def main() -> int:
    """Measure, print and write the report; return the exit status."""
    parser = step_cost_parser()
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    published = published_ab_loss(options.published) if options.published else None
    contenders = build_contenders(published, options.batch, torch.device(options.device))
    table = step_ratios(time_steps(contenders, options.rounds, options.steps))
    for name, row in table.items():
        spread = f"quartiles {row['ratio_q1']:.4f} to {row['ratio_q3']:.4f}"
        print(f"{name:>18}: {1e3 * row['step_s']:8.3f} ms, ratio to plain: median {row['ratio']:.4f}, {spread}")
    compared = () if published is None else MAX_DIFFERENCE
    differences = {dtype: largest_difference(published, dtype) for dtype in compared}
    report = {
        "summary": table,
        "environment": report_environment(parser.prog, gpu_names()),
        "options": {name: without_folders(str(value)) for name, value in vars(options).items()},
        **{f"largest_difference_{dtype}": difference for dtype, difference in differences.items()},
    }
    write_json_report(options.json, report)
    verdicts = list(step_verdicts(table, differences))
    print(*verdicts, sep="\n")
    return exit_status(verdicts)


if __name__ == "__main__":
    sys.exit(main())
