"""What is trained next: trials of every scenario, each once its stage one is there, behind one Ray searcher."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ray.tune.search import Searcher

from tune_runs.plan import TrialPlan, fork_epoch, trial_config
from tune_runs.recorder import Recorder
from tune_runs.reports import DIVERGED, end_status
from tune_runs.space import SearchSpace
from tune_runs.study import ScenarioStudy
from tune_runs.trunk_book import TrunkBook


class ScenarioSearch:
    """What one scenario trains next: its control, then trials, each once its stage one is there.

    Trials are asked for ahead of their stage one, as many as can train at once: the trunk reaches the switch of some
    before that of others.

    Args:
        study: asked for trials.
        book: of the scenario's trunks.
        recorder: knows how far each control is.
        num_ahead: trials that may wait for their stage one.
    """

    def __init__(self, study: ScenarioStudy, book: TrunkBook, recorder: Recorder, num_ahead: int) -> None:
        self.study, self._book, self._recorder, self._num_ahead = study, book, recorder, num_ahead
        self._name = study.scenario.name
        self._to_ask = max(0, study.space.num_trials - recorder.finished(self._name))
        self._waiting: list[TrialPlan] = []
        for row in recorder.controls(self._name) if self._to_ask else ():
            if row["status"] == "completed" and book.has_lost(row["stage_one_key"]):
                recorder.forget(row["trial_id"])

    @property
    def num_left(self) -> int:
        """Search trials that have not begun."""
        return self._to_ask + len(self._waiting)

    def next_control(self) -> TrialPlan | None:
        """The scenario's own control, if it is still to be trained."""
        return None if self._recorder.control(self._name) else self._start(self._book.own_control())

    def next_trial(self) -> TrialPlan | None:
        """A trial that can start now, or a control that one waits for; None when there is none."""
        while True:
            if plan := next(filter(self._has_stage_one, self._waiting), None):
                self._waiting.remove(plan)
                return self._start(self._book.forked(plan) if self._book.forks(plan) else plan)
            if plan := next((plan for plan in self._waiting if self._control_row(plan) is None), None):
                return self._start(self._book.control_of(plan))
            if self._to_ask and len(self._waiting) < self._num_ahead:
                self._waiting.append(self.study.ask())
                self._to_ask -= 1
            else:
                return None

    def _has_stage_one(self, plan: TrialPlan) -> bool:
        """Whether a trial need not wait: its control has passed the switch, or will not come to it."""
        if not self._book.forks(plan):
            return True
        row = self._control_row(plan)
        if row is None:
            return False
        return row["status"] != "running" or len(self._recorder.epochs[row["trial_id"]]) >= fork_epoch(plan.config)

    def _control_row(self, plan: TrialPlan) -> dict[str, Any] | None:
        return self._recorder.control(self._name, plan.stage_one_key)

    def _start(self, plan: TrialPlan) -> TrialPlan:
        self._recorder.start(plan)
        return plan


class SearchByScenario(Searcher):  # type: ignore[misc]
    """All scenarios behind one Ray searcher; the scenario with the most trials left comes first.

    The plain controls of all scenarios go before everything else.

    Args:
        space: the search space.
        recorder: told of every trial that starts.
        folder: the run folder.
        books: the trunks of each scenario by its name.
        num_concurrent: trials that train at once.
    """

    def __init__(
        self,
        space: SearchSpace,
        recorder: Recorder,
        folder: Path,
        books: Mapping[str, TrunkBook],
        num_concurrent: int = 1,
    ) -> None:
        super().__init__()
        self.recorder = recorder
        self.plans: dict[str, TrialPlan] = {}
        """Plan of every trial of this session by Ray's trial id."""
        self._searches: dict[str, ScenarioSearch] = {}
        for scenario in space.scenario_list:
            study = ScenarioStudy(space, scenario, folder / "scenarios" / scenario.name)
            study.prepare(recorder)
            book = books[scenario.name]
            self._searches[scenario.name] = ScenarioSearch(study, book, recorder, num_concurrent)

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to train."""
        return not any(
            search.num_left or self.recorder.control(name) is None for name, search in self._searches.items()
        )

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The next trial as Ray's configuration; None when all wait for their stage one, FINISHED at the end."""
        searches = sorted(self._searches.values(), key=lambda search: -search.num_left)
        controls = (search.next_control() for search in self._searches.values())
        plan = next((plan for plan in controls if plan), None)
        plan = plan or next((plan for plan in (search.next_trial() for search in searches) if plan), None)
        if plan is None:
            return None if any(search.num_left for search in searches) else str(Searcher.FINISHED)
        self.plans[trial_id] = plan
        return trial_config(plan)

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
        self._searches[plan.scenario].study.tell(plan.trial_id, status, value)

    def close(self) -> None:
        """The search ends early: trials still running end as FAIL in their studies; a resume tries them again."""
        for search in self._searches.values():
            search.study.give_up()

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
            self._searches[plan.scenario].study.report(plan.trial_id, result["epoch"], result[self.recorder.metric])
