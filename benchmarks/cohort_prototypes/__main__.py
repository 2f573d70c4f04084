"""Several forks of one trunk in lockstep on one device, trained in different ways and compared with one fork at a time.

    python -m benchmarks.cohort_prototypes [--model resnet32] [--members 1 2 4 8] [--rounds 7] [--batches N]
                                           [--batch 128] [--device cuda] [--fast] [--threads 2] [--json FILE]

Each way trains K members on one resident batch: forward, ABSGD's loss, backward, SGD with momentum and weight decay.
Each member has its own weights, lambda, gamma and abAlpha.

    in turn     a model, a loss and an optimiser for each member, one step of each in turn; on a GPU each step is a CUDA
                graph that is replayed on its own stream
    stacked     one model by torch.func: stacked weights under vmap; on a GPU one graph
    fused       one model whose layers hold all members: grouped convolutions, wider batch norm; on a GPU one graph
    processes   K processes that train at the same time and divide the threads

Float32 with contiguous tensors, or with `--fast` channels-last and, where the device has it, bfloat16 autocast. In a
round every way trains every K for N batches in a new random order, the ways of one K next to each other. `images/s` is
the speed of all members together, `of one` its ratio to one member `in turn` in the same round, `of in turn` its ratio
to the same number of members in turn. The table has medians and, in brackets, quartiles, and for a GPU the memory of
all members. The first round warms up.

Exit status: 1 if a target is missed; 2 if the command line is wrong; else 0. A target for hardware that is not present
is `not measured`.
"""

from __future__ import annotations

import argparse
import json
import sys
from functools import partial

import torch

from absgd.errors import UserError
from absgd.training import gpu_names
from benchmarks.cohort_prototypes.cohort_members import LockstepSetup, prepare_lockstep
from benchmarks.cohort_prototypes.cohort_speeds import (
    LockstepSpeeds,
    lockstep_lines,
    lockstep_speeds,
    lockstep_verdict,
    time_ways,
)
from benchmarks.cohort_prototypes.cohort_ways import build_ways, member_of_a_process
from benchmarks.harness.command_line import at_least, command_parser, report_environment, write_json_report
from benchmarks.harness.target_verdicts import exit_status
from benchmarks.harness.workloads import BENCHMARK_MODELS, EpochWorkload, add_workload_options
from tune_runs.preview.probe_processes import ProbeProcesses, ProbeProcessLost


def cohort_parser() -> argparse.ArgumentParser:
    """Return the parser of this command."""
    parser = command_parser("benchmarks.cohort_prototypes", __doc__)
    parser.add_argument("--model", choices=list(BENCHMARK_MODELS), default="resnet32")
    parser.add_argument("--members", type=at_least(1), nargs="+", default=[1, 2, 4, 8], help="in lockstep; 1 is added")
    parser.add_argument("--batches", type=at_least(1), help="batches of an epoch; default: 2 on CPU, 100 on a GPU")
    parser.add_argument("--fast", action="store_true", help="channels-last, and bfloat16 where the device has it")
    add_workload_options(parser)
    return parser


def measure_ways(setup: LockstepSetup, members: list[int], rounds: int) -> LockstepSpeeds:
    """Measure every way with every number of members; exit with a message where a process is lost."""
    work, counts = setup.work, sorted({1, *members})
    try:
        with ProbeProcesses(partial(member_of_a_process, work)) as processes:
            processes.grow(max(counts))
            ways = build_ways(setup, counts, processes)
            return lockstep_speeds(time_ways(ways, rounds), ways, work.num_batches * work.batch)
    except ProbeProcessLost as error:
        sys.exit(f"one of {max(counts)} processes: {error}: try fewer --members or a smaller --batch")


def main() -> int:
    """Measure and print; return the exit status."""
    parser = cohort_parser()
    options = parser.parse_args()
    num_batches = options.batches or (100 if options.device == "cuda" else 2)
    work = EpochWorkload(options.model, num_batches, options.batch, options.device, exact=not options.fast)
    torch.set_num_threads(options.threads)
    try:
        setup = prepare_lockstep(work)
    except UserError as error:
        parser.error(str(error))
    about = report_environment(parser.prog, gpu_names())
    print(json.dumps(about))
    rows = measure_ways(setup, options.members, options.rounds)
    verdict = lockstep_verdict(rows, work.case, work.device)
    print(f"{BENCHMARK_MODELS[work.case].name}, batch {work.batch}, {options.rounds} rounds of {num_batches} batches")
    print(f"{setup.options.precision}, {setup.options.memory_format}", *lockstep_lines(rows), verdict, sep="\n")
    report = {
        "work": work._asdict(),
        "precision": setup.options.precision,
        "memory_format": setup.options.memory_format,
        "threads": options.threads,
        "rounds": options.rounds,
        "rows": {str(count): {name: row._asdict() for name, row in named.items()} for count, named in rows.items()},
        "environment": about,
    }
    write_json_report(options.json, report)
    return exit_status([verdict])


if __name__ == "__main__":
    sys.exit(main())
