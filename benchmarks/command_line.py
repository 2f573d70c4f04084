"""What the command lines of all benchmarks have in common."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from absgd.records.environment import describe_environment

CORES = len(os.sched_getaffinity(0))


def command_parser(module: str, description: str | None) -> argparse.ArgumentParser:
    """A parser for ``python -m MODULE`` whose help is the module's docstring."""
    return argparse.ArgumentParser(
        prog=f"python -m {module}", description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def at_least(low: int) -> Callable[[str], int]:
    """A type of arguments: whole numbers that are not smaller.

    >>> at_least(2)("3")
    3
    """

    def whole_number(text: str) -> int:
        if not text.isdecimal() or int(text) < low:
            raise argparse.ArgumentTypeError(f"expected a whole number of at least {low}, got {text!r}")
        return int(text)

    return whole_number


def environment(program: str, gpus: Sequence[str] = ()) -> dict[str, Any]:
    """Versions, hardware and command line as plain data, without the paths of this machine.

    Args:
        program: `prog` of the parser.
        gpus: their names.
    """
    command = shlex.join([*shlex.split(program), *map(without_folders, sys.argv[1:])])
    return {**describe_environment(list(gpus)), "command": command, "cores": CORES}


def without_folders(word: str) -> str:
    """A word of a command line with the last part alone of a path.

    >>> without_folders("/tmp/x.json"), without_folders("--json=/tmp/x.json"), without_folders("--forks=0")
    ('x.json', '--json=x.json', '--forks=0')
    """
    option, equals, value = word.rpartition("=")
    return f"{option}{equals}{Path(value).name}" if "/" in value else word
