"""The first hour on a machine with a GPU: everything that no machine without one can say.

    python -m benchmarks.gpu --out DIR [--minutes 60] [--parts 1,4] [--data-root DIR]
    python -m benchmarks.gpu --out DIR --dry-run

Seven parts, in this order, each in its own process with its own share of the time:

    1  driver, versions, memory; measured rates of copying and of bfloat16 products
    2  every test that is skipped without a GPU
    3  the exact path against the CPU, fast against exact over three seeds, captured steps against eager ones bit by
       bit, resume and fork against a run from scratch
    4  `benchmarks.throughput` for ResNet-32 and ResNet-8: the peer, each option, the bound
    5  `benchmarks.packing` and `benchmarks.cohort_prototypes` with 1, 2, 4, 8 and 16 runs at once
    6  a search of fashion_mnist.yaml with cohorts and with processes, beside plain Ray Tune
    7  an epoch of ResNet-32 under torch.profiler: time in kernels, launches, gaps

Parts 1 to 5 and 7 need neither Ray nor a network. DIR gets a JSON file and the output of each part as it comes, and
`summary.md`, which is written anew after each measurement. A part that fails or takes too long is recorded with its
message and the last lines of its output, and the next one runs. Time that a part does not use is left to the others.

A second call with the same DIR runs the parts that have not passed; `--parts` runs these parts, passed or not. What was
not run is called `not measured`; a missed target of speed fails no part. `--dry-run` runs everything on a CPU at toy
sizes.

Exit status: 0 all parts that were to run have passed; 1 one of them has not; 2 the request is invalid; 130 interrupted.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from absgd.errors import UserError
from absgd.paths import checked_folder
from absgd.terminal import EXIT_INTERRUPTED, interruptible
from benchmarks.gpu.part_process import PROGRAM, output_path, run_part
from benchmarks.gpu.part_records import INTERRUPTED, PASSED, RUNNING, PartRecord, read_records, record_path
from benchmarks.gpu.part_table import PARTS, HourPart, limit_s, parsed_parts
from benchmarks.gpu.summary_page import SUMMARY, write_summary
from benchmarks.harness.command_line import command_parser


def gpu_parser() -> argparse.ArgumentParser:
    """Return the parser of this command."""
    parser = command_parser(PROGRAM.removeprefix("python -m "), __doc__)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="new, empty, or of an earlier call")
    parser.add_argument("--minutes", type=_minutes, default=60.0, help="for all parts that run together; default 60")
    parser.add_argument("--parts", type=_parts, metavar="N,N", help="parts to run, also those that have passed")
    parser.add_argument("--data-root", type=Path, metavar="DIR", help="Fashion-MNIST, where Debian's package is absent")
    parser.add_argument("--dry-run", action="store_true", help="on a CPU at toy sizes")
    return parser


def main(words: Sequence[str] | None = None) -> int:
    """Run the parts; return the exit status."""
    parser = gpu_parser()
    options = parser.parse_args(words)
    try:
        earlier = checked_request(options)
        options.out.mkdir(parents=True, exist_ok=True)
        mark_ended(options.out, earlier)
    except (UserError, OSError) as error:
        parser.error(str(error))
    asked = options.parts or [part for part in PARTS if not _has_passed(earlier, part)]
    try:
        with interruptible():
            has_passed = run_parts(asked, options)
    except KeyboardInterrupt:
        print(f"interrupted; the same command goes on: {options.out / SUMMARY}", file=sys.stderr)
        return EXIT_INTERRUPTED
    print(f"{options.out / SUMMARY}")
    return 0 if has_passed else 1


def checked_request(options: argparse.Namespace) -> Mapping[int, PartRecord]:
    """Check a request before anything is written; return the records of earlier calls.

    Raises:
        UserError: if there is no GPU, or the folder holds anything but an earlier hour of the same kind.
    """
    if not options.dry_run and not torch.cuda.is_available():
        raise UserError("expected a GPU that torch can use, found none; --dry-run needs none")
    if options.data_root is not None and not options.data_root.is_dir():
        raise UserError(f"expected an existing folder, got {options.data_root} (--data-root)")
    folder = checked_folder(options.out, "--out")
    if not folder.exists():
        return {}
    if not folder.is_dir():
        raise UserError(f"expected a folder, got the file {folder} (--out)")
    ours = {SUMMARY} | {path.name for part in PARTS for path in (record_path(folder, part), output_path(folder, part))}
    other = next((name for name in sorted(path.name for path in folder.iterdir()) if name not in ours), None)
    if other is not None:
        raise UserError(f"expected a new or empty folder, or one of an earlier call, got {folder} with {other} (--out)")
    records = read_records(folder)
    if any(record.is_dry_run != options.dry_run for record in records.values()):
        kind = "without --dry-run" if options.dry_run else "with --dry-run"
        raise UserError(f"expected another folder, got {folder}, written {kind} (--out)")
    return records


def mark_ended(folder: Path, earlier: Mapping[int, PartRecord]) -> None:
    """Call parts interrupted that were still running when an earlier call was killed."""
    for part in PARTS:
        record = earlier.get(part.number)
        if record is not None and record.status == RUNNING:
            message = "the call that ran it was killed"
            dataclasses.replace(record, status=INTERRUPTED, message=message).write(folder, part)


def run_parts(parts: Sequence[HourPart], options: argparse.Namespace) -> bool:
    """Run parts one after another; return whether all have passed."""
    until = time.monotonic() + 60 * options.minutes
    data_root = None if options.data_root is None else str(options.data_root.resolve())
    all_passed = True
    write_summary(options.out)
    for place, part in enumerate(parts):
        seconds = max(1.0, limit_s(part, parts[place + 1 :], until - time.monotonic()))
        print(f"{part.number}. {part.title}, at most {seconds:.0f} s ...", flush=True)
        try:
            record = run_part(part, options.out, options.dry_run, seconds, data_root)
        finally:
            write_summary(options.out)
        all_passed &= record.status == PASSED
        print(f"   {record.status} after {record.wall_s:.0f} s {record.message}".rstrip(), flush=True)
    return all_passed


def _has_passed(records: Mapping[int, PartRecord], part: HourPart) -> bool:
    return part.number in records and records[part.number].status == PASSED


def _minutes(text: str) -> float:
    try:
        minutes = float(text)
    except ValueError:
        minutes = math.nan
    if not 0 < minutes < math.inf:
        raise argparse.ArgumentTypeError(f"expected a positive number of minutes, got {text!r}")
    return minutes


def _parts(text: str) -> list[HourPart]:
    try:
        return parsed_parts(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


if __name__ == "__main__":
    sys.exit(main())
