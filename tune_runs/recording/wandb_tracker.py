"""Runs of a search in Weights & Biases: one per trial, grouped by scenario, and one that holds the report."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import wandb

from absgd.errors import UserError
from tune_runs.recording.trackers import CLOSE_S, Row, TrackedSearch, results_of, scalars_of, settings_of

PROJECT = "absgd-tune"
"""Project where WANDB_PROJECT names none."""
_LATEST_FILE = "latest_epoch"
"""File beside an offline run with the last epoch that it has; wandb could not say when the search is resumed."""


def check_wandb() -> None:
    """Refuse to begin where wandb would ask for a key in the middle of the search.

    Raises:
        UserError: if its settings are wrong, or runs are to be sent to a server and no key is known.
    """
    try:
        is_local = wandb.setup().settings.mode in ("offline", "disabled", "dryrun")
        is_ready = is_local or wandb.login(prompt=False)
    except Exception as error:  # noqa: BLE001 - it checks files and variables of the user in many ways
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"Weights & Biases cannot start: {type(error).__name__}: {reason} (track)") from None
    if not is_ready:
        raise UserError(
            "expected a key of Weights & Biases, found none: call `wandb login`, set WANDB_API_KEY, "
            "or keep its runs on this machine with WANDB_MODE=offline (track)"
        )


class WandbTracker:
    """Shows a search in Weights & Biases; its own environment variables, such as WANDB_MODE, hold.

    Without WANDB_DIR its files are in the run folder. A trial that continues in another session continues its run: ids
    are made of those of search and trial. Offline that is a further part of the run, which `wandb sync` joins to it.

    Source: https://docs.wandb.ai/ref/python/init, `resume="allow"` and `reinit="create_new"`.
    """

    def __init__(self, search: TrackedSearch) -> None:
        self._search = search
        self._open: dict[str, Any] = {}
        self._latest: dict[str, int] = {}
        """Trial -> last epoch that wandb has."""

    def begin(self, trial: Row, earlier: Sequence[Row]) -> None:
        """Open the run of a trial, and log what wandb lacks of its earlier epochs."""
        name = trial["trial_id"]
        run = self._new_run(name, trial["scenario"], trial["phase"], settings_of(trial))
        self._open[name] = run
        parts = Path(run.dir).parents[1].glob(f"offline-run-*-{run.id}/{_LATEST_FILE}") if run.offline else ()
        online = run.step - 1 if run.resumed else -1
        self._latest[name] = max([online, *(int(part.read_text()) for part in parts)])
        self.add(name, earlier)

    def add(self, trial_id: str, epochs: Sequence[Row]) -> None:
        """Log epochs, each at the step of its number, but those that wandb has."""
        run = self._open[trial_id]
        for row in epochs:
            if row["epoch"] > self._latest[trial_id]:
                run.log(scalars_of(row), step=row["epoch"])
                self._latest[trial_id] = row["epoch"]
        if run.offline:
            (Path(run.dir).parent / _LATEST_FILE).write_text(str(self._latest[trial_id]))

    def end(self, trial: Row) -> None:
        """Finish the run of a trial, with its status and numbers in the summary."""
        run = self._open.pop(trial["trial_id"])
        run.summary.update({"status": trial["status"], "error": trial["error"], **results_of(trial)})
        run.finish(exit_code=0 if trial["status"] in ("completed", "pruned") else 1)

    def attach(self, report: Path) -> None:
        """Log the report as a page, in a run of its own."""
        run = self._new_run("report", "report", "report", {})
        run.log({"report": wandb.Html(report.read_text(encoding="utf-8"), inject=False)})
        run.finish()

    def close(self) -> None:
        """Finish all runs."""
        for run in self._open.values():
            run.finish(exit_code=1)

    def _new_run(self, name: str, group: str, kind: str, settings: dict[str, Any]) -> Any:
        return wandb.init(
            project=os.environ.get("WANDB_PROJECT") or PROJECT,
            dir=os.environ.get("WANDB_DIR") or str(self._search.folder),
            id=hashlib.sha256(f"{self._search.id} {name}".encode()).hexdigest()[:16],
            resume="allow",
            name=name,
            group=group,
            job_type=kind,
            tags=[self._search.folder.name[:64]],
            config={"search": self._search.folder.name, **settings},
            settings=wandb.Settings(
                reinit="create_new",  # trials train at the same time
                silent=True,
                console="off",
                disable_git=True,
                disable_code=True,
                x_disable_stats=True,  # of the driver, where nothing trains
                finish_timeout=CLOSE_S,
            ),
        )
