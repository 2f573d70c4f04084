"""absgd-train: one training run from the command line."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from absgd import records
from absgd.config import RunConfig
from absgd.config.assignments import parse_settings
from absgd.config.locations import Moves, parse_moves
from absgd.config.recipes import load_recipe, shipped_recipes
from absgd.errors import UserError, nearest
from absgd.export.destinations import checked_destinations
from absgd.export.search_verdict import keep_verdict
from absgd.paths import checked_folder
from absgd.plugins import load_plugin
from absgd.terminal import (
    EXIT_FAILED,
    VersionOption,
    ended_if_deaf,
    interruptible,
    plain_messages,
    print_product,
    print_words,
    run_command,
    starting_with,
    warn,
)
from absgd.whole_imports import import_whole

if TYPE_CHECKING:
    from absgd.training import RunFolder, Trainer

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def train(
    config: Annotated[
        Path | None, typer.Option(help="YAML file of a run, such as runs/NAME/best/SCENARIO.yaml.")
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="In place of --config: a shipped run, such as cifar10_exp_0.1.",
            autocompletion=lambda incomplete: starting_with(incomplete, shipped_recipes()),
        ),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Replace one setting, e.g. loss.name=ce. May be repeated."),
    ] = None,
    plugin: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Python file that declares models, losses or data sets. May be repeated."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the run record; default runs/<name of file or recipe>.")
    ] = None,
    resume: Annotated[Path | None, typer.Option(help="Continue the run recorded in this folder.")] = None,
    moved: Annotated[
        list[str] | None,
        typer.Option(
            metavar="OLD=NEW", help="With --resume: a path, as recorded, and where it is now. May be repeated."
        ),
    ] = None,
    device: Annotated[Literal["auto", "cpu", "cuda"] | None, typer.Option(help="Replaces device.type.")] = None,
    metric: Annotated[
        str | None,
        typer.Option(help=f"Validation metric of the best checkpoint; default {records.DEFAULT_METRIC}."),
    ] = None,
    test: Annotated[bool, typer.Option("--test", help="Read the test set once, after the last epoch.")] = False,
    predictions: Annotated[
        bool,
        typer.Option(
            "--predictions", help="Write the logits of validation, and with --test of the test set, to predictions/."
        ),
    ] = False,
    export: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Write the model after the last epoch: NAME.safetensors or NAME.onnx, with a card NAME.md. May be "
            "repeated. With --resume of a complete run nothing is trained.",
        ),
    ] = None,
    export_weights: Annotated[
        Literal["last", "best"],
        typer.Option(help="Epoch whose weights are exported: the last, or the best on validation."),
    ] = "last",
    show: Annotated[bool, typer.Option("--show", help="Print the whole configuration and train nothing.")] = False,
    _version: VersionOption = False,
) -> None:
    """Train one configuration and record it.

    The folder holds config.yaml, environment.json, epochs.parquet (one row per epoch), trials.parquet (one row),
    last.pt and best.pt. --resume continues a run that was stopped; its numbers are those of an uninterrupted run.
    --set device.ranks=4 trains on four GPUs, in four processes that share each batch.

    Exit status: 0 the run is complete; 1 it diverged; 2 the request is invalid; 130 Ctrl-C.
    """
    with plain_messages("absgd-train"), interruptible(), ended_if_deaf(), _lost_ranks_named(), ExitStack() as ranks:
        for file in plugin or ():
            load_plugin(file)
        exports = checked_destinations(export or ())
        if export_weights != "last" and not exports:
            raise UserError("expected `--export FILE` with `--export-weights`, got none")
        if resume:
            moves = parse_moves(moved or [], "--moved")
            _refuse_beside_resume(config, recipe, set_, out, metric, show)
            folder, trainer = _continued(resume, moves, device, test, exports, ranks)
        else:
            if moved:
                raise UserError("expected `--moved OLD=NEW` with `--resume DIR`, whose record it corrects")
            chosen_by = records.DEFAULT_METRIC if metric is None else _checked_metric(metric)
            run, name = _configured(config, recipe, set_, device)
            if show:
                _show(run)
                return
            folder, trainer = _begun(run, out or _default_folder(name), chosen_by, test, exports, ranks)
            keep_verdict(folder.path, trainer.config, config)

        from absgd.export.run_export import write_exports  # torch is imported by now
        from absgd.recorded_training import train_and_record

        train_and_record(folder, trainer, test, predictions)
        if exports:
            write_exports(exports, folder, trainer, export_weights)
            print_words(f"exported {', '.join(map(str, exports))}")


@contextmanager
def _lost_ranks_named() -> Iterator[None]:
    """Print one line if a run of several processes loses one of them."""
    try:
        yield
    except RuntimeError as error:
        from absgd.training.ranks.rank_failures import RankFailed, RanksLost

        if not isinstance(error, RankFailed | RanksLost):
            raise
        again = "--resume continues from the last recorded epoch, if there is one"
        print(f"absgd-train: error: {error}; {again}", file=sys.stderr)
        raise typer.Exit(EXIT_FAILED) from None


def main() -> None:
    """Entry point of `absgd-train`."""
    run_command(app)


def _configured(
    path: Path | None, recipe: str | None, set_: list[str] | None, device: str | None
) -> tuple[RunConfig, str]:
    """Return the run that the options ask for, and its name."""
    if path is not None and recipe is not None:
        raise UserError("expected `--config FILE` or `--recipe NAME`, got both")
    if path is not None:
        config, name = RunConfig.from_yaml(path), path.stem
    elif recipe is not None:
        config, name = load_recipe(recipe), recipe
    else:
        raise UserError("expected `--config FILE`, `--recipe NAME` or `--resume DIR`, got none of them")
    settings = parse_settings(set_ or [])
    if device and (twice := next((key for key in settings if key in ("device", "device.type")), None)):
        raise UserError(f"expected `device.type` once, got it by `--device` and by `--set {twice}=`")
    if settings:
        config = config.with_values(settings, "--set")
    if device:
        config = config.with_values({"device.type": device}, "--device")
    for sentence in config.unused_settings():
        warn(sentence)
    return config, name


def _default_folder(name: str) -> Path:
    if not name.strip("."):
        raise UserError(f"expected `--out DIR`, since {name!r}, from the file's name, cannot be a folder (--config)")
    return Path("runs") / name


def _begun(
    config: RunConfig, path: Path, metric: str, reads_test: bool, exports: tuple[Path, ...], ranks: ExitStack
) -> tuple[RunFolder, Trainer]:
    if checked_folder(path, "--out").exists():
        raise UserError(f"{path} exists: continue it with `--resume {path}` or give another `--out`")
    _say_reading(config)
    import_whole("absgd.training")

    from absgd.run_opening import begin_run

    return begin_run(config, path, metric, reads_test, exports, ranks)


def _continued(
    path: Path, moves: Moves, device: str | None, reads_test: bool, exports: tuple[Path, ...], ranks: ExitStack
) -> tuple[RunFolder, Trainer]:
    import_whole("absgd.training")

    from absgd.run_opening import continue_run
    from absgd.training import RunFolder

    folder = RunFolder.open(checked_folder(path, "--resume"), moves)
    _say_reading(folder.config)
    return folder, continue_run(folder, device, reads_test, exports, ranks)


def _refuse_beside_resume(*fixed_by_the_record: object) -> None:
    if any(given not in (None, False, []) for given in fixed_by_the_record):
        raise UserError(
            "expected `--resume` without --config, --recipe, --set, --out, --metric and --show: "
            "the run folder already records them"
        )


def _say_reading(config: RunConfig) -> None:
    """Print what the first epoch waits for: torch takes seconds to import, and a folder of images may take minutes."""
    print(f"starting: torch, then the images of {config.data.name}", flush=True)


def _show(run: RunConfig) -> None:
    """Print the whole configuration of a run, and how the options of its device resolve here."""
    print_product(run.to_yaml())
    if run.device.has_options:
        from absgd.run_opening import say_device_options

        try:
            say_device_options(run)
        except UserError as error:  # the run may be meant for another machine
            warn(str(error))


def _checked_metric(metric: str) -> str:
    if metric not in records.METRICS:
        valid = ", ".join(f"`{name}`" for name in records.METRICS)
        raise UserError(
            f"expected a metric out of {valid}, got {metric!r}{nearest(metric, records.METRICS)} (--metric)"
        )
    return metric
