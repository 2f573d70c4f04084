"""absgd-report: the results in run folders as a page, as tables for a paper, or as figures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from absgd.errors import UserError
from absgd.records import REPORT_FILE, write_verdicts
from absgd.terminal import VersionOption, plain_messages, print_product, printable, run_command, warn
from analysis.frames.run_frames import ScenarioParts
from analysis.frames.selection import DEFAULT_RULE
from analysis.load import load
from analysis.report import text_report
from analysis.report.report_output import ReportFormat, check_is_file, check_is_folder, format_of, write_text
from analysis.runs import Runs

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def report(
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="Run folders, or globs such as 'runs/*'.")],
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Where to write. Default: report.html in the run folder, or here if there are several; tables go "
            "to standard output.",
        ),
    ] = None,
    format_: Annotated[
        Literal["html", "md", "latex", "csv"] | None,
        typer.Option(
            "--format",
            help="A page, tables, or raw numbers. Default: by the suffix of --out (.md, .tex, .csv), or html.",
        ),
    ] = None,
    figures: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write every figure as PDF and PNG too (needs kaleido and Chromium)."),
    ] = None,
    verdicts: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the verdict on each scenario as JSON too.")
    ] = None,
    rule: Annotated[
        Literal["last", "mean_last_k", "chosen"],
        typer.Option(help="Selection rule: last epoch, mean of the last k, or the epoch best on validation."),
    ] = DEFAULT_RULE,
    last_k: Annotated[int, typer.Option(min=1, help="Epochs of mean_last_k.")] = 3,
    name: Annotated[
        list[str] | None,
        typer.Option(
            metavar="THEIRS=OURS",
            help="Ray Tune: our column for a script's parameter or metric, e.g. val/acc=val_accuracy. May be repeated.",
        ),
    ] = None,
    percent: Annotated[bool, typer.Option("--percent", help="Ray Tune: accuracies are in percent.")] = False,
    _version: VersionOption = False,
) -> None:
    """Report what searches found, and how certain it is.

    Reads run folders of absgd-tune and absgd-train, and experiment folders of Ray Tune, from their Parquet, YAML and
    JSON files only. Damaged parts are named and left out.

    Exit status: 0 written; 1 a disk failed; 2 the request is invalid; 130 Ctrl-C.

    Examples:

    absgd-report runs/quickstart

    absgd-report 'runs/*' --out all.html --figures figures

    absgd-report runs/quickstart --out table.tex --rule mean_last_k --last-k 5

    absgd-report ~/ray_results/my_sweep --name val/acc=val_accuracy --percent
    """
    with plain_messages("absgd-report"):
        kind = format_of(out, format_)
        for file, option in ((out, "--out"), (verdicts, "--verdicts")):
            if file is not None:
                check_is_file(file, option)
        if figures is not None:
            from analysis.figures.figure_files import check_can_write_figures

            check_is_folder(figures, "--figures")
            check_can_write_figures()
        loaded = load(runs, rule=rule, last_k=last_k, names=_names(name or []), percent=percent)
        for problem in loaded.problems:
            warn(str(problem))
        if verdicts is not None:
            write_verdicts(verdicts, loaded.verdicts())
        if kind in ("html", "md"):  # the others need no predictions
            _warn_of_predictions(loaded)
        _write(loaded, kind, out)
        if figures is not None:
            _write_figures(loaded, figures)


def main() -> None:
    """Entry point of `absgd-report`."""
    run_command(app)


def _names(assignments: list[str]) -> dict[str, str]:
    """Read `THEIRS=OURS` words; names may contain ``=`` themselves, our columns do not."""
    pairs = [word.rpartition("=") for word in assignments]
    for word, (theirs, _, ours) in zip(assignments, pairs, strict=True):
        if not theirs or not ours:
            raise UserError(f"expected THEIRS=OURS, got {word!r} (--name)")
    return {theirs: ours for theirs, _, ours in pairs}


def _warn_of_predictions(runs: Runs) -> None:
    """Print which kept predictions are left out."""
    found = runs.cautions()
    for row in found[found.kind == "predictions"].itertuples():
        warn(f"{row.folder}: {row.text}")


def _write(runs: Runs, kind: ReportFormat, out: Path | None) -> None:
    if kind == "html":
        # Here, since it imports plotly: --help, tables and refusals do not wait for it, and plain_messages covers it.
        from analysis.report.html_report import write_report

        own = runs.folders[0].path if len(runs.folders) == 1 else Path()
        path = out or own / REPORT_FILE
        write_report(runs, path)
        for verdict in runs.verdicts():
            print(printable(f"verdict: {verdict}"))
        print(f"report: {path}")
        return
    formats = {"md": text_report.markdown, "latex": text_report.latex, "csv": text_report.comma_separated}
    text = formats[kind](runs)
    if out is None:
        print_product(text)
        return
    write_text(out, text)
    print(f"tables: {out}")


def _write_figures(runs: Runs, folder: Path) -> None:
    from analysis.figures.figure_files import file_stem, write_figures  # here, since they import plotly
    from analysis.figures.scenario_figures import drawings

    compared = ScenarioParts(runs.comparisons)
    named = []
    for one in runs.scenarios():
        first = one.trials.iloc[0]
        own = compared.of(first.folder, first.scenario)
        words = (Path(first.folder).name, first.scenario)
        named += [(file_stem(*words, drawing.name), drawing) for drawing in drawings(one, own)]
    print(f"figures: {len(write_figures(named, folder))} files in {folder}")
