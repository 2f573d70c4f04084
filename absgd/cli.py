"""absgd-train: one training run from the command line."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from absgd import records
from absgd.config import RunConfig
from absgd.config.assignments import parse_settings
from absgd.config.locations import Moves, parse_moves, with_recorded_places
from absgd.config.recipes import load_recipe, shipped_recipes
from absgd.config.sections import DeviceConfig
from absgd.counts import after_epochs, epochs_done, plural
from absgd.errors import UserError, nearest
from absgd.export.destinations import checked_destinations
from absgd.export.search_verdict import keep_verdict
from absgd.output_streams import impatient_output
from absgd.paths import checked_folder
from absgd.plugins import load_plugin
from absgd.plugins.loading import plugin_words
from absgd.records import EpochRecord, TestMetrics
from absgd.terminal import (
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    VersionOption,
    interruptible,
    only_shows,
    plain_messages,
    print_product,
    print_words,
    run_command,
    say_interrupted,
    starting_with,
    warn,
)
from absgd.whole_imports import import_whole

if TYPE_CHECKING:
    from absgd.datasets import Splits
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
    with plain_messages("absgd-train"), interruptible(), _lost_ranks_named(), ExitStack() as ranks:
        for file in plugin or ():
            load_plugin(file)
        exports = checked_destinations(export or ())
        if export_weights != "last" and not exports:
            raise UserError("expected `--export FILE` with `--export-weights`, got none")
        if resume:
            moves = parse_moves(moved or [], "--moved")
            folder, trainer = _continued(ranks, resume, moves, device, test, config, recipe, set_, out, metric, show)
            _check_exports(exports, trainer, folder.metric)
        else:
            if moved:
                raise UserError("expected `--moved OLD=NEW` with `--resume DIR`, whose record it corrects")
            chosen_by = records.DEFAULT_METRIC if metric is None else _checked_metric(metric)
            run, name = _configured(config, recipe, set_, device)
            if show:
                print_product(run.to_yaml())
                try:
                    _say_speed(run)
                except UserError as error:  # the run may be meant for another machine
                    warn(str(error))
                return
            folder, trainer = _started(ranks, run, out or _default_folder(name), chosen_by, test, exports)
            keep_verdict(folder.path, trainer.config, config)
        _run(folder, trainer, test, predictions)
        _write_exports(exports, folder, trainer, export_weights)


@contextmanager
def _lost_ranks_named() -> Iterator[None]:
    """Print one line if a run of several processes loses one of them."""
    try:
        yield
    except RuntimeError as error:
        from absgd.training.ranks.rank_failures import RankFailed, RanksLost

        if not isinstance(error, RankFailed | RanksLost):
            raise
        print(f"absgd-train: error: {error}; --resume continues from the last recorded epoch", file=sys.stderr)
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


def _started(
    ranks: ExitStack, config: RunConfig, path: Path, metric: str, reads_test: bool, exports: tuple[Path, ...]
) -> tuple[RunFolder, Trainer]:
    if checked_folder(path, "--out").exists():
        raise UserError(f"{path} exists: continue it with `--resume {path}` or give another `--out`")
    _say_reading(config)
    import_whole("absgd.training")

    from absgd.datasets import check_test_set, load_splits
    from absgd.training import RunFolder, Trainer
    from absgd.training.device import out_of_memory_as_user_error
    from absgd.training.local_ranks import local_ranks

    config = RunConfig.from_dict(with_recorded_places(config.to_dict()))
    if reads_test:
        check_test_set(config)
    joined = ranks.enter_context(local_ranks(config))
    splits = load_splits(config)
    _check_group(metric, splits)
    _say_speed(config)
    with out_of_memory_as_user_error(config):
        trainer = Trainer(config, splits, ranks=joined)
    _check_exports(exports, trainer, metric)
    return RunFolder.create(path, trainer, metric), trainer


def _say_reading(config: RunConfig) -> None:
    """Print what the first epoch waits for: torch takes seconds to import, and a folder of images may take minutes."""
    print(f"starting: torch, then the images of {config.data.name}", flush=True)


def _say_speed(config: RunConfig) -> None:
    """Print how the options of `device` resolve on this machine, to standard error, if any is set."""
    plain = DeviceConfig(type=config.device.type, threads=config.device.threads, ranks=config.device.ranks)
    if config.device == plain:
        return
    from absgd.training.device import prepare_device
    from absgd.training.device_options import machine_of, resolve_device_options

    device = prepare_device(config.device)
    speed = resolve_device_options(config.device, config.can_be_captured, machine_of(device))
    print(f"on {device.type}: {speed.describe()}", file=sys.stderr)


def _check_group(metric: str, splits: Splits) -> None:
    """Refuse a metric over a group of classes that is empty in the data."""
    from absgd.training.evaluation import absent_metrics

    if metric in absent_metrics(splits.class_counts, splits.val_counts):
        raise UserError(
            f"expected a metric that the run has, got `{metric}`: "
            "no class in that group has validation images (--metric)"
        )


def _continued(
    ranks: ExitStack,
    resume: Path,
    moves: Moves,
    device: str | None,
    reads_test: bool,
    *fixed_by_the_record: object,
) -> tuple[RunFolder, Trainer]:
    if any(given not in (None, False, []) for given in fixed_by_the_record):
        raise UserError(
            "expected `--resume` without --config, --recipe, --set, --out, --metric and --show: "
            "the run folder already records them"
        )

    import_whole("absgd.training")

    from absgd.datasets import check_test_set, load_splits
    from absgd.training import RunFolder, Trainer
    from absgd.training.device import out_of_memory_as_user_error
    from absgd.training.local_ranks import local_ranks

    folder = RunFolder.open(checked_folder(resume, "--resume"), moves)
    _say_reading(folder.config)
    here = folder.config.with_values({"device.type": device}, "--device") if device else folder.config
    if reads_test:
        check_test_set(here)
    joined = ranks.enter_context(local_ranks(here))
    _say_speed(here)
    with out_of_memory_as_user_error(here):
        trainer = Trainer(here, load_splits(here), ranks=joined)
        if folder.can_continue:
            folder.restore(trainer)
    return folder, trainer


def _check_exports(paths: tuple[Path, ...], trainer: Trainer, metric: str) -> None:
    if paths:
        from absgd.export.run_export import check_exports

        check_exports(paths, trainer, metric)


def _write_exports(
    paths: tuple[Path, ...], folder: RunFolder, trainer: Trainer, weights: Literal["last", "best"]
) -> None:
    if paths:
        from absgd.export.run_export import write_exports

        write_exports(paths, folder, trainer, weights)
        print_words(f"exported {', '.join(map(str, paths))}")


def _checked_metric(metric: str) -> str:
    if metric not in records.METRICS:
        valid = ", ".join(f"`{name}`" for name in records.METRICS)
        raise UserError(
            f"expected a metric out of {valid}, got {metric!r}{nearest(metric, records.METRICS)} (--metric)"
        )
    return metric


def _run(folder: RunFolder, trainer: Trainer, read_test: bool, keep_predictions: bool) -> None:
    from absgd.datasets import load_test
    from absgd.training import Diverged
    from absgd.training.device import out_of_memory_as_user_error
    from absgd.training.predicting import predict

    (folder.path / records.RESUME_NOTE_FILE).unlink(missing_ok=True)
    try:
        with (
            out_of_memory_as_user_error(trainer.config),
            impatient_output(),
            _progress(trainer, folder.metric) as show,
        ):
            for record in trainer.epochs():
                folder.add_epoch(record, trainer)
                with only_shows("an epoch"):
                    show(record)
        folder.write_status("completed", trainer)
        images = load_test(trainer.config) if read_test else None
        if keep_predictions:
            test, table = predict(trainer, images)
            folder.write_predictions(table)
        else:
            test = trainer.test(images) if images is not None else None
    except Diverged as error:
        folder.write_status("diverged", trainer, str(error))
        print(f"absgd-train: diverged: {error}; recorded in {folder.path}", file=sys.stderr)
        raise typer.Exit(EXIT_FAILED) from None
    except Exception as error:
        if trainer.next_epoch < trainer.config.epochs:
            with suppress(OSError):  # of a full disk, which is what is raised
                folder.write_status("failed", trainer, str(error) if isinstance(error, UserError) else repr(error))
        raise
    except KeyboardInterrupt:
        folder.write_status("interrupted", trainer)
        again = shlex.join(["absgd-train", "--resume", str(folder.path), *plugin_words()])
        words = f"absgd-train: interrupted; continue with: {again}"
        say_interrupted(words, folder.path / records.RESUME_NOTE_FILE)
        raise typer.Exit(EXIT_INTERRUPTED) from None
    folder.write_status("completed", trainer, test=test)
    _print_summary(folder, test)


@contextmanager
def _progress(trainer: Trainer, metric: str) -> Iterator[Any]:
    """Yield the function that shows a record: on a bar if this is a terminal, else as one line per epoch."""
    epochs, console = trainer.config.epochs, Console(stderr=True)
    if not console.is_terminal:
        yield lambda record: print(f"{_place(record.epoch, epochs)}  {scores(record, metric)}", flush=True)
        return
    place = f"after {{task.completed}} of {plural(epochs, 'epoch')}"
    spare = console.width - len(after_epochs(epochs, epochs)) - _TIME_WIDTH
    bar = [BarColumn(min(40, spare - _SCORES_WIDTH))] if spare > _SCORES_WIDTH + 8 else []
    with Progress(
        TextColumn(place), *bar, TextColumn("{task.description}"), TimeRemainingColumn(), console=console
    ) as progress:
        task = progress.add_task("", total=epochs, completed=trainer.next_epoch)
        yield lambda record: progress.update(task, advance=1, description=scores(record, metric, spare))


_TIME_WIDTH = 10  # of the time that is left, with spaces
_SCORES_WIDTH = 64  # of the longest scores, with spaces


def _place(epoch: int, epochs: int) -> str:
    return after_epochs(epochs_done(epoch), epochs)


def scores(record: EpochRecord, metric: str, width: int | None = None) -> str:
    """Return the scores of an epoch in at most `width` characters: the metric first of all, and no number cut."""
    value = getattr(record, metric)
    shown = "none" if value is None else f"{value:.4f}"
    stage, loss, score = f"stage {record.stage}", f"train_loss {record.train_loss:.4f}", f"{metric} {shown}"
    variants = ("  ".join(parts) for parts in ((stage, loss, score), (stage, score), (score,), (shown,)))
    return next((text for text in variants if width is None or len(text) <= width), "")


def _print_summary(folder: RunFolder, test: TestMetrics | None) -> None:
    row = records.read_rows(folder.path / records.TRIALS_FILE, records.TRIAL_SCHEMA)[0]
    if row["metric_last"] is not None:
        last, best = f"{row['metric_last']:.4f}", f"{row['metric_chosen']:.4f}"
        epochs, over = folder.config.epochs, records.over_classes(folder.last_recall)
        chosen = _place(row["chosen_epoch"], epochs)
        print_words(f"{folder.metric} {last}{over} {after_epochs(epochs)}, the last; the best is {best} {chosen}")
    if test is not None:
        shown = f"test_accuracy {test.test_accuracy:.4f}  test_balanced_accuracy {test.test_balanced_accuracy:.4f}"
        print_words(shown + records.over_classes(test.test_recall))
    print(f"recorded in {folder.path}")
