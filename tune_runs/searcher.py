"""What is tried next: one Optuna study per scenario behind one Ray searcher.

The studies are the truth of the search. Ray's own OptunaSearch is not used: it tells trials that were stopped early as
COMPLETE and lives in a pickle; asking and telling Optuna directly is shorter and can be rebuilt from the journal alone.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, Literal

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState
from ray.tune.search import Searcher

from absgd import records
from absgd.errors import UserError
from absgd.randomness import derived_seed
from absgd.records import Status
from tune_runs.draws import control_config, optuna_params, points_inside, suggest
from tune_runs.recorder import DIVERGED, FINISHED, Recorder, TrialPlan, end_status
from tune_runs.space import Scenario, SearchSpace

STUDY_FILE = "study.journal"
STARTUP_TRIALS = 10
"""Random trials before TPE's model is used; fewer in a small search."""


class ScenarioStudy:
    """The Optuna study of one scenario, in a journal inside the run folder.

    Args:
        space: the search space.
        scenario: the scenario it is for.
        folder: where `study.journal` lies; created when absent.

    Raises:
        UserError: if the journal is damaged.
    """

    def __init__(self, space: SearchSpace, scenario: Scenario, folder: Path) -> None:
        self.space, self.scenario = space, scenario
        folder.mkdir(parents=True, exist_ok=True)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.study = _open_study(folder / STUDY_FILE, scenario.name, records.METRICS[space.metric])
        self._live: dict[str, optuna.trial.Trial] = {}
        self._reported: dict[str, int] = {}

    def prepare(self, recorder: Recorder) -> None:
        """Queue what is to be tried first: known-good points in a new study, unfinished trials in an old one."""
        trials = self.study.get_trials(deepcopy=False)
        if not trials and recorder.finished(self.scenario.name):
            raise UserError(f"the study of `{self.scenario.name}` is gone, but its trials are recorded (--resume)")
        if not trials:
            for point in points_inside(self.space).inside:
                self.study.enqueue_trial(optuna_params(self.space, point))
        for trial in trials:
            row = recorder.trials.get(_trial_id(self.scenario, trial.number))
            recorded = row is not None and row["status"] in FINISHED
            if trial.state == TrialState.RUNNING:
                self.study.tell(trial.number, state=TrialState.FAIL)
            if trial.state != TrialState.WAITING and not recorded and not _was_replaced(trials, trial):
                self.study.enqueue_trial(trial.params, user_attrs={"replaces": trial.number})

    def ask(self) -> TrialPlan:
        """The next trial; its sampler is seeded by the trial's number, so that a resumed search asks the same."""
        asked = self.study.get_trials(deepcopy=False, states=_ASKED)
        number = sum("replaces" not in trial.user_attrs for trial in asked)
        seed = derived_seed(self.space.seed, f"search/{self.scenario.name}", number) % 2**32
        self.study.sampler = _sampler(self.space, seed)
        trial = self.study.ask()
        plan = TrialPlan(
            trial_id=_trial_id(self.scenario, trial.number),
            scenario=self.scenario.name,
            phase="search",
            number=trial.number,
            config=suggest(self.space, self.scenario, trial),
        )
        self._live[plan.trial_id] = trial
        return plan

    def report(self, trial_id: str, epoch: int, value: float) -> None:
        """An intermediate value, for dashboards and for TPE's use of pruned trials; the same epoch counts once."""
        if epoch > self._reported.get(trial_id, -1):
            self._live[trial_id].report(value, step=epoch)
            self._reported[trial_id] = epoch

    def tell(self, trial_id: str, status: Status, value: float | None) -> None:
        """How a trial ended: a stopped or diverged one is PRUNED, never COMPLETE."""
        trial = self._live.pop(trial_id)
        trial.set_user_attr("status", status)
        if status == "completed":
            self.study.tell(trial, value)
        else:
            is_lost = status in ("failed", "interrupted")
            self.study.tell(trial, state=TrialState.FAIL if is_lost else TrialState.PRUNED)

    def give_up(self) -> None:
        """End what still runs, without a value."""
        for trial_id in list(self._live):
            self.tell(trial_id, "interrupted", None)


class SearchByScenario(Searcher):  # type: ignore[misc]
    """All scenarios behind one Ray searcher; the scenario with the most trials left is asked next.

    The plain controls of all scenarios go first.

    Args:
        space: the search space.
        recorder: told of every trial that starts.
        folder: the run folder.
    """

    def __init__(self, space: SearchSpace, recorder: Recorder, folder: Path) -> None:
        super().__init__()
        self.recorder = recorder
        self.plans: dict[str, TrialPlan] = {}
        """Plan of every trial of this session by Ray's trial id."""
        self._studies = {
            scenario.name: ScenarioStudy(space, scenario, folder / "scenarios" / scenario.name)
            for scenario in space.scenario_list
        }
        for study in self._studies.values():
            study.prepare(recorder)
        self._controls = [
            _control_plan(space, scenario)
            for scenario in space.scenario_list
            if (recorder.control(scenario.name) or {"status": None})["status"] not in FINISHED
        ]
        self._left = {name: max(0, space.num_trials - recorder.finished(name)) for name in self._studies}

    @property
    def num_trials_left(self) -> int:
        """Trials that `suggest` will still give, controls among them."""
        return len(self._controls) + sum(self._left.values())

    def suggest(self, trial_id: str) -> dict[str, Any] | str:
        """The next trial as Ray's configuration, or FINISHED."""
        if self._controls:
            plan = self._controls.pop(0)
        else:
            name = max(self._left, key=lambda scenario: self._left[scenario])
            if self._left[name] == 0:
                return str(Searcher.FINISHED)
            self._left[name] -= 1
            plan = self._studies[name].ask()
        self.plans[trial_id] = plan
        self.recorder.start(plan)
        return {"scenario": plan.scenario, "trial_id": plan.trial_id, "run_config": plan.config.to_dict()}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Tell the study an epoch's value."""
        self._report(self.plans[trial_id], result)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Tell the study how a trial ended, its last value first, which Ray leaves out for a stopped trial."""
        plan = self.plans[trial_id]
        if plan.phase != "search":
            return
        status = "failed" if error else end_status(result, plan.config.epochs)
        value = (result or {}).get(self.recorder.metric)
        if result:
            self._report(plan, result)
        self._studies[plan.scenario].tell(plan.trial_id, status, value)

    def close(self) -> None:
        """The search ends early: trials still running end as FAIL in their studies; a resume tries them again."""
        for study in self._studies.values():
            study.give_up()

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """Nothing: the journal has it all."""

    def set_search_properties(self, *_args: object, **_spec: object) -> bool:
        """The space has said everything."""
        return True

    def __getstate__(self) -> dict[str, Any]:
        """Ray pickles its searcher into a file that is never read back."""
        return {}

    def _report(self, plan: TrialPlan, result: dict[str, Any]) -> None:
        if plan.phase == "search" and DIVERGED not in result and self.recorder.metric in result:
            self._studies[plan.scenario].report(plan.trial_id, result["epoch"], result[self.recorder.metric])


def _open_study(path: Path, name: str, better: Literal["max", "min"]) -> optuna.Study:
    _drop_unfinished_line(path)
    try:
        return optuna.create_study(
            study_name=name,
            storage=JournalStorage(JournalFileBackend(str(path))),
            direction="maximize" if better == "max" else "minimize",
            load_if_exists=True,
        )
    except (ValueError, KeyError) as error:
        raise UserError(f"cannot read the study {path}: damaged: {error} (--resume)") from None


def _drop_unfinished_line(journal: Path) -> None:
    """Cut off what a kill or a full disk left of a last line, before anything is appended to it."""
    content = journal.read_bytes() if journal.exists() else b""
    if content and not content.endswith(b"\n"):
        records.write_atomically(journal, content[: content.rfind(b"\n") + 1])


def _sampler(space: SearchSpace, seed: int) -> optuna.samplers.BaseSampler:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return optuna.samplers.TPESampler(
            multivariate=True,
            group=True,
            constant_liar=True,
            n_startup_trials=min(STARTUP_TRIALS, max(4, space.num_trials // 4)),
            seed=seed,
        )


_ASKED = (TrialState.RUNNING, TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


def _trial_id(scenario: Scenario, number: int) -> str:
    return f"{scenario.name}-{number:04d}"


def _control_plan(space: SearchSpace, scenario: Scenario) -> TrialPlan:
    return TrialPlan(f"{scenario.name}-control", scenario.name, "control", None, control_config(space, scenario))


def _was_replaced(trials: list[optuna.trial.FrozenTrial], trial: optuna.trial.FrozenTrial) -> bool:
    return any(other.user_attrs.get("replaces") == trial.number for other in trials)
