"""absgd-tune: a whole search from the command line."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

import typer
from rich.console import Console

from absgd import records
from absgd.config.locations import parse_moves
from absgd.errors import UserError
from absgd.paths import checked_folder, expanded
from absgd.plugins import load_plugin
from absgd.plugins.loading import load_installed
from absgd.terminal import (
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    VersionOption,
    interruptible,
    plain_messages,
    print_product,
    run_command,
    say_interrupted,
    shortened,
)
from tune_runs.command_options import (
    HELP,
    AddressOption,
    ConfirmOption,
    DiskBudgetOption,
    EpochBudgetOption,
    ExtendOption,
    ListOption,
    MaxFailuresOption,
    MeasureOption,
    MovedOption,
    NameOption,
    NoConfirmOption,
    NumTrialsOption,
    OutOption,
    PairsOption,
    PluginOption,
    PreviewOption,
    ResumeOption,
    SchemaOption,
    SeedOption,
    SetOption,
    SpaceOption,
    StatusOption,
    StorageOption,
    TimeBudgetOption,
    TrunksOption,
    WarmStartOption,
)
from tune_runs.console_table import print_sentence
from tune_runs.given_options import TuneOptions
from tune_runs.progress.run_list import print_runs, print_status
from tune_runs.request.search_request import (
    SearchFailed,
    SearchInterrupted,
    SearchRequest,
    check_address,
    resume_request,
)
from tune_runs.request.space_files import load_space, space_schema, with_options
from tune_runs.run_copy.restoring import restore_run
from tune_runs.whole_search import carry_out, new_search, plain_console

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command(help=HELP)
def tune(
    space: SpaceOption = None,
    set_: SetOption = None,
    name: NameOption = None,
    out: OutOption = None,
    num_trials: NumTrialsOption = None,
    time_budget: TimeBudgetOption = None,
    epoch_budget: EpochBudgetOption = None,
    disk_budget: DiskBudgetOption = None,
    max_failures: MaxFailuresOption = None,
    seed: SeedOption = None,
    address: AddressOption = None,
    storage: StorageOption = None,
    trunks: TrunksOption = None,
    resume: ResumeOption = None,
    moved: MovedOption = None,
    extend: ExtendOption = None,
    warm_start: WarmStartOption = None,
    confirm: ConfirmOption = None,
    pairs: PairsOption = None,
    no_confirm: NoConfirmOption = False,
    preview: PreviewOption = False,
    measure: MeasureOption = False,
    schema: SchemaOption = False,
    status: StatusOption = None,
    list_: ListOption = None,
    plugin: PluginOption = None,
    _version: VersionOption = False,
) -> None:
    """Search the settings of ABSGD; the help text is `tune_runs.command_options.HELP`."""
    options = TuneOptions(
        space=space,
        set_=set_ or [],
        name=name,
        out=out,
        num_trials=num_trials,
        time_budget=time_budget,
        epoch_budget=epoch_budget,
        disk_budget=disk_budget,
        max_failures=max_failures,
        seed=seed,
        address=address,
        storage=storage,
        trunks=trunks,
        resume=resume,
        moved=moved or [],
        extend=extend,
        warm_start=warm_start,
        confirm=confirm,
        pairs=pairs,
        no_confirm=no_confirm,
        preview=preview,
        measure=measure,
        schema=schema,
        status=status,
        list_=list_,
    )
    with plain_messages("absgd-tune"), interruptible():
        for file in plugin or ():
            load_plugin(file)
        _carry_out(options)


def main() -> None:
    """Entry point of `absgd-tune`."""
    run_command(app)


def _carry_out(options: TuneOptions) -> None:
    options.check()
    if options.address is not None:
        check_address(options.address, "--address")
    if options.schema:
        load_installed()  # whose parts a space can name
        print_product(json.dumps(space_schema(), indent=2) + "\n")
        return
    console = plain_console()
    if options.status is not None:
        print_status(checked_folder(options.status, "--status"), console)
        return
    if options.list_ is not None:
        print_runs(checked_folder(options.list_, "--list"), console)
        return
    if options.resume is not None:
        _continue_search(options, "--resume", options.resume, console)
    elif options.confirm is not None:
        _continue_search(options, "--confirm", options.confirm, console)
    else:
        _begin_search(options, console)


def _continue_search(options: TuneOptions, option: str, run: Path, console: Console) -> None:
    """Resume, extend or confirm the search recorded in the folder `run`."""
    same = load_space(options.space) if options.space is not None else None
    folder = checked_folder(run, option)
    moves = parse_moves(options.moved, "--moved")
    if options.storage is not None and restore_run(folder, options.storage):
        print_sentence(console, f"{folder.name}: restored from {options.storage}")
    request = resume_request(
        folder,
        options.address,
        extend=options.extend or 0,
        budgets=options.budgets,
        given=same,
        option=option,
        moves=moves,
        pairs=options.pairs,
        settings=options.settings,
    )
    searches, confirms = options.confirm is None, not options.no_confirm
    _run(dataclasses.replace(request, searches=searches, confirms=confirms, storage=options.storage), console)


def _begin_search(options: TuneOptions, console: Console) -> None:
    """Start a new search, or preview it."""
    assert options.space is not None, "checked"
    space = load_space(options.space, options.settings)
    trunks = {"trunks": _trunk_folder(options.trunks)} if options.trunks else {}
    if changes := {**options.decisive, **trunks, **options.budgets}:
        space = with_options(space, changes, "command line")
    if options.preview or options.measure:
        from tune_runs.preview_command import print_preview

        shown_space = space.model_copy(update={"confirm": None}) if options.no_confirm else space
        print_preview(shown_space, options.address, options.measure, console)
        return
    earlier = checked_folder(options.warm_start, "--warm-start") if options.warm_start else None
    folder = checked_folder(expanded(options.out or "runs", "--out") / space.name, "--out")
    request = new_search(space, folder, options.address, earlier, console)
    _run(dataclasses.replace(request, confirms=not options.no_confirm, storage=options.storage), console)


def _run(request: SearchRequest, console: Console) -> None:
    resume_words = f"continue with: {request.resume_command}"
    try:
        result = carry_out(request, console)
    except (SearchInterrupted, KeyboardInterrupt):
        if not (request.folder / records.SPACE_FILE).exists():
            raise KeyboardInterrupt from None
        note = request.folder / records.RESUME_NOTE_FILE
        say_interrupted(f"absgd-tune: interrupted; {resume_words}", note)
        raise typer.Exit(EXIT_INTERRUPTED) from None
    except SearchFailed as error:
        print(f"absgd-tune: error: {error}; {resume_words}", file=sys.stderr)
        raise typer.Exit(EXIT_FAILED) from None
    if result.status == "nothing completed":
        table = shortened(request.folder) / records.TRIALS_FILE
        print(f"absgd-tune: no trial, or no run of the confirmation, was completed; see {table}", file=sys.stderr)
        raise typer.Exit(EXIT_FAILED)


def _trunk_folder(given: Path) -> str:
    """Return the folder of `--trunks` as an absolute path, which any process understands."""
    folder = checked_folder(expanded(given, "--trunks"), "--trunks").absolute()
    if folder.exists() and not folder.is_dir():
        raise UserError(f"expected a folder, got the file {folder} (--trunks)")
    return str(folder)
