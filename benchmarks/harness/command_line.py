"""Command line and report that all benchmarks share."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from absgd.records.environment import describe_environment

CORES = len(os.sched_getaffinity(0))


def command_parser(module: str, description: str | None) -> argparse.ArgumentParser:
    """Return a parser for ``python -m MODULE`` whose help is the module's docstring."""
    return argparse.ArgumentParser(
        prog=f"python -m {module}", description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def at_least(low: int) -> Callable[[str], int]:
    """Return an argument type for whole numbers that are not smaller than `low`.

    >>> at_least(2)("3")
    3
    """

    def whole_number(text: str) -> int:
        if not text.isdecimal() or int(text) < low:
            raise argparse.ArgumentTypeError(f"expected a whole number of at least {low}, got {text!r}")
        return int(text)

    return whole_number


def report_environment(program: str, gpus: Sequence[str] = ()) -> dict[str, Any]:
    """Return versions, hardware and command line as plain data, without the paths of this machine.

    Args:
        program: `prog` of the parser.
        gpus: names of the GPUs.
    """
    command = shlex.join([*shlex.split(program), *map(without_folders, sys.argv[1:])])
    return {**describe_environment(list(gpus)), "command": command, "cores": CORES}


def without_folders(word: str) -> str:
    """Reduce a path in a word of the command line to its last part.

    >>> without_folders("/tmp/x.json"), without_folders("--json=/tmp/x.json"), without_folders("--forks=0")
    ('x.json', '--json=x.json', '--forks=0')
    """
    option, equals, value = word.rpartition("=")
    return f"{option}{equals}{Path(value).name}" if "/" in value else word


def write_json_report(path: Path | None, report: Mapping[str, Any], indent: int = 2) -> None:
    """Write a report as JSON; do nothing where no `--json` was given."""
    if path is not None:
        path.write_text(json.dumps(report, indent=indent) + "\n")
