"""The file best/SCENARIO.yaml: the configuration chosen by a scenario's search or its confirmation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from absgd import records
from absgd.counts import plural
from absgd.records import is_best, over_classes, test_metric_of
from tune_runs.confirmation.candidate_results import CandidateResult
from tune_runs.confirmation.scenario_confirmation import ScenarioConfirmation
from tune_runs.recording.pair_scores import PairScore, gain_words
from tune_runs.recording.recorder import Recorder
from tune_runs.recording.trial_record import TrialRecord


class ChosenTrial(NamedTuple):
    """The configuration that a scenario has chosen so far."""

    name: str
    """`best-1`, where it was confirmed; else the id of the trial."""
    trial: TrialRecord
    """The trial of the search that has it."""
    result: CandidateResult | None
    """Its result on fresh seeds; None before its confirmation has ended."""


def chosen_trial(
    recorder: Recorder, scenario: str, confirmation: ScenarioConfirmation | None = None
) -> ChosenTrial | None:
    """Return the subject of a confirmation that has ended, else the best trial of the search; None without any."""
    if confirmation and confirmation.has_result:
        subject = confirmation.candidates.members[0]
        result = next(one for one in confirmation.results() if one.name == subject.name)
        if result.num_completed:
            return ChosenTrial(subject.name, recorder.trials[subject.run], result)
    trial = recorder.best(scenario)
    return None if trial is None else ChosenTrial(trial.trial_id, trial, None)


class BestFiles:
    """Keeps the best configuration of each scenario on file: that of the search, until a confirmation has ended.

    Where controls are tuned, one of them may be the best of all; the best of ABSGD then has a file of its own.

    Args:
        recorder: has the records of all trials.
        confirmations: confirmation of each scenario that has one.
        has_tuned: whether controls are tuned.
    """

    def __init__(
        self, recorder: Recorder, confirmations: Mapping[str, ScenarioConfirmation], has_tuned: bool = False
    ) -> None:
        self._recorder, self._confirmations, self._has_tuned = recorder, confirmations, has_tuned
        self._written: dict[Path, str] = {}
        self._configs: dict[str, str] = {}
        """Trial -> its config as YAML, which takes far longer to write than everything else here."""

    def update_all(self) -> None:
        """Write the files of all scenarios; a kill may have lost some."""
        for scenario in {trial.scenario for trial in self._recorder.trials.values()}:
            self._update(scenario)

    def run_ended(self, trial_id: str) -> None:
        """Write the file of the run's scenario if it has changed."""
        self._update(self._recorder.trials[trial_id].scenario)

    def _update(self, scenario: str) -> None:
        own = self._text(scenario)
        if own is None:
            return
        folder = self._recorder.folder
        self._write(records.best_file(folder, scenario), self._text_of_tuned(scenario) or own)
        if self._has_tuned:
            self._write(records.best_absgd_file(folder, scenario), own)

    def _write(self, path: Path, text: str) -> None:
        if text == self._written.get(path):
            return
        path.parent.mkdir(exist_ok=True)
        records.write_atomically(path, text)
        self._written[path] = text

    def _text(self, scenario: str) -> str | None:
        """Return the file of the configuration that the search or its confirmation has chosen."""
        confirmation = self._confirmations.get(scenario)
        chosen = chosen_trial(self._recorder, scenario, confirmation)
        if chosen is None:
            return None
        if confirmation is None or chosen.result is None:
            return _searched_words(self._recorder.scores(scenario)[0]) + self._config_of(chosen.trial)
        results = confirmation.results()
        about = _confirmed_words(self._recorder, scenario, chosen.trial.trial_id, chosen.result, results)
        return about + self._config_of(chosen.trial)

    def _config_of(self, trial: TrialRecord) -> str:
        """Return the config of a trial as YAML."""
        if trial.trial_id not in self._configs:
            self._configs[trial.trial_id] = trial.config.to_yaml()
        return self._configs[trial.trial_id]

    def _text_of_tuned(self, scenario: str) -> str | None:
        """Return the file of a tuned control, where it is the best of all."""
        confirmation = self._confirmations.get(scenario)
        best = confirmation.best_of_all() if confirmation else None
        if confirmation is None or best is None or is_best(best.name):
            return None
        lines = [
            f"Best of all of run {self._recorder.folder.name}, scenario {scenario}: the control {best.name}.",
            f"The best configuration of ABSGD is in {records.best_absgd_file('', scenario).name}.",
            *_results_words(confirmation.results(), self._recorder.metric),
        ]
        return "".join(f"# {line}\n" for line in lines) + best.config.to_yaml()


def _searched_words(score: PairScore) -> str:
    trial = score.trial
    words = (
        f"# Best trial so far of run {trial.run}, scenario {trial.scenario}: {trial.trial_id},\n"
        f"# {_metrics_words(trial)} at the last epoch, on validation.\n"
    )
    if score.num_pairs == 1 or score.mean_gain is None:
        return words
    lost = f"; {plural(score.num_lost, 'run')} diverged or failed" if score.num_lost else ""
    return words + f"# Mean gain over the plain control of each pair of seeds: {gain_words(score)}{lost}.\n"


def _confirmed_words(
    recorder: Recorder, scenario: str, trial_id: str, best: CandidateResult, results: Sequence[CandidateResult]
) -> str:
    metric, trial = recorder.metric, recorder.trials[trial_id]
    lines = [
        f"Best configuration of run {trial.run}, scenario {scenario}, confirmed on fresh seeds: {best.name}, "
        f"trial {trial_id}.",
        f"{_metrics_words(trial)} at the last epoch with the seeds below, those of the search.",
        *_results_words(results, metric),
    ]
    return "".join(f"# {line}\n" for line in lines)


def _metrics_words(trial: TrialRecord) -> str:
    one = trial.summary
    second = f" and {one.second_metric} {one.second_last!r}" if one.second_metric else ""
    return f"{one.metric} {one.metric_last!r}{second}"


def _results_words(results: Sequence[CandidateResult], metric: str) -> list[str]:
    about = f"On fresh seeds, at the last epoch: mean ± standard deviation over n runs of {metric}; then "
    return [f"{about}{test_metric_of(metric)}.", *map(_line, results), *_few_classes(results)]


def _few_classes(results: Sequence[CandidateResult]) -> list[str]:
    over = next(filter(None, (over_classes(one.recall) for one in results)), "")
    return [f"Test accuracies are means{over}: the others have no test image."] if over else []


def _line(result: CandidateResult) -> str:
    n = f"n {result.num_completed}" + (f" of {result.num_runs}" if result.num_completed < result.num_runs else "")
    return f"  {result.name:<17} {n:<8} {result.validation or 'none'!s:<17}  {result.test or 'none'!s}"
