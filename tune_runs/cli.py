"""absgd-tune: a whole search from the command line."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from absgd import records
from absgd.errors import UserError, shown
from absgd.paths import checked_folder, expanded
from absgd.terminal import EXIT_FAILED, EXIT_INTERRUPTED, interruptible, plain_messages, shortened, warn
from tune_runs.request.search_request import (
    SearchFailed,
    SearchInterrupted,
    SearchRequest,
    new_request,
    resume_request,
)
from tune_runs.request.space_files import load_space, space_schema, with_options
from tune_runs.request.warm_start import warm_start_points
from tune_runs.space.model import SearchSpace
from tune_runs.trunks.scenario_plan import ScenarioPlan, plan_scenarios

if TYPE_CHECKING:
    from tune_runs.preview.search_cost import EpochTime

MAX_ADDRESS = 300
"""Characters; a name that a name service knows has 253 at most."""
PLAIN_WIDTH = 120
"""Columns of what is printed into a file or a pipe."""

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def tune(
    space: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|NAME", help="YAML file of a search space, or the name of a shipped one (quickstart)."
        ),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the run; default: the space's.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder that holds run folders; default: runs.")] = None,
    num_trials: Annotated[int | None, typer.Option(help="Trials of each scenario; replaces num_trials.")] = None,
    time_budget: Annotated[
        str | None, typer.Option(metavar="TIME", help="Such as 90s, 30m or 12h; replaces time_budget.")
    ] = None,
    epoch_budget: Annotated[
        int | None, typer.Option(help="Epochs of all runs together; replaces epoch_budget.")
    ] = None,
    disk_budget: Annotated[
        float | None, typer.Option(metavar="GIB", help="GiB that the run folder may hold; replaces disk_budget.")
    ] = None,
    max_failures: Annotated[
        int | None, typer.Option(help="Times that a run goes on whose process was lost; replaces max_failures.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Seed of the sampler; replaces seed. The runs' own seeds are base.seeds.")
    ] = None,
    address: Annotated[
        str | None, typer.Option(help="Existing Ray cluster (auto, or HOST:PORT); default: a Ray of this process.")
    ] = None,
    trunks: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder that keeps stage one and is shared between runs; replaces trunks."),
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Go on with the search recorded in this folder.")
    ] = None,
    extend: Annotated[
        int | None, typer.Option(min=1, help="With --resume: so many more trials of each scenario.")
    ] = None,
    warm_start: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Try the best configurations of the run in this folder first."),
    ] = None,
    confirm: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Confirm what the search in this folder has found so far on fresh seeds; search no further.",
        ),
    ] = None,
    no_confirm: Annotated[
        bool, typer.Option("--no-confirm", help="End with the search: confirm nothing, read no test set.")
    ] = False,
    preview: Annotated[
        bool, typer.Option("--preview", help="Print what would be done, and its cost; train nothing.")
    ] = False,
    measure: Annotated[
        bool,
        typer.Option(
            "--measure",
            help="With --preview, which it implies: train for seconds to estimate wall time and propose resources.",
        ),
    ] = False,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON schema of a search space.")] = False,
) -> None:
    """Search the settings of ABSGD for every scenario of a space.

    Each scenario (data set x imbalance x noise) has an Optuna study of its own; all share one queue of trials. First
    a control is trained for each scenario: the same run on the plain base criterion. Before its switch epoch a trial
    is this control over again, so stage one is trained once: the control leaves snapshots, trials fork from them.
    Trials that fall behind are stopped, each compared only after its own switch. Choices are made on validation
    images.

    When the search of a scenario is done its best configurations and their controls are trained again on fresh seeds
    (confirm in a space; --no-confirm leaves it out, --confirm OUT/NAME does it later). Only these runs read the test
    set, each once, after its last epoch. The winner is the best mean on validation.

    Results lie in OUT/NAME: trials.parquet (one row per trial), epochs.parquet (one row per trial and epoch),
    best/SCENARIO.yaml (a whole configuration: absgd-train --config gives its score again), space.yaml,
    environment.json, scenarios/SCENARIO/study.journal (for Optuna). The tables are kept up to date while the search
    runs.

    After Ctrl-C, a kill, a crash or the end of a budget absgd-tune --resume OUT/NAME goes on: finished trials are
    kept, unfinished ones go on from their last epoch. --extend adds trials, and confirms what is new among the best.

    Exit status: 0 the search is complete, or a budget is used up; 1 it failed, or every trial did; 2 something asked
    for cannot be done; 130 Ctrl-C.

    Examples:

    absgd-tune --space quickstart

    absgd-tune --space search_spaces/cifar100.yaml --preview

    absgd-tune --space quickstart --measure

    absgd-tune --space my_space.yaml --name second --num-trials 64 --address auto

    absgd-tune --resume runs/second --extend 32

    absgd-tune --space my_space.yaml --name third --warm-start runs/second

    absgd-tune --confirm runs/third
    """
    with plain_messages("absgd-tune"):
        if address is not None:
            _check_address(address)
        if schema:
            print(json.dumps(space_schema(), indent=2))
            return
        budgets = _given(
            time_budget=time_budget, epoch_budget=epoch_budget, disk_budget=disk_budget, max_failures=max_failures
        )
        trunks_folder = _trunk_folder(trunks) if trunks else None
        decisive = _given(num_trials=num_trials, seed=seed, name=name, trunks=trunks_folder)
        console = Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH)
        if confirm is not None and (resume is not None or no_confirm or extend):
            raise UserError("expected `--confirm DIR` without --resume, --extend and --no-confirm")
        if resume is not None or confirm is not None:
            option, run = ("--resume", resume) if resume is not None else ("--confirm", confirm)
            assert run is not None
            if decisive or out or warm_start or preview or measure:
                others = "--address and budgets" if confirm else "--extend, --address and budgets, or --no-confirm,"
                raise UserError(f"expected `{option}` with --space, {others} alone: the run folder has the rest")
            same = load_space(space) if space is not None else None
            found = resume_request(checked_folder(run, option), address, extend or 0, budgets, same, option)
            _run(dataclasses.replace(found, searches=confirm is None, confirms=not no_confirm), console)
            return
        if space is None:
            raise UserError("expected `--space FILE`, `--resume DIR`, `--confirm DIR` or `--schema`, got none")
        if extend:
            raise UserError("expected `--extend` with `--resume DIR`; a new search takes `--num-trials`")
        asked = load_space(space)
        if changes := {**decisive, **budgets}:
            asked = with_options(asked, changes, "command line")
        if preview or measure:
            if warm_start:
                raise UserError("expected `--warm-start` without --preview and --measure, which do not show its points")
            shown_space = asked.model_copy(update={"confirm": None}) if no_confirm else asked
            _print_preview(shown_space, address, measure, console)
            return
        points = warm_start_points(asked, checked_folder(warm_start, "--warm-start")) if warm_start else None
        folder = checked_folder((out or Path("runs")) / asked.name, "--out")
        request = new_request(asked, folder, address, points)
        _run(dataclasses.replace(request, confirms=not no_confirm), console)


def main() -> None:
    """Entry point of `absgd-tune`."""
    app()


def _given(**options: object) -> dict[str, object]:
    """Options that were given."""
    return {key: value for key, value in options.items() if value is not None}


def _run(request: SearchRequest, console: Console) -> None:
    from tune_runs.run_search import run_search

    go_on = f"go on with: {request.resume_command}"
    try:
        found = run_search(request, console)
    except SearchInterrupted:
        print(f"absgd-tune: interrupted; {go_on}", file=sys.stderr)
        raise typer.Exit(EXIT_INTERRUPTED) from None
    except SearchFailed as error:
        print(f"absgd-tune: error: {error}; {go_on}", file=sys.stderr)
        raise typer.Exit(EXIT_FAILED) from None
    _write_report(request.folder)
    if not found:
        table = shortened(request.folder) / records.TRIALS_FILE
        print(f"absgd-tune: no trial was completed; see {table}", file=sys.stderr)
        raise typer.Exit(EXIT_FAILED)


def _write_report(folder: Path) -> None:
    """The page on what was found, by absgd-report in a process of its own: it knows a run folder by its files alone."""
    words = [sys.executable, "-P", "-m", "analysis", "--", str(shortened(folder))]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=False)
    if done.returncode:
        warn("no report was written; everything else is recorded")
    else:
        print(f"report:  {shortened(folder) / records.REPORT_FILE}")


def _check_address(address: str) -> None:
    """Refuse what is no address, whether or not something listens there."""
    host, _, port = address.rpartition(":")
    try:
        host.encode("idna")
    except UnicodeError:  # what a name service would say, not as an OSError
        raise UserError(f"expected `auto` or HOST:PORT, got {shown(address)} (--address)") from None
    if not address or len(address) > MAX_ADDRESS or (port.isdigit() and not port.isascii()):
        raise UserError(f"expected `auto` or HOST:PORT, got {shown(address)} (--address)")


def _trunk_folder(given: Path) -> str:
    """The folder of `--trunks` as any process understands it."""
    folder = checked_folder(expanded(given, "--trunks"), "--trunks").absolute()
    if folder.exists() and not folder.is_dir():
        raise UserError(f"expected a folder, got the file {folder} (--trunks)")
    return str(folder)


def _print_preview(space: SearchSpace, address: str | None, measure: bool, console: Console) -> None:
    from tune_runs.preview.search_preview import draw_preview, preview

    nodes = _nodes_here(space, address)
    plans = plan_scenarios(space)
    times = _measured(space, plans) if measure else None
    console.print(draw_preview(preview(space, plans, nodes, times)))
    if times:
        first = next(iter(plans.values()))
        _print_probe(space, first, times[first.name], console)


def _measured(space: SearchSpace, plans: Mapping[str, ScenarioPlan]) -> dict[str, EpochTime]:
    from tune_runs.preview.epoch_times import measure_epoch_times

    return measure_epoch_times(space, plans, _say)


def _print_probe(space: SearchSpace, plan: ScenarioPlan, time: EpochTime, console: Console) -> None:
    """How many trials at once are worth it, on this machine, also where the search is for a cluster."""
    if space.resources.ranks > 1:
        key = "gpus_per_trial" if space.resources.gpus_per_trial else "ranks_per_trial"
        _say(f"trials at once are not probed: each has several processes ({key})")
        return
    from tune_runs.preview.packing_probe import probe_packings
    from tune_runs.preview.probe_table import draw_probe

    with interruptible():
        found = probe_packings(space, plan, time.stage_two_s, *_this_machine(space), _say)
    console.print(draw_probe(found))


def _say(line: str) -> None:
    print(f"absgd-tune: {line}", file=sys.stderr, flush=True)


def _nodes_here(space: SearchSpace, address: str | None) -> list[tuple[float, float]]:
    """CPUs and GPUs of the cluster's nodes, or of this machine."""
    if address is not None:
        from tune_runs.ray_cluster.session import node_sizes, ray_session

        with ray_session(address):
            return [(node.cpus, node.gpus) for node in node_sizes()]
    return [_this_machine(space)]


def _this_machine(space: SearchSpace) -> tuple[int, int]:
    """CPUs and GPUs here; torch is asked only where a driver is."""
    num_gpus = 0
    if space.resources.gpu != 0 and shutil.which("nvidia-smi"):
        import torch

        num_gpus = torch.cuda.device_count()
    num_cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return num_cpus, num_gpus
