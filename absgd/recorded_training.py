"""A run of absgd-train to its last epoch: each epoch recorded and shown, and the status with which it ends."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from absgd import records
from absgd.counts import after_epochs, epochs_done, plural
from absgd.datasets import load_test
from absgd.errors import UserError
from absgd.output_streams import impatient_output
from absgd.plugins.loading import plugin_words
from absgd.records import EpochRecord, TestMetrics
from absgd.terminal import (
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    only_shows,
    print_words,
    raise_swallowed_interrupt,
    say_interrupted,
)
from absgd.training import Diverged, RunFolder, Trainer
from absgd.training.device import out_of_memory_as_user_error
from absgd.training.predicting import predict


def train_and_record(folder: RunFolder, trainer: Trainer, reads_test: bool, keeps_predictions: bool) -> None:
    """Train a run to its last epoch, recording and showing each epoch, and record how it ends.

    Args:
        folder: the record, up to the epoch at which `trainer` is.
        trainer: the run.
        reads_test: whether the test set is read, once, after the last epoch.
        keeps_predictions: whether logits of validation, and of the test set if it is read, are written.

    Raises:
        typer.Exit: after a message, with status 1 if the run diverged and 130 if it was interrupted.
        UserError: if the GPU is out of memory or an image cannot be read; the status recorded is `failed`.
        OSError: if the record cannot be written.
    """
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
                raise_swallowed_interrupt()
        folder.write_status("completed", trainer)
        images = load_test(trainer.config) if reads_test else None
        if keeps_predictions:
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
def _progress(trainer: Trainer, metric: str) -> Iterator[Callable[[EpochRecord], None]]:
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
    """Return the scores of an epoch in at most `width` characters: all, or as many as fit, down to the metric alone."""
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
