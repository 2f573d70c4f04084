"""absgd-tune's options and refusals, called in this process."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from absgd.config.assignments import parse_settings
from absgd.errors import UserError
from tests.support.fake_tuner import SPACE, make_space
from tests.support.small_files import write_imagefolder
from tests.support.tune_command import call, write
from tune_runs.request.recorded_space import load_recorded
from tune_runs.request.search_request import new_request, resume_request
from tune_runs.request.space_files import load_space


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_schema_is_json_schema_of_a_space(here: Path) -> None:
    result = call("--schema")
    assert result.exit_code == 0
    assert {"name", "base", "scenarios", "search", "num_trials"} <= set(json.loads(result.output)["properties"])


def test_preview_counts_and_trains_nothing(here: Path) -> None:
    result = call("--space", "quickstart", "--num-trials", 5, "--preview")
    assert result.exit_code == 0
    assert "5 trials and 1 control" in result.output
    assert "digits-exp-0.05" in result.output
    assert list(here.iterdir()) == []


def test_options_replace_settings_of_the_space(here: Path) -> None:
    write(here / "s.yaml")
    result = call("--space", "s.yaml", "--name", "other", "--time-budget", "90s", "--preview")
    assert result.exit_code == 0, result.output
    assert "other: searched" in result.output
    assert "90 s" in result.output


@pytest.mark.parametrize("options", [["--measure"], ["--preview", "--measure"]])
def test_measure_of_trials_with_several_processes_probes_none(here: Path, options: list[str]) -> None:
    several = {"cpu": 1, "gpu": 0, "ranks_per_trial": 2}
    write(here / "s.yaml", base={**SPACE["base"], "data": {"name": "digits", "n_max": 20}}, resources=several)
    result = call("--space", "s.yaml", *options)
    assert result.exit_code == 0, result.output
    assert "s an epoch on this machine" in result.stdout
    assert "trials at once are not probed: each has several processes (ranks_per_trial)" in result.stderr
    assert "proposed" not in result.stdout


def test_measure_without_the_data_exits_2_with_one_message(here: Path) -> None:
    write(here / "s.yaml", base={**SPACE["base"], "data": {"name": "cifar10", "root": "nowhere"}})
    result = call("--space", "s.yaml", "--measure")
    assert result.exit_code == 2, result.output
    assert "(data.root)" in result.output
    assert "Traceback" not in result.output


def test_trunks_replaces_the_folder_of_the_space(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    write(here / "s.yaml", trunks="/elsewhere")
    assert "kept in /elsewhere" in call("--space", "s.yaml", "--preview").output
    assert "kept in /home/someone/trunks" in call("--space", "s.yaml", "--preview", "--trunks", "~/trunks").output
    relative = call("--space", "s.yaml", "--preview", "--trunks", "trunks").output
    assert f"kept in {here / 'trunks'}" in relative.replace("\n", "").replace(" " * 16, "")
    assert [path.name for path in here.iterdir()] == ["s.yaml"]


def test_set_replaces_settings_of_the_space(here: Path) -> None:
    write(here / "s.yaml")
    words = ("base.epochs=12", "num_trials=5", "search.lam={low: 2, high: 9}", "search.optimizer.lr.low=0.01")
    words += ("search.optimizer.lr.high=0.1", "scenarios.1.name=other", "resources.cpu=1", "confirm.max_pairs=4")
    settings = parse_settings(words)
    space = load_space("s.yaml", settings)
    changed = {**SPACE["search"], "lam": {"low": 2, "high": 9}, "optimizer.lr": {"low": 0.01, "high": 0.1}}
    first, second = SPACE["scenarios"]
    assert space == make_space(
        base={**SPACE["base"], "epochs": 12},
        num_trials=5,
        search=changed,
        scenarios=[first, {**second, "name": "other"}],
        resources={"cpu": 1},
        confirm={"max_pairs": 4},
    )
    folder = here / "fake"
    folder.mkdir()
    new_request(space, folder).begin()
    assert load_recorded(folder).search == space.search
    result = call("--space", "s.yaml", "--preview", *(word for one in words for word in ("--set", one)))
    assert result.exit_code == 0, result.output
    assert "other" in result.output
    assert "5 trials" in result.output


def test_set_may_complete_a_space_that_is_none_without_it(here: Path) -> None:
    (here / "s.yaml").write_text(yaml.safe_dump({key: value for key, value in SPACE.items() if key != "num_trials"}))
    assert load_space("s.yaml", {"num_trials": 8}) == make_space()
    with pytest.raises(UserError, match=r"expected `num_trials`, got nothing \(s.yaml: num_trials\)"):
        load_space("s.yaml", {"seed": 3})


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["num_trails=3"], "unknown key `num_trails`; did you mean `num_trials`? (--set: num_trails)"),
        (["num_trials=many"], "expected `num_trials` to be a whole number, got 'many' (--set: num_trials)"),
        (["num_trials"], "expected KEY=VALUE, got 'num_trials' (--set)"),
        (["=3"], "expected KEY=VALUE, got '=3' (--set)"),
        (["seed=1", "seed=2"], "expected each key once, got `seed` twice (--set)"),
        (["search.lam.low=1", "search.lam=3"], "expected `search.lam` before `search.lam.low`, which it would replace"),
        (["num_trials=["], "expected valid YAML"),
        (["base.optimizer.lrr=3"], "unknown key `base.optimizer.lrr`; did you mean `lr`? (--set: base.optimizer.lrr)"),
        (["search.lam.lo=1"], "unknown key `search.lam.lo`; did you mean `low`? (--set: search.lam.lo)"),
        (["search.lamb.low=1"], "unknown parameter `lamb`; did you mean `lam`? (--set: search.lamb)"),
        (["scenarios.9.name=x"], "expected a place below 2, the number of entries, got `9` (--set: scenarios.9.name)"),
        (["name=x", "--name", "y"], "expected `name` once, got it by `--name` and by `--set`"),
    ],
)
def test_bad_set_exits_2_with_one_message_and_creates_nothing(here: Path, words: list[str], message: str) -> None:
    write(here / "s.yaml")
    options = [word for one in words for word in (["--set", one] if "=" in one or len(words) == 1 else [one])]
    result = call("--space", "s.yaml", *options)
    assert result.exit_code == 2, result.output
    assert message in result.output
    assert [path.name for path in here.iterdir()] == ["s.yaml"]


def test_set_of_a_recorded_search_changes_budgets_and_the_confirmation_only(here: Path) -> None:
    (here / "run").mkdir()
    new_request(make_space(), here / "run").begin()
    settings = {"epoch_budget": 50, "confirm.max_pairs": 3, "track": []}
    changed = resume_request(here / "run", settings=settings).space
    assert changed.confirm is not None
    assert (changed.epoch_budget, changed.confirm.max_pairs, changed.track) == (50, 3, ())
    assert changed.decisive() == resume_request(here / "run").space.decisive()
    for option, word, message in (
        (
            "--resume",
            "base.epochs=20",
            "--set of budgets, `track` and `confirm` only, got `base.epochs`",
        ),
        ("--confirm", "seed=1", "`--confirm` accepts --set of budgets, `track` and `confirm` only, got `seed`"),
        ("--resume", "num_trials=20", "add trials by `--extend N` (--set: num_trials)"),
        ("--resume", "epoch_budge=20", "did you mean `epoch_budget`? (--set: epoch_budge)"),
        ("--resume", "epoch_budget=0", "expected `epoch_budget` >= 1, got 0 (--set: epoch_budget)"),
    ):
        result = call(option, "run", "--set", word)
        assert (result.exit_code, message in result.output) == (2, True), result.output


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_trails": 3}, "unknown key `num_trails`; did you mean `num_trials`? (s.yaml: num_trails)"),
        ({"num_trials": 0}, "expected `num_trials` >= 1, got 0 (s.yaml: num_trials)"),
        ({"num_trials": "8"}, "expected `num_trials` to be a whole number, got '8' (s.yaml: num_trials)"),
        ({"metric": "val_acc"}, "did you mean `val_accuracy`?"),
        ({"search": {"lam": {"low": 5, "high": 1}}}, "expected `low` < `high`, got 5 and 1"),
        ({"search": {"lambda": {"low": 1, "high": 5}}}, "did you mean `lam`?"),
        ({"early_stopping": {"grace_period": 99}}, "(s.yaml: early_stopping.grace_period)"),
        ({"scenarios": [{"imbalance": {"type": "exp", "ratio": 2}}]}, "(s.yaml: scenarios.0.imbalance.ratio)"),
        ({"base": {**SPACE["base"], "epochs": 5}}, "expected `switch_epoch` < `epochs` (5), got 5"),
        ({"name": "../up"}, "(s.yaml: name)"),
        ({"trunks": "~no-such-user/x"}, "no home folder of `~no-such-user` is known (s.yaml: trunks)"),
        ({"trunks": "a\nb"}, "without control characters"),
        ({"base": {**SPACE["base"], "data": {"name": "cifar10", "root": "~no-such-user"}}}, "(data.root)"),
        ({"num_trials": 10**18}, "expected `num_trials` <= 2147483647"),
        ({"resources": {"cpu": 5e-324}}, "expected `resources.cpu` >= 0.0001, got 5e-324"),
        ({"resources": {"gpu": 1e-300}}, "expected `gpu` to be 0 or >= 0.0001, got 1e-300"),
        ({"enqueue": [{"gamma": 0.5} for _ in range(1001)]}, "(s.yaml: enqueue)"),
        ({"scenarios": [{} for _ in range(1001)]}, "(s.yaml: scenarios)"),
        ({"search": {"optimizer.lr": {"choices": list(range(1, 1002))}}}, "(s.yaml: search.optimizer.lr.choices)"),
    ],
)
def test_bad_space_exits_2_with_one_message_and_creates_nothing(
    here: Path, changes: dict[str, Any], message: str
) -> None:
    write(here / "s.yaml", **changes)
    result = call("--space", "s.yaml")
    assert result.exit_code == 2, result.output
    assert message in result.output
    assert "Traceback" not in result.output
    assert [path.name for path in here.iterdir()] == ["s.yaml"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            [],
            "expected one of --space, --resume, --confirm, --status, --list and --schema, got none",
        ),
        (["--schema", "--seed", "0"], "expected `--schema` alone, got --seed too"),
        (["--space", "quickstart", "--num-trials", "1e3"], "expected a whole number, got '1e3'"),
        (["--space", "quickstart", "--num-trials", "\u0661"], "expected a whole number, got '\u0661'"),
        (["--space", "quickstart", "--time-budget", "\u0663h"], "got '\u0663h' (command line: time_budget)"),
        (["--space", "quickstart", "--disk-budget", "5GB"], "expected a number, got '5GB'"),
        (["--resume", "nowhere", "--extend", "0"], "expected a whole number >= 1, got 0"),
        (["--space", "quickstart", "--out", "~no-such-user/x"], "no home folder of `~no-such-user` is known (--out)"),
        (["--space", "quickstart", "--plugin", "/dev/zero"], "expected a regular file, got a device or a pipe"),
        (["--space", "quickstart", "--set", ".=1"], "expected KEY=VALUE, got '.=1' (--set)"),
        (["--space", "quikstart"], "did you mean `quickstart`?"),
        (["--space", "quickstart", "--name", "a/b"], "(command line: name)"),
        (
            ["--space", "quickstart", "--num-trials", "0"],
            "expected `num_trials` >= 1, got 0 (command line: num_trials)",
        ),
        (["--space", "quickstart", "--time-budget", "soon"], "(command line: time_budget)"),
        (["--space", "quickstart", "--out", "/proc/nothing"], "(--out)"),
        (["--space", "quickstart", "--out", "x" * 300], "File name too long (--out)"),
        (["--space", "quickstart", "--out", "/proc/version"], "Not a directory (--out)"),
        (["--space", "quickstart", "--name", "x" * 300], "expected 1 to 64 letters, digits"),
        (["--space", "/dev/zero", "--preview"], "expected a regular file, got a device or a pipe (/dev/zero)"),
        (["--resume", "x" * 300], "File name too long (--resume)"),
        (["--preview", "--space", "quickstart", "--trunks", "~no-such-user/x"], "is known (--trunks)"),
        (["--preview", "--space", "quickstart", "--trunks", "x" * 300], "File name too long (--trunks)"),
        (["--resume", "nowhere"], "expected a run folder with space.yaml, found none in nowhere (--resume)"),
        (
            ["--resume", "nowhere", "--num-trials", "3"],
            "`--resume` accepts --space, --set, --plugin, --extend, --no-confirm, --moved, --address, --storage and",
        ),
        (
            ["--resume", "nowhere", "--trunks", "t"],
            "`--resume` accepts --space, --set, --plugin, --extend, --no-confirm, --moved, --address, --storage and",
        ),
        (
            ["--resume", "nowhere", "--measure"],
            "`--resume` accepts --space, --set, --plugin, --extend, --no-confirm, --moved, --address, --storage and",
        ),
        (
            ["--resume", "nowhere", "--warm-start", "x"],
            "`--resume` accepts --space, --set, --plugin, --extend, --no-confirm, --moved, --address, --storage and",
        ),
        (["--space", "quickstart", "--extend", "4"], "expected `--extend` with `--resume DIR`"),
        (["--space", "quickstart", "--epoch-budget", "0"], "expected `epoch_budget` >= 1, got 0"),
        (["--space", "quickstart", "--disk-budget", "-1"], "expected `disk_budget` > 0.0, got -1.0"),
        (["--space", "quickstart", "--max-failures", "-1"], "expected `max_failures` >= 0, got -1"),
        (["--space", "quickstart", "--warm-start", "nowhere"], "expected a run folder with trials.parquet"),
        (["--space", "quickstart", "--preview", "--trunks", "/proc/version"], "expected a folder, got the file"),
        (["--space", "quickstart", "--preview", "--storage", "file:///x"], "expected `--storage` without --preview"),
        (["--space", "quickstart", "--storage", "nowhere"], "expected the address of a storage, got 'nowhere'"),
        (
            ["--resume", "nowhere", "--storage", "file:///nowhere"],
            "expected a copy of nowhere in file:///nowhere, found none",
        ),
    ],
)
def test_bad_arguments_exit_2_with_one_message(here: Path, arguments: list[str], message: str) -> None:
    result = call(*arguments)
    assert result.exit_code == 2, result.output
    assert message in result.output
    assert "Traceback" not in result.output
    assert list(here.iterdir()) == []


def test_preview_of_more_trials_than_can_be_counted_one_by_one(here: Path) -> None:
    write(here / "s.yaml", num_trials=2**31 - 1)
    result = call("--space", "s.yaml", "--preview")
    assert result.exit_code == 0, result.output
    assert "2147483647 trials" in result.output


def test_file_that_breaks_many_rules_is_one_short_message(here: Path) -> None:
    write(here / "s.yaml", **{f"key{number}": number for number in range(500)})
    result = call("--space", "s.yaml", "--preview")
    assert result.exit_code == 2
    lines = result.stderr.splitlines()
    assert len(lines) == 11
    assert lines[-1] == "and 490 more problems (s.yaml)"


def test_message_does_not_steer_the_terminal(here: Path) -> None:
    result = call("--space", "\x1b[31m" + "x" * 9000, "--preview")
    assert result.exit_code == 2
    assert "\x1b" not in result.stderr
    assert len(result.stderr) < 3000


def test_yaml_syntax_error_names_line_and_column(here: Path) -> None:
    (here / "s.yaml").write_text("name: [\n")
    result = call("--space", "s.yaml")
    assert result.exit_code == 2
    assert "expected valid YAML" in result.output
    assert "s.yaml: line 2, column 1" in result.output


def test_existing_run_name_is_refused(here: Path) -> None:
    (here / "runs" / "quickstart").mkdir(parents=True)
    (here / "runs" / "quickstart" / "notes.txt").touch()
    result = call("--space", "quickstart")
    assert result.exit_code == 2
    assert "runs/quickstart exists: continue it with `--resume runs/quickstart`" in result.output


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nope", "127.0.0.1:99999"])
def test_address_without_a_cluster_is_refused_at_once(here: Path, address: str) -> None:
    result = call("--space", "quickstart", "--preview", "--address", address)
    assert result.exit_code == 2
    assert "(--address)" in result.output


@pytest.mark.parametrize("options", [("--resume", "."), ("--extend", 3), ("--no-confirm",)])
def test_confirm_option_excludes_search_options(here: Path, options: tuple[object, ...]) -> None:
    result = call("--confirm", ".", *options)
    assert result.exit_code == 2
    assert "expected `--confirm DIR` without --resume, --extend and --no-confirm" in result.stderr


def test_confirm_without_a_run_is_refused(here: Path) -> None:
    result = call("--confirm", "nowhere")
    assert result.exit_code == 2
    assert "expected a run folder with space.yaml, found none in nowhere (--confirm)" in result.stderr


def test_confirm_takes_its_settings_from_a_space_given(here: Path) -> None:
    from absgd.yaml_text import dump_yaml

    (here / "space.yaml").write_text(dump_yaml(make_space().to_dict()))
    more = make_space(confirm={"max_pairs": 5})
    assert resume_request(here).space.confirm is None
    assert resume_request(here, given=more).space.confirm == more.confirm


def test_pairs_replaces_the_most_pairs_and_never_fewer_than_are_trained(here: Path) -> None:
    from absgd.yaml_text import dump_yaml
    from tests.support.run_folders import confirmed

    folder = confirmed(here / "run")  # on five fresh pairs
    (folder / "space.yaml").write_text(dump_yaml(make_space(confirm={"max_pairs": 5, "margin": 1.5}).to_dict()))
    more = resume_request(folder, option="--confirm", pairs=9)
    assert more.space.confirm is not None
    assert (more.space.confirm.max_pairs, more.space.confirm.margin) == (9, 1.5)
    result = call("--confirm", "run", "--pairs", 4)
    assert result.exit_code == 2
    said = f"expected at least 5 fresh pairs of seeds, as many as {folder.relative_to(here)} has, got 4 (--pairs)"
    assert said in " ".join(result.stderr.split())
    with pytest.raises(UserError, match=r"got 3 \(--space: confirm.max_pairs\)"):
        resume_request(folder, given=make_space(confirm={"max_pairs": 3}), option="--confirm")
    assert call("--confirm", "run", "--pairs", 0).exit_code == 2
    for words in (["--resume", "run"], ["--space", "quickstart"]):
        result = call(*words, "--pairs", 4)
        assert result.exit_code == 2
        assert "expected `--pairs N` with `--confirm DIR`" in result.stderr


def test_no_confirm_leaves_it_out_of_a_preview(here: Path) -> None:
    assert "4 fresh" in call("--space", "quickstart", "--preview").output
    assert "the test set is not read" in call("--space", "quickstart", "--preview", "--no-confirm").output


@pytest.mark.parametrize("options", [["--space", "s.yaml"], ["--confirm", "run"]])
def test_missing_test_set_is_refused_before_a_search_that_confirms(here: Path, options: list[str]) -> None:
    write_imagefolder(here / "imgs", 2, 6)
    shutil.rmtree(here / "imgs" / "test")
    base = {**SPACE["base"], "data": {"name": "imagefolder", "root": "imgs", "val_per_class": 2, "side": 16}}
    scenarios = [{"name": "mine"}]
    write(here / "s.yaml", base=base, scenarios=scenarios, confirm={"max_pairs": 1})
    (here / "run").mkdir()
    write(here / "run" / "space.yaml", base=base, scenarios=scenarios, confirm=None)
    result = call(*options)
    assert result.exit_code == 2
    assert "imgs/test" in result.output
    assert "--no-confirm does without" in result.output
    assert not (here / "runs").exists()
