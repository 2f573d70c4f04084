"""Experiment folders of plain Ray Tune scripts, in the format that Ray writes."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from absgd import records
from absgd.errors import UserError
from analysis import Runs, load
from analysis.report.html_report import report_html


class Bomb:
    """An object whose unpickling fails the test."""

    def __reduce__(self) -> Any:
        return pytest.fail, ("something was unpickled",)


def experiment(path: Path, *, metric: str = "val_accuracy", **more: Any) -> Path:
    """Write three trials of 5 epochs, the last stopped after 2, each with a pickle that must not be opened."""
    for number, epochs in enumerate((5, 5, 2)):
        folder = path / f"train_{number:05d}"
        folder.mkdir(parents=True)
        params = {"lambda": 2.0 + number, "gamma": 0.5, "dataset": "cifar10", "imb_type": "exp", "imb_factor": 0.1}
        (folder / "params.json").write_text(json.dumps({**params, "width": 8 * number, **more}))
        (folder / "params.pkl").write_bytes(pickle.dumps(Bomb()))
        lines = [
            {metric: 0.5 + 0.01 * number + 0.1 * k, "training_iteration": k + 1, "time_total_s": 2.0 * (k + 1)}
            for k in range(epochs)
        ]
        (folder / "result.json").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def with_lines(path: Path, name: str, lines: list[dict[str, Any]]) -> Path:
    """Replace the results of a trial."""
    (path / name / "result.json").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def every_line(path: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Path:
    """Change every result of an experiment."""
    for file in path.glob("*/result.json"):
        lines = [change(json.loads(line)) for line in file.read_text().splitlines()]
        with_lines(path, file.parent.name, lines)
    return path


def state_file(path: Path, *, session: str = "2026-01-02_03-04-05", old: bool = False, **statuses: str) -> None:
    """Write a state file as Ray 2 does, or as Ray 1 did, with the status of each trial."""
    entries = []
    for name, status in statuses.items():
        state = {"trial_id": name[-5:], "status": status, "relative_logdir": name, "results": "80049a", "extra": None}
        about = {"num_failures": 1, "last_result": {"done": True}}
        entries.append({**state, **about} if old else [json.dumps(state), json.dumps(about)])
    content = {"checkpoints" if old else "trial_data": entries, "runner_data": {"_type": "CLOUDPICKLE_FALLBACK"}}
    (path / f"experiment_state-{session}.json").write_text(json.dumps(content))


def told_of(runs: Runs) -> list[str]:
    return [problem.text for problem in runs.problems]


def test_the_same_frames(tmp_path: Path) -> None:
    runs = load(experiment(tmp_path / "old"))
    trials = runs.trials.set_index("trial_id")
    assert list(runs.trials.columns) == ["folder", *records.TRIAL_SCHEMA.names, "params/width"]
    assert list(runs.epochs.columns) == ["folder", *records.EPOCH_SCHEMA.names]
    assert trials.status.tolist() == ["completed", "completed", "pruned"]
    assert trials.lam.tolist() == [2.0, 3.0, 4.0]
    assert trials["params/width"].tolist() == [0, 8, 16]
    assert set(trials.scenario) == {"cifar10-exp-0.1"}
    assert trials.metric_last.tolist() == pytest.approx([0.9, 0.91, 0.62])
    assert trials.wall_s.tolist() == [10.0, 10.0, 4.0]
    assert runs.epochs.groupby("trial_id").epoch.max().tolist() == [4, 4, 1]
    assert [str(problem) for problem in runs.problems] == [
        f"{tmp_path}/old: 1 trial ended before the longest one (5 epochs): taken as stopped early"
    ]
    assert runs.best().trial_id.tolist() == ["train_00001"]
    assert [one.outcome for one in runs.verdicts()] == ["no control"]


def test_ray_folder_next_to_our_own_folders(tmp_path: Path, full_folder: Path) -> None:
    runs = load([experiment(tmp_path / "old"), full_folder])
    assert len(runs.trials) == 3 + 47
    assert str(runs.trials["params/width"].dtype) == "Int64"


def test_names_are_mapped_to_ours(tmp_path: Path) -> None:
    path = experiment(tmp_path / "old", metric="top1", tau=0.5)
    with pytest.raises(UserError, match=r"no known metric is reported: say which.*'top1'"):
        load(path)
    runs = load(path, names={"top1": "val_balanced_accuracy", "tau": "class_tau"})
    assert set(runs.trials.metric) == {"val_balanced_accuracy"}
    assert set(runs.trials.class_tau) == {0.5}
    with pytest.raises(UserError, match="no column `val_acuracy`; did you mean `val_accuracy`"):
        load(path, names={"top1": "val_acuracy"})
    with pytest.raises(UserError, match="no metric `val_los`; did you mean `val_loss`"):
        load(path, metric="val_los")


def test_nested_parameters(tmp_path: Path) -> None:
    path = experiment(tmp_path / "old", optim={"lr": 0.1, "nesterov": True})
    trials = load(path).trials
    assert set(trials.lr) == {0.1}
    assert set(trials["params/optim/nesterov"]) == {True}


def test_torn_lines_and_odd_numbers(tmp_path: Path) -> None:
    path = experiment(tmp_path / "old")
    with (path / "train_00000" / "result.json").open("a") as file:
        file.write('{"val_accuracy": NaN, "training_iteration": 6}\n{"val_accuracy": 0.')
    (path / "train_00001" / "params.json").write_text("{")
    (path / "train_00002" / "error.txt").write_text("boom")
    runs = load(path)
    told = "\n".join(map(str, runs.problems))
    assert "train_00000/result.json: 1 damaged line left out" in told
    assert "cannot read train_00001/params.json" in told
    assert "train_00001: no readable params.json; left out" in told
    assert "1 trial ended with a metric or loss that is NaN or infinite: taken as diverged" in told
    assert "1 trial raised an error, and no experiment_state-*.json says whether they started again" in told
    assert runs.trials.status.tolist() == ["diverged", "failed"]
    assert runs.epochs.val_accuracy.isna().sum() == 1


def test_restored_trials_report_an_epoch_twice(tmp_path: Path) -> None:
    path = experiment(tmp_path / "old")
    with (path / "train_00000" / "result.json").open("a") as file:
        file.write('{"val_accuracy": 0.77, "training_iteration": 5}\n')
    runs = load(path)
    own = runs.epochs[runs.epochs.trial_id == "train_00000"]
    assert own.epoch.tolist() == [0, 1, 2, 3, 4]
    assert own.val_accuracy.iloc[-1] == 0.77


def test_numbers_too_large_are_lost_and_reported(tmp_path: Path) -> None:
    path = experiment(tmp_path / "old", width2=10**30, batch_size=10**30, weight_decay=10**400, rate=float("inf"))
    line = {"val_accuracy": 10**400, "val_loss": float("inf"), "training_iteration": 10**30, "epoch": 10**30}
    with (path / "train_00002" / "result.json").open("a") as file:
        file.write(json.dumps({**line, "time_total_s": 10**400}) + "\n")
    runs = load(path)
    told = [problem.text for problem in runs.problems]
    lost = "number too large, left out: batch_size"
    assert told[0] == f"train_00000: {lost}, rate, weight_decay, width2"
    assert told[2] == f"train_00002: {lost}, epoch, rate, val_accuracy, val_loss, weight_decay, width2"
    assert len(runs.trials) == 3
    assert runs.best().trial_id.tolist() == ["train_00001"]
    assert runs.trials.batch_size.isna().all()
    assert not [name for name in runs.trials.columns if name in ("params/width2", "params/rate")]
    assert runs.epochs[runs.epochs.trial_id == "train_00002"].epoch.tolist() == [0, 1, 2]
    assert "One seed" in report_html(runs)


def test_large_numbers_that_fit_are_kept(tmp_path: Path) -> None:
    runs = load(experiment(tmp_path / "old", seed=2**53 + 1, lr=10**30))
    assert set(runs.trials.seed_train) == {2**53 + 1}
    assert set(runs.trials.lr) == {1e30}
    assert len(runs.problems) == 1


def test_a_trial_that_reached_its_own_epochs_is_finished(tmp_path: Path) -> None:
    path = experiment(tmp_path / "old")
    for name, epochs in (("train_00001", 200), ("train_00002", 2)):
        file = path / name / "params.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), "num_epochs": epochs}))
    runs = load(path)
    assert runs.trials.status.tolist() == ["completed"] * 3
    assert runs.trials.epochs.tolist() == [5, 200, 2]
    assert runs.problems == ()


def test_without_results(tmp_path: Path) -> None:
    (tmp_path / "old" / "train_00000").mkdir(parents=True)
    (tmp_path / "old" / "train_00000" / "params.json").write_text("{}")
    with pytest.raises(UserError, match="no known metric"):
        load(tmp_path / "old")


@pytest.mark.parametrize("old", [False, True])
def test_a_trial_that_was_started_again_and_finished_is_not_failed(tmp_path: Path, old: bool) -> None:
    path = experiment(tmp_path / "old")
    for name in ("train_00000", "train_00002"):
        (path / name / "error.txt").write_text("Traceback of the first attempt")
    state_file(path, old=old, train_00000="TERMINATED", train_00001="TERMINATED", train_00002="ERROR")
    runs = load(path)
    assert runs.trials.status.tolist() == ["completed", "completed", "failed"]
    assert told_of(runs) == ["1 trial raised an error, started again and ended as told by Ray: not failed"]


def test_the_last_session_and_renamed_folders(tmp_path: Path) -> None:
    path = experiment(tmp_path / "old")
    every_line(path, lambda line: {**line, "trial_id": "00001"})
    (path / "train_00001").rename(path / "renamed")
    state_file(path, session="2026-01-01_00-00-00", train_00000="ERROR", train_00001="RUNNING", train_00002="ERROR")
    state_file(path, session="2026-01-02_00-00-00", train_00000="TERMINATED", train_00001="PAUSED")
    (path / "experiment_state-2026-01-03_00-00-00.json").write_text('{"trial_data": [[')
    runs = load(path)
    assert runs.trials.set_index("trial_id").status.to_dict() == {
        "renamed": "interrupted",
        "train_00000": "completed",
        "train_00002": "failed",
    }
    told = "\n".join(told_of(runs))
    assert "cannot read experiment_state-2026-01-03_00-00-00.json" in told
    assert "the run is not finished: 1 of 3 trials" in told


def test_trials_that_only_the_state_file_knows(tmp_path: Path) -> None:
    path = experiment(tmp_path / "old")
    state_file(
        path, train_00000="TERMINATED", train_00001="TERMINATED", train_00002="TERMINATED", train_00003="PENDING"
    )
    told = told_of(load(path))
    assert told[-1] == "1 of 4 trials in experiment_state-*.json have no readable folder: left out"


@pytest.mark.parametrize("content", ["[]", "3", '{"trial_data": 3}', '{"trial_data": [["{}", "{}"]]}', "[" * 10**5, ""])
def test_hostile_state_files(tmp_path: Path, content: str) -> None:
    path = experiment(tmp_path / "old")
    (path / "experiment_state-1.json").write_text(content)
    runs = load(path)
    assert runs.trials.status.tolist() == ["completed", "completed", "pruned"]
    assert told_of(runs)[0].startswith("cannot read experiment_state-1.json")


def test_accuracies_in_percent_are_refused_until_they_are_named(tmp_path: Path) -> None:
    path = every_line(experiment(tmp_path / "old"), lambda line: {**line, "val_accuracy": 100 * line["val_accuracy"]})
    with pytest.raises(
        UserError, match=r"expected `val_accuracy` from 0 to 1, got 50 in train_00000 \(3 of 3 trials\)"
    ):
        load(path)
    for percent in (True, ["val_accuracy"], "val_accuracy"):
        runs = load(path, percent=percent)
        assert runs.trials.metric_last.tolist() == pytest.approx([0.9, 0.91, 0.62])
        assert "91.00 %" in report_html(runs)
    with pytest.raises(UserError, match="expected a column of accuracies, got 'val_los'; did you mean"):
        load(path, percent=["val_los"])
    with pytest.raises(UserError, match="expected `val_accuracy` from 0 to 100, got 5000"):
        load(with_lines(path, "train_00001", [{"val_accuracy": 5000.0}]), percent=True)


def test_fractions_are_not_taken_for_percent(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"expected `val_accuracy` in percent, got at most 0\.91 in 3 trials"):
        load(experiment(tmp_path / "old"), percent=True)


def test_nested_metrics_have_names_with_slashes(tmp_path: Path) -> None:
    def nested(line: dict[str, Any]) -> dict[str, Any]:
        return {"val": {"top": {"1": line["val_accuracy"]}, "loss": 1.5}, "train": {"loss": 2.5}, "config": {"lr": 1}}

    path = every_line(experiment(tmp_path / "old"), nested)
    runs = load(path, names={"val/top/1": "val_accuracy"}, metric="val_accuracy")
    assert runs.trials.metric_last.tolist() == pytest.approx([0.9, 0.91, 0.62])
    assert set(runs.epochs.val_loss) == {1.5}
    assert set(runs.epochs.train_loss) == {2.5}
    told = told_of(load(path, names={"val/top1": "val_accuracy"}))
    assert told[0] == "no parameter or metric `val/top1`; did you mean `val/top/1`? (names)"


@pytest.mark.parametrize("value", [float("nan"), "null", float("inf")])
@pytest.mark.parametrize("name", ["val_accuracy", "train_loss"])
def test_a_trial_that_ends_with_nan_is_diverged(tmp_path: Path, name: str, value: Any) -> None:
    path = every_line(experiment(tmp_path / "old"), lambda line: {"train_loss": 0.5, **line})
    with (path / "train_00001" / "result.json").open("a") as file:
        file.write(json.dumps({"val_accuracy": 0.99, "train_loss": 0.1, "training_iteration": 6, name: value}) + "\n")
    runs = load(path)
    assert runs.trials.status.tolist() == ["pruned", "diverged", "pruned"]
    assert any("1 trial ended with a metric or loss that is NaN or infinite" in text for text in told_of(runs))
    assert runs.best().empty


def test_a_loss_that_is_never_known_tells_nothing(tmp_path: Path) -> None:
    runs = load(every_line(experiment(tmp_path / "old"), lambda line: {**line, "val_loss": float("nan")}))
    assert runs.trials.status.tolist() == ["completed", "completed", "pruned"]


def test_epochs_counted_from_1_are_counted_from_0(tmp_path: Path) -> None:
    def numbered(line: dict[str, Any]) -> dict[str, Any]:
        return {**line, "epoch": line["training_iteration"]}

    runs = load(every_line(experiment(tmp_path / "one"), numbered))
    assert runs.epochs.groupby("trial_id").epoch.agg(["min", "max"]).to_numpy().tolist() == [[0, 4], [0, 4], [0, 1]]
    assert runs.trials.epochs.tolist() == [5, 5, 5]
    assert "epochs are counted from 1: taken as counted from 0" in told_of(runs)
    every_second = experiment(tmp_path / "two", num_epochs=10)
    every_line(every_second, lambda line: {**line, "epoch": 2 * line["training_iteration"]})
    runs = load(every_second)
    assert runs.epochs.groupby("trial_id").epoch.max().tolist() == [9, 9, 3]
    assert runs.trials.status.tolist() == ["completed", "completed", "pruned"]
    from_0 = every_line(experiment(tmp_path / "three"), lambda line: {**line, "epoch": line["training_iteration"] - 1})
    assert load(from_0).epochs.epoch.max() == 4


def test_epochs_one_behind_the_iterations_are_from_0_where_the_first_results_are_lost(tmp_path: Path) -> None:
    path = every_line(experiment(tmp_path / "paused"), lambda line: {**line, "epoch": line["training_iteration"] - 1})
    for file in path.glob("*/result.json"):
        file.write_text("\n".join(file.read_text().splitlines()[1:]) + "\n")
    runs = load(path)
    assert runs.epochs.groupby("trial_id").epoch.agg(["min", "max"]).to_numpy().tolist() == [[1, 4], [1, 4], [1, 1]]
    assert not any("counted from 1" in text for text in told_of(runs))


def test_settings_are_known_by_their_dotted_and_nested_names(tmp_path: Path) -> None:
    own = {"data": {"title": "mine"}, "seeds": {"train": 3}, "model.name": "resnet8", "optimizer.weight_decay": 0.5}
    trials = load(experiment(tmp_path / "own", **own)).trials
    assert (trials.data_title == "mine").all()
    assert (trials.seed_train == 3).all()
    assert (trials.model == "resnet8").all()
    assert (trials.weight_decay == 0.5).all()


def test_fractions_of_epochs_do_not_number_results(tmp_path: Path) -> None:
    runs = load(
        every_line(experiment(tmp_path / "old"), lambda line: {**line, "epoch": line["training_iteration"] / 2})
    )
    assert runs.epochs.groupby("trial_id").epoch.max().tolist() == [4, 4, 1]


def test_a_trial_that_starts_again_takes_back_its_later_epochs(tmp_path: Path) -> None:
    path = experiment(tmp_path / "old")
    with (path / "train_00000" / "result.json").open("a") as file:
        file.write(json.dumps({"val_accuracy": 0.1, "training_iteration": 1}) + "\n")
    runs = load(path)
    assert runs.trials.set_index("trial_id").status["train_00000"] == "pruned"
    assert runs.trials.metric_last.tolist() == pytest.approx([0.1, 0.91, 0.62])


def test_a_damaged_line_does_not_shorten_a_trial(tmp_path: Path) -> None:
    path = experiment(tmp_path / "old")
    file = path / "train_00001" / "result.json"
    lines = file.read_text().splitlines()
    file.write_text("\n".join([*lines[:2], "{", *lines[3:]]) + "\n")
    assert load(path).trials.status.tolist() == ["completed", "completed", "pruned"]


def test_text_where_a_number_belongs_is_named(tmp_path: Path) -> None:
    path = experiment(tmp_path / "old", hidden=[32, 64])
    every_line(path, lambda line: {**line, "val_loss": "tensor(0.5)", "config": {"width": line["training_iteration"]}})
    runs = load(path)
    assert "train_00000: text instead of numbers, left out: val_loss" in told_of(runs)
    assert "3 trials changed their settings while they trained: the last ones are shown" in told_of(runs)
    assert set(runs.trials["params/hidden"]) == {"[32, 64]"}


def test_training_accuracy_does_not_pass_for_validation(tmp_path: Path) -> None:
    path = experiment(tmp_path / "old", lr=0.1, optim={"lr": 0.2})
    every_line(path, lambda line: {"accuracy": 0.99, "acc": 0.98, **line, "loss": 1.0})
    runs = load(path)
    assert runs.trials.metric_last.tolist() == pytest.approx([0.9, 0.91, 0.62])
    assert "`val_accuracy` is read from `val_accuracy`, not from `accuracy`" in told_of(runs)
    assert set(runs.trials.lr) == {0.1}
    assert set(runs.trials["params/optim/lr"]) == {0.2}
    told = load(path, names={"acc": "val_accuracy"})
    assert set(told.trials.metric_last) == {0.98}


def test_the_folder_of_a_single_trial_is_named(tmp_path: Path) -> None:
    path = experiment(tmp_path / "old")
    with pytest.raises(UserError, match="one trial of Ray Tune: give the folder that holds it"):
        load(path / "train_00000")


def test_deeply_nested_results(tmp_path: Path) -> None:
    path = experiment(tmp_path / "old")
    deep = '{"a":' * 900 + "1" + "}" * 900
    with (path / "train_00000" / "result.json").open("a") as file:
        file.write(f'{{"val_accuracy": 0.5, "training_iteration": 6, "deep": {deep}}}\n')
    (path / "train_00001" / "params.json").write_text(f'{{"lr": 0.1, "deep": {deep}}}')
    runs = load(path)
    assert len(runs.trials) == 3
    assert runs.trials.metric_last.iloc[0] == 0.5


def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = experiment(tmp_path / "old")
    is_file = Path.is_file

    def refused(self: Path) -> bool:
        if self.parent.name == "train_00001":
            raise PermissionError(13, "Permission denied")
        return is_file(self)

    monkeypatch.setattr(Path, "is_file", refused)
    runs = load(path)
    assert runs.trials.trial_id.tolist() == ["train_00000", "train_00002"]
    assert told_of(runs)[0] == "cannot read train_00001: Permission denied; left out"


def test_a_trial_whose_last_result_lacks_the_metric(tmp_path: Path) -> None:
    path = experiment(tmp_path / "old")
    with (path / "train_00001" / "result.json").open("a") as file:
        file.write('{"val_loss": 0.5, "training_iteration": 6}\n')
    runs = load(path)
    assert "1 completed trial without `val_accuracy` in the last result: no score there" in told_of(runs)


@pytest.mark.parametrize("name", ["eval_accuracy", "valid_acc", "Validation_Accuracy", "dev/acc", "val_mean_accuracy"])
def test_spellings_of_validation_accuracy(tmp_path: Path, name: str) -> None:
    path = every_line(experiment(tmp_path / "old"), lambda line: {name: line["val_accuracy"], "train_acc": 0.99})
    if name == "val_mean_accuracy":
        with pytest.raises(UserError, match="no known metric is reported"):
            load(path)
    else:
        assert load(path).trials.metric_last.max() == pytest.approx(0.91)
