"""The options of absgd-tune and their help texts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from absgd.errors import shown
from absgd.terminal import starting_with
from tune_runs.request.space_files import shipped_spaces

HELP = """Search the settings of ABSGD for every scenario of a search space.

A scenario is a combination of data set, imbalance and label noise. Each has its own Optuna study; all scenarios share
one queue of trials. The search first trains a control for each scenario: the same run on the plain base criterion. Up
to its switch epoch every trial equals this control, so stage one is trained only once: the control saves snapshots,
and trials fork from them. A trial that falls behind others is stopped early; trials are compared only after their own
switch. All choices are made on validation images.

When the search of a scenario is done, the configuration it has chosen is confirmed: it and its controls are trained on
one fresh pair of seeds after another (`confirm` in a space; skip it with --no-confirm, run it later with --confirm
OUT/NAME). After each pair the test scores are compared, and only controls about which nothing is decided yet are
trained on the next. Only these runs read the test set, each once, after its last epoch. --pairs N allows more pairs.

Results are written to OUT/NAME and kept up to date while the search runs: trials.parquet (one row per trial),
epochs.parquet (one row per trial and epoch), best/SCENARIO.yaml (a complete configuration, which absgd-train --config
reproduces exactly), space.yaml, environment.json, scenarios/SCENARIO/study.journal (for Optuna).

After Ctrl-C, a kill, a crash or the end of a budget, absgd-tune --resume OUT/NAME continues the search: finished trials
are kept, unfinished ones continue from their last epoch. --extend adds trials and confirms a configuration chosen anew.

Exit status: 0 the search is complete or a budget is used up; 1 the search failed, or every trial did; 2 a request is
invalid; 130 Ctrl-C.

\b
Examples:
  absgd-tune --space quickstart
  absgd-tune --space search_spaces/cifar100.yaml --preview
  absgd-tune --space quickstart --measure
  absgd-tune --space my_space.yaml --num-trials 64 --address auto
  absgd-tune --space quickstart --name second --set base.optimizer.lr=0.05
  absgd-tune --resume runs/second --extend 32
  absgd-tune --space my_space.yaml --name third --warm-start runs/second
  absgd-tune --confirm runs/third --pairs 12
  absgd-tune --status runs/third
  absgd-tune --list runs
"""


def _whole_number(text: str) -> int:
    if not re.fullmatch("[+-]?[0-9]{1,100}", text.strip()):
        raise typer.BadParameter(f"expected a whole number, got {shown(text)}")
    return int(text)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise typer.BadParameter(f"expected a number, got {shown(text)}") from None


def _count(text: str) -> int:
    if (count := _whole_number(text)) < 1:
        raise typer.BadParameter(f"expected a whole number >= 1, got {count}")
    return count


SpaceOption = Annotated[
    str | None,
    typer.Option(
        "--space",
        metavar="FILE|NAME",
        help="YAML file of a search space, or the name of a shipped one (quickstart).",
        autocompletion=lambda incomplete: starting_with(incomplete, shipped_spaces()),
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Replace one setting of the space, e.g. base.optimizer.lr=0.05 or search.lam.low=1. May be repeated.",
    ),
]
NameOption = Annotated[
    str | None, typer.Option("--name", metavar="NAME", help="Name of the run; default: name of the space.")
]
OutOption = Annotated[
    Path | None, typer.Option("--out", metavar="DIR", help="Folder that holds run folders; default: runs.")
]
NumTrialsOption = Annotated[
    int | None,
    typer.Option(
        "--num-trials",
        metavar="N",
        parser=_whole_number,
        help="Number of trials of each scenario; replaces `num_trials`.",
    ),
]
TimeBudgetOption = Annotated[
    str | None,
    typer.Option(
        "--time-budget", metavar="TIME", help="Wall time of this session: 90s, 30m or 12h; replaces `time_budget`."
    ),
]
EpochBudgetOption = Annotated[
    int | None,
    typer.Option(
        "--epoch-budget",
        metavar="N",
        parser=_whole_number,
        help="Epochs of all runs together; replaces `epoch_budget`.",
    ),
]
DiskBudgetOption = Annotated[
    float | None,
    typer.Option(
        "--disk-budget", metavar="GIB", parser=_number, help="Largest size of the run folder; replaces `disk_budget`."
    ),
]
MaxFailuresOption = Annotated[
    int | None,
    typer.Option(
        "--max-failures",
        metavar="N",
        parser=_whole_number,
        help="Times that a run whose process was lost continues in another one; replaces `max_failures`.",
    ),
]
SeedOption = Annotated[
    int | None,
    typer.Option(
        "--seed",
        metavar="N",
        parser=_whole_number,
        help="Seed of the sampler; replaces `seed`. The seeds of the runs are `base.seeds`.",
    ),
]
AddressOption = Annotated[
    str | None,
    typer.Option(
        "--address",
        metavar="ADDRESS",
        help="Existing Ray cluster (auto, or HOST:PORT); default: start Ray on this machine.",
    ),
]
StorageOption = Annotated[
    str | None,
    typer.Option(
        "--storage",
        metavar="URI",
        help="Copy the run folder here every few minutes, such as s3://BUCKET/runs; --resume restores a lost folder.",
    ),
]
TrunksOption = Annotated[
    Path | None,
    typer.Option(
        "--trunks", metavar="DIR", help="Folder of stage-one snapshots, shared between searches; replaces `trunks`."
    ),
]
ResumeOption = Annotated[
    Path | None, typer.Option("--resume", metavar="DIR", help="Continue the search recorded in this folder.")
]
MovedOption = Annotated[
    list[str] | None,
    typer.Option(
        "--moved",
        metavar="OLD=NEW",
        help="With --resume or --confirm: a folder, as recorded, and where it is now. May be repeated.",
    ),
]
ExtendOption = Annotated[
    int | None,
    typer.Option(
        "--extend", metavar="N", parser=_count, help="With --resume: number of trials to add to each scenario."
    ),
]
WarmStartOption = Annotated[
    Path | None,
    typer.Option(
        "--warm-start",
        metavar="DIR",
        help="First try the best configurations of the search in this folder, for each scenario those of the nearest.",
    ),
]
ConfirmOption = Annotated[
    Path | None,
    typer.Option(
        "--confirm",
        metavar="DIR",
        help="Confirm what the search in this folder has chosen so far on fresh seeds, without searching further.",
    ),
]
PairsOption = Annotated[
    int | None,
    typer.Option(
        "--pairs",
        metavar="N",
        parser=_count,
        help="With --confirm: most fresh pairs of seeds, also for a confirmation that has ended; replaces "
        "`confirm.max_pairs`.",
    ),
]
NoConfirmOption = Annotated[
    bool, typer.Option("--no-confirm", help="End with the search: confirm nothing and read no test set.")
]
PreviewOption = Annotated[
    bool, typer.Option("--preview", help="Print the plan of the search and its cost; train nothing.")
]
MeasureOption = Annotated[
    bool,
    typer.Option(
        "--measure",
        help="Like --preview, but train for one to three minutes to estimate the wall time and to propose `resources`.",
    ),
]
PluginOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--plugin",
        metavar="FILE",
        help="Python file that declares models, losses or data sets; --resume needs it too. May be repeated.",
    ),
]
StatusOption = Annotated[
    Path | None,
    typer.Option("--status", metavar="DIR", help="Print the table of the search in this folder, from its files alone."),
]
ListOption = Annotated[
    Path | None,
    typer.Option("--list", metavar="DIR", help="Print a line for each run folder in this folder, such as runs."),
]
SchemaOption = Annotated[bool, typer.Option("--schema", help="Print the JSON schema of a search space.")]
