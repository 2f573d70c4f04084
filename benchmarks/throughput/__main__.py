"""Images per second of a run, compared with the pipeline that users write and with what the hardware allows.

    python -m benchmarks.throughput [--models resnet32 resnet8] [--rounds 7] [--batches N] [--batch 128]
                                    [--device cpu] [--threads 2] [--workers 0 2] [--json FILE]

Rows, all in one process, each with its own model on the same made-up uint8 images:

    peer, N workers   torchvision transforms in a DataLoader, eager float32; every epoch ends with an evaluation of the
                      training set
    ours, exact       a Trainer with default options
    ours, ...         with options of `device`, one more in each row; the last is `device.fast: true`
    bound, ...        forward + backward + optimiser on one resident batch, with the same precision and memory format
    batches alone     our batches, made, augmented and discarded

A round trains one epoch of every row in a new random order, each run next to its bound. Ratios are taken within a
round, so that other work on the machine affects both sides. The first round warms up. `train` counts the training pass
alone, `epoch` the whole epoch with every evaluation that belongs to it. `of peer` compares whole epochs with the peer
whose number of workers is faster; `of bound` compares training passes. The table has medians and, in brackets,
quartiles.

Exit status: 1 if a target is missed; 2 if the command line is wrong; else 0. A target for hardware that is not present
is `not measured`.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

import torch

from absgd.training import gpu_names
from benchmarks.harness.command_line import (
    at_least,
    command_parser,
    report_environment,
    without_folders,
    write_json_report,
)
from benchmarks.harness.target_verdicts import TargetVerdict, exit_status
from benchmarks.harness.workloads import BENCHMARK_MODELS, BenchmarkModel, add_workload_options
from benchmarks.throughput.pipelines import TrainerPipeline
from benchmarks.throughput.throughput_table import (
    build_pipelines,
    pipeline_speeds,
    throughput_lines,
    throughput_verdicts,
    time_pipelines,
)


def throughput_parser() -> argparse.ArgumentParser:
    """Return the parser of this command."""
    parser = command_parser("benchmarks.throughput", __doc__)
    parser.add_argument("--models", nargs="+", choices=list(BENCHMARK_MODELS), default=list(BENCHMARK_MODELS))
    add_workload_options(parser)
    parser.add_argument("--batches", type=at_least(1), help="batches of an epoch; default: 8 on CPU, 390 on a GPU")
    parser.add_argument(
        "--workers", type=at_least(0), nargs="+", default=[0, 2], help="numbers of workers of the peer's DataLoader"
    )
    return parser


def measure_model(
    model: BenchmarkModel, options: argparse.Namespace, device: torch.device
) -> tuple[dict[str, Any], list[TargetVerdict]]:
    """Measure one model and print its table; return its part of the report, and the verdicts."""
    pipelines = build_pipelines(model, options.batches, options.batch, options.workers, device)
    rows = pipeline_speeds(time_pipelines(pipelines, options.rounds), options.batches * options.batch)
    ways = {
        name: one.trainer.device_options.describe()
        for name, one in pipelines.items()
        if isinstance(one, TrainerPipeline)
    }
    verdicts = list(throughput_verdicts(rows, device.type))
    print(f"\n{model.name}, batch {options.batch}, {options.rounds} rounds of {options.batches} batches")
    print(*throughput_lines(rows), *(f"{name}: {way}" for name, way in ways.items()), *verdicts, sep="\n")
    table = {
        "rows": {name: row._asdict() for name, row in rows.items()},
        "ways": ways,
        "verdicts": [{"holds": verdict.is_met, "what": verdict.sentence} for verdict in verdicts],
    }
    return table, verdicts


def main() -> int:
    """Measure and print; return the exit status."""
    parser = throughput_parser()
    options = parser.parse_args()
    if options.batches is None:
        options.batches = 390 if options.device == "cuda" else 8
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    about = report_environment(parser.prog, gpu_names())
    print(json.dumps(about))
    tables, verdicts = {}, list[TargetVerdict]()
    for key in options.models:
        tables[key], of_model = measure_model(BENCHMARK_MODELS[key], options, torch.device(options.device))
        verdicts += of_model
    given = {name: without_folders(str(value)) for name, value in vars(options).items()}
    write_json_report(options.json, {"tables": tables, "environment": about, "options": given})
    return exit_status(verdicts)


if __name__ == "__main__":
    sys.exit(main())
