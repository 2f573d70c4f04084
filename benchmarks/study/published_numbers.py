"""Published numbers near this work, cited as their sources state them, and the command that trains the same here.

None was measured here: CIFAR was not at hand. Protocols differ: our validation images are cut from the training set.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from benchmarks.study.study_tables import markdown_table

DDC = "DDC, README ([arXiv 2310.04752](https://arxiv.org/abs/2310.04752))"
BAGS = "[BagofTricks-LT](https://github.com/zhangyongshun/BagofTricks-LT), trick gallery"
ADJUSTMENT = "logit adjustment, README ([arXiv 2007.07314](https://arxiv.org/abs/2007.07314))"
NOT_RUN = "not run: no CIFAR here"
PLAIN = "--set attention=null"
NO_WEIGHTS = "--set class_balance.type=none --set class_balance.from_epoch=0"
RECIPES = {
    "CIFAR-10": "absgd-train --recipe cifar10_exp_0.1 --test --set model.dropout=0 --set imbalance.ratio=0.01",
    "CIFAR-100": "absgd-train --recipe cifar100_step_0.01 --test --set imbalance.type=exp",
}
"""Data set -> the command of a run at exp 0.01."""
SPACES = {"CIFAR-10": "absgd-tune --space cifar10", "CIFAR-100": "absgd-tune --space cifar100"}
"""Data set -> the search that tunes every method over weight decays."""

_LONG_TAILED: tuple[tuple[str, str, str | None, tuple[str, str]], ...] = (
    (DDC, "cross entropy", f"--set loss.name=ce {NO_WEIGHTS}", ("71.25 ± 0.10", "38.06 ± 1.03")),
    (DDC, "LDAM, deferred weights", "--set loss.name=ldam", ("77.97 ± 0.17", "42.73 ± 0.28")),
    (DDC, "VS", f"--set loss.name=vs {NO_WEIGHTS}", ("80.29 ± 0.23", "42.67 ± 0.48")),
    (DDC, "cross entropy, tuned weight decay", None, ("73.39 ± 0.30", "40.68 ± 0.26")),
    (DDC, "LDAM, deferred weights, tuned weight decay", None, ("79.81 ± 0.35", "45.44 ± 0.06")),
    (DDC, "VS, tuned weight decay", None, ("81.62 ± 0.10", "46.26 ± 0.31")),
    (BAGS, "cross entropy", f"--set loss.name=ce {NO_WEIGHTS}", ("error 29.64", "error 61.68")),
    (BAGS, "focal loss", f"--set loss.name=focal {NO_WEIGHTS}", ("error 28.44", "error 62.78")),
    (
        BAGS,
        "class-balanced cross entropy",
        "--set loss.name=ce --set class_balance.from_epoch=0",
        ("error 29.52", "error 61.03"),
    ),
    (BAGS, "LDAM", f"--set loss.name=ldam {NO_WEIGHTS}", ("error 26.34", "error 61.12")),
    (BAGS, "balanced softmax", f"--set loss.name=balanced_softmax {NO_WEIGHTS}", ("error 22.46", "error 57.01")),
    (BAGS, "cross entropy, deferred weights", "--set loss.name=ce", ("error 25.36", "error 60.79")),
    (BAGS, "LDAM, deferred weights", "--set loss.name=ldam", ("error 22.27", "error 57.53")),
    (ADJUSTMENT, "cross entropy", f"--set loss.name=ce {NO_WEIGHTS}", ("71.36", "39.87")),
    (
        ADJUSTMENT,
        "post-hoc adjustment",
        f"--set loss.name=ce --set loss.posthoc_tau=1 {NO_WEIGHTS}",
        ("77.32", "44.07"),
    ),
    (ADJUSTMENT, "adjusted loss", f"--set loss.name=logit_adjustment {NO_WEIGHTS}", ("77.89", "44.06")),
)
"""Source, method, settings of the run (None: a search), and accuracy in percent, or error, at exp 0.01."""


class PublishedNumber(NamedTuple):
    """A number that others published."""

    source: str
    data: str
    method: str
    number: str
    """As the source states it: accuracy in percent, or error in percent where it says so."""
    command: str
    """Command that trains the same here."""


_NOTEBOOK = "absgd-train --recipe cifar10_exp_0.1 --test --set model.name=resnet18_cifar"
_OTHERS: Sequence[PublishedNumber] = (
    PublishedNumber(
        "ABSGD, the authors' notebook, ResNet-18",
        "CIFAR-10 exp 0.1",
        "cross entropy",
        "77.45",
        f"{_NOTEBOOK} --set loss.name=ce {PLAIN} {NO_WEIGHTS}",
    ),
    PublishedNumber(
        "ABSGD, the authors' notebook, ResNet-18",
        "CIFAR-10 exp 0.1",
        "ABSGD",
        "77.98",
        _NOTEBOOK,
    ),
    PublishedNumber(
        "a page about the ABSGD paper (settings not seen)", "CIFAR-100 exp 0.01", "ABSGD", "45.89", SPACES["CIFAR-100"]
    ),
    PublishedNumber(
        "a page about the ABSGD paper (settings not seen)", "CIFAR-100 exp 0.1", "ABSGD", "61.12", SPACES["CIFAR-100"]
    ),
    PublishedNumber(
        "SCE, a reproduction, best epoch",
        "CIFAR-10 symmetric 0.4",
        "cross entropy",
        "72.77",
        "absgd-tune --space noisy_cifar10",
    ),
    PublishedNumber(
        "SCE, a reproduction, best epoch", "CIFAR-10 symmetric 0.4", "SCE", "84.65", "absgd-tune --space noisy_cifar10"
    ),
)


def published_numbers() -> Iterator[PublishedNumber]:
    """Yield the published numbers, those at exp 0.01 first."""
    for source, method, settings, numbers in _LONG_TAILED:
        for data, number in zip(RECIPES, numbers, strict=True):
            command = SPACES[data] if settings is None else f"{RECIPES[data]} {PLAIN} {settings}"
            yield PublishedNumber(source, f"{data} exp 0.01", method, number, command)
    yield from _OTHERS


def published_table() -> list[str]:
    """Return the table of published numbers beside the commands."""
    rows = [(one.source, one.data, one.method, one.number, f"`{one.command}`", NOT_RUN) for one in published_numbers()]
    return markdown_table(["source", "data", "method", "published, %", "command", "here"], rows, num_text=6)
