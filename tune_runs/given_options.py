"""The options given on a command line of absgd-tune, and which of them go together."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from absgd.config.assignments import parse_settings
from absgd.errors import UserError


@dataclasses.dataclass(frozen=True)
class TuneOptions:
    """The options given; None and False: not given."""

    space: str | None
    set_: list[str]
    name: str | None
    out: Path | None
    num_trials: int | None
    time_budget: str | None
    epoch_budget: int | None
    disk_budget: float | None
    max_failures: int | None
    seed: int | None
    address: str | None
    storage: str | None
    trunks: Path | None
    resume: Path | None
    moved: list[str]
    extend: int | None
    warm_start: Path | None
    confirm: Path | None
    pairs: int | None
    no_confirm: bool
    preview: bool
    measure: bool
    schema: bool
    status: Path | None
    list_: Path | None

    def check(self) -> None:
        """Refuse options that do not go together.

        Raises:
            UserError: naming the first ones.
        """
        self._refuse_others()
        if self.schema or self.status is not None or self.list_ is not None:
            return
        self._refuse_doubles()
        if self.confirm is not None and (self.resume is not None or self.no_confirm or self.extend):
            raise UserError("expected `--confirm DIR` without --resume, --extend and --no-confirm")
        if self.pairs is not None and self.confirm is None:
            raise UserError("expected `--pairs N` with `--confirm DIR`; a new search takes `confirm.max_pairs`")
        if self.resume is not None or self.confirm is not None:
            self._check_continued()
        else:
            self._check_new()

    @property
    def settings(self) -> Mapping[str, Any]:
        """The values of --set by dotted key.

        Raises:
            UserError: if a word is none.
        """
        return parse_settings(self.set_)

    @property
    def budgets(self) -> dict[str, object]:
        """Given options that replace keys of a space which may change at any time."""
        return self._given("time_budget", "epoch_budget", "disk_budget", "max_failures")

    @property
    def decisive(self) -> dict[str, object]:
        """Given options, except `trunks`, that replace keys of a space fixed once a search has begun."""
        return self._given("num_trials", "seed", "name")

    def _given(self, *names: str) -> dict[str, object]:
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}

    def _refuse_others(self) -> None:
        """Refuse options beside one that only prints."""
        asked = {"status": "--status DIR", "list_": "--list DIR", "schema": "--schema"}
        given = [name for name, value in vars(self).items() if value is not None and value is not False and value != []]
        if len(given) > 1 and (alone := next((words for name, words in asked.items() if name in given), None)):
            other = next(name for name in given if asked.get(name) != alone).strip("_").replace("_", "-")
            raise UserError(f"expected `{alone}` alone, got --{other} too")

    def _refuse_doubles(self) -> None:
        """Refuse a setting that is given by --set and by an option of its own."""
        own = {**self.budgets, **self.decisive, **self._given("trunks")}
        for key in self.settings:
            if key in own:
                name = key.replace("_", "-")
                raise UserError(f"expected `{key}` once, got it by `--{name}` and by `--set`")
        if self.pairs is not None and {"confirm", "confirm.max_pairs"} & set(self.settings):
            raise UserError("expected `confirm.max_pairs` once, got it by `--pairs` and by `--set`")

    def _check_continued(self) -> None:
        """Refuse options beside --resume and --confirm of which the run folder has the values."""
        if self.decisive or self.trunks or self.out or self.warm_start or self.preview or self.measure:
            option = "--resume" if self.confirm is None else "--confirm"
            others = "--pairs, " if self.confirm else "--extend, --no-confirm, "
            raise UserError(
                f"`{option}` accepts --space, --set, --plugin, {others}--moved, --address, --storage and budgets only: "
                "the run folder records everything else"
            )

    def _check_new(self) -> None:
        """Refuse options that a new search, or its preview, does not take."""
        if self.space is None:
            raise UserError("expected one of --space, --resume, --confirm, --status, --list and --schema, got none")
        if self.extend:
            raise UserError("expected `--extend` with `--resume DIR`; a new search takes `--num-trials`")
        if self.moved:
            raise UserError(
                "expected `--moved OLD=NEW` with `--resume DIR` or `--confirm DIR`, whose records it corrects"
            )
        if self.preview or self.measure:
            if self.warm_start:
                raise UserError("expected `--warm-start` without --preview and --measure, which do not show its points")
            if self.storage:
                raise UserError("expected `--storage` without --preview and --measure, which record nothing")
