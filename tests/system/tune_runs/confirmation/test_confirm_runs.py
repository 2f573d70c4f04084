"""Confirmation on a real Ray: metrics equal training from scratch, and each run reads the test set once."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from absgd import records
from absgd.config import RunConfig
from absgd.datasets import load_splits, load_test
from absgd.records.metrics import TEST_SCALARS
from absgd.training import Trainer
from tests.support.ray_searches import FORKS, comparable, forks, printed_by_search, rows_of, trained_alone
from tune_runs.space.model import SearchSpace

CONFIRM = {"max_pairs": 2, "controls": ["ce", "ce-lr", "cb-ce-drw", "ldam-drw"]}


def confirmed_space() -> SearchSpace:
    changes = {
        "loss.name": {"choices": ["abce"]},
        **{name: FORKS["search"][name] for name in ("lam", "gamma", "ab_alpha", "switch_epoch")},
    }
    return forks(search=changes, num_trials=2, confirm=CONFIRM)


@pytest.fixture(scope="module")
def confirmed(ray: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, list[str]]:
    """Return a run folder, its output, and the parts of the data set read by each trial and the driver."""
    folder = tmp_path_factory.mktemp("runs")
    log = folder / "log.txt"

    def say(who: str, part: str) -> None:
        with log.open("a") as file:
            file.write(f"{who} {part}\n")

    def logged(who: str) -> Any:
        from absgd.datasets import in_memory

        read = in_memory.read_digits
        return lambda data, part: (say(who, part), read(data, part))[1]

    def logged_trial(ray_config: dict[str, Any], image_store: Any) -> None:
        from tune_runs.trial.trainable import train_trial
        from tune_runs.trial.trial_plan import task_of

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr("absgd.datasets.in_memory.read_digits", logged(task_of(ray_config).trial_id))
            train_trial(ray_config, image_store)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("tune_runs.driver.drive.train_trial", logged_trial)
        patched.setattr("absgd.datasets.in_memory.read_digits", logged("driver"))
        printed = printed_by_search(confirmed_space(), folder / "run")
    return folder / "run", printed, log.read_text().splitlines()


def rows_in(folder: Path, phase: str) -> list[dict[str, Any]]:
    rows = records.read_rows(folder / records.TRIALS_FILE, records.TRIAL_SCHEMA)
    return [row for row in rows if row["phase"] == phase]


def test_each_confirmation_alone_reads_the_test_set_and_once(confirmed: tuple[Path, str, list[str]]) -> None:
    folder, _, log = confirmed
    rows = rows_in(folder, "confirm")
    counts = Counter(row["candidate"] for row in rows)
    assert {name: counts[name] for name in ("best-1", "ce", "cb-ce-drw")} == {"best-1": 2, "ce": 2, "cb-ce-drw": 2}
    assert counts["ldam-drw"] in (1, 2), "after one pair it waits until plain training is beaten"
    assert counts["ce-lr"] in (0, 1, 2), "it waits until the configuration leads `ce`"
    tested = sorted(line for line in log if line.endswith(" test") and line != "driver test")
    assert tested == sorted(f"{row['trial_id']} test" for row in rows)
    assert log.count("driver test") == 1, "before anything is trained, to see that it is whole"
    assert log.index("driver test") < log.index(tested[0])
    assert {line for line in log if line.endswith(" train")} == {"driver train"}
    assert log.count("driver train") == 3, "each data seed is read once"
    for phase in ("search", "control"):
        assert all(row["test_accuracy"] is None for row in rows_in(folder, phase))


def test_confirmations_equal_training_from_scratch_to_the_bit_and_so_do_their_tests(
    confirmed: tuple[Path, str, list[str]],
) -> None:
    folder, _, _ = confirmed
    for row in rows_in(folder, "confirm"):
        assert (row["status"], row["error"]) == ("completed", None)
        rows = rows_of(folder, row["trial_id"])
        assert comparable(rows) == trained_alone(row), row["trial_id"]
        assert row["epochs_inherited"] == sum(one["inherited"] for one in rows)
        if row["candidate"] in ("best-1", "cb-ce-drw"):
            assert row["epochs_inherited"] > 0
        assert on_test_set_of(row) == measured_alone(records.config_of(row), row["chosen_epoch"])


def on_test_set_of(row: dict[str, Any]) -> dict[str, Any]:
    found = {name: value for name, value in row.items() if name.startswith("test_")}
    return {**found, "test_recall": tuple(found["test_recall"])}


def measured_alone(config: RunConfig, chosen: int) -> dict[str, Any]:
    trainer, images = Trainer(config, load_splits(config)), load_test(config)
    tests = {}
    for record in trainer.epochs():
        if record.epoch in (chosen, config.epochs - 1):
            tests[record.epoch] = dataclasses.asdict(trainer.test(images))
    names = [name.removeprefix("test_") for name in TEST_SCALARS]
    return {**tests[config.epochs - 1], **{f"test_chosen_{name}": tests[chosen][f"test_{name}"] for name in names}}


def test_summary_and_best_file_have_the_confirmed_numbers(confirmed: tuple[Path, str, list[str]]) -> None:
    folder, printed, _ = confirmed
    frame = pd.read_parquet(folder / records.TRIALS_FILE).query("phase == 'confirm'")
    (best,) = (folder / "best").iterdir()
    text = best.read_text()
    for name, own in frame.groupby("candidate"):
        spread = f"{own.metric_last.mean():.4f}" + (f" ± {own.metric_last.std():.4f}" if len(own) > 1 else "")
        assert any(name in line and spread in line for line in printed.splitlines()), printed
        assert any(line.startswith(f"#   {name} ") and spread in line for line in text.splitlines()), text
    assert RunConfig.from_yaml(best).seeds.data == 0
    assert "each complete run read the test set once" in printed
    table = pd.read_parquet(next(folder.glob(f"scenarios/*/{records.CONFIRMATION_FILE}")))
    tested = frame.set_index(["candidate", "pair"])[records.test_metric_of(confirmed_space().objective.first)]
    for row in table[table["look"] == 2].itertuples():
        if row.n:
            assert row.difference == pytest.approx((tested["best-1"] - tested[row.rival]).mean(), abs=1e-12)


def test_each_confirmation_keeps_the_predictions_of_its_test_numbers(confirmed: tuple[Path, str, list[str]]) -> None:
    folder, _, _ = confirmed
    rows = rows_in(folder, "confirm")
    files = {row["trial_id"]: records.predictions_file(folder, row["trial_id"]) for row in rows}
    assert sorted(path.name for path in (folder / "predictions").iterdir()) == sorted(
        f"{name}.parquet" for name in files
    )
    for row in rows:
        frame = pd.read_parquet(files[row["trial_id"]])
        test = frame[frame.split == "test"]
        assert (np.stack(test.logits).argmax(axis=1) == test.label).mean() == row["test_accuracy"]
        assert set(frame.split) == {"validation", "test"}
