"""The study: searches on Fashion-MNIST and digits, and the page that says what they found.

There are sixteen scenarios; eight of them are searched over two base criteria, so the page counts 24.

    python -m benchmarks.study --run [--only NAME ...] [--runs DIR]

runs the searches of benchmarks/study/spaces one after another, resumes those that were interrupted, skips those that
have ended, and copies their tables to benchmarks/results/study. It may be killed and started again at any time. One
that fails does not stop the others. Fashion-MNIST is read from Debian's package dataset-fashion-mnist.

    python -m benchmarks.study --page docs/study.md [--figures docs/images]

writes the page from benchmarks/results/study alone, and its figures as SVG, for which kaleido and Chromium are needed.

Exit status: 1 if a search failed; 2 if the request is invalid; 130 after Ctrl-C; else 0.
"""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path
from typing import NoReturn

from absgd.errors import UserError
from benchmarks.harness.command_line import command_parser
from benchmarks.study.study_figures import write_study_figures
from benchmarks.study.study_page import study_page
from benchmarks.study.study_results import comparison_frame, study_parts
from benchmarks.study.study_runs import run_searches
from benchmarks.study.study_spaces import SEARCHES, STUDY_RESULTS


def study_parser() -> argparse.ArgumentParser:
    """Return the parser of this command."""
    parser = command_parser("benchmarks.study", __doc__)
    parser.add_argument("--run", action="store_true", help="run what has not ended, and collect the results")
    parser.add_argument("--page", type=Path, help="page of Markdown to write")
    parser.add_argument("--figures", type=Path, help="folder to write figures to")
    parser.add_argument("--only", nargs="+", choices=SEARCHES, metavar="NAME", help=f"of {', '.join(SEARCHES)}")
    parser.add_argument(
        "--runs", type=Path, default=Path("runs/study"), help="folder of run folders; default: runs/study"
    )
    parser.add_argument("--results", type=Path, default=STUDY_RESULTS, help="folder of what is committed")
    return parser


def _stop(number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt(number)


def main() -> int:
    """Run what is asked for; return the exit status."""
    parser = study_parser()
    options = parser.parse_args()
    if not (options.run or options.page or options.figures):
        parser.error("expected --run, --page or --figures")
    failed: list[str] = []
    try:
        if options.run:
            signal.signal(signal.SIGTERM, _stop)
            names = [name for name in SEARCHES if not options.only or name in options.only]
            failed = run_searches(names, options.runs, options.results)
        if options.page:
            options.page.write_text(study_page(options.results))
        if options.figures:
            write_study_figures(comparison_frame(study_parts(options.results)), options.figures)
    except (UserError, OSError) as error:
        parser.error(str(error))
    except KeyboardInterrupt:
        return 130
    if failed:
        print(f"failed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
