"""The model card: what a model was trained on and how, its measured numbers, and cautions about them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any, NamedTuple

from absgd.config import RunConfig
from absgd.config.locations import data_title
from absgd.counts import plural
from absgd.datasets.disk_batches import shorter_side
from absgd.export.image_classifier import ModelFacts
from absgd.records import FEW_BELOW, TEST_SCALARS, Verdict, column_words
from absgd.registry.dataset_table import DATASETS
from absgd.terminal import printable

MOST_CLASSES = 100
"""Classes that a card lists."""
_TESTS = sorted(TEST_SCALARS, key=lambda column: column == "test_loss")
"""Test columns in the order of the card: the loss last."""
Row = Mapping[str, Any]


class CardFacts(NamedTuple):
    """Everything that a card says."""

    model: ModelFacts
    config: RunConfig
    """The run, with its paths."""
    trial: Row
    """Its row of trials.parquet."""
    classes: Sequence[Row]
    """Rows of classes.parquet."""
    verdict: Verdict | None
    """That of the search which chose the settings."""
    files: Sequence[str]
    """Names of the exported files."""


def model_card(facts: CardFacts) -> str:
    """Return the card as Markdown."""
    parts = (
        _introduction(facts),
        _use(facts),
        _data(facts),
        _numbers(facts),
        _verdict(facts),
        _cautions(facts),
        _settings(facts),
    )
    return "\n".join("\n".join(part) + "\n" for part in parts)


def _introduction(facts: CardFacts) -> Iterator[str]:
    model, trial = facts.model, facts.trial
    yield f"# Model card: {_text(PurePath(facts.files[0]).stem)}"
    yield ""
    is_last = model.epochs == facts.config.epochs
    which = "the last one" if is_last else f"the best of {facts.config.epochs} on validation"
    weights = facts.config.model.weights
    start = f", started from the weights in `{_code(PurePath(weights).name)}`," if weights else ""
    yield (
        f"`{model.config.model.name}`{start} sorts images into {len(model.classes)} classes. It was trained with the "
        f"loss `{model.config.loss.name}` by absgd-tune {model.version}, run `{_code(trial['run'])}`, begun on "
        f"{trial['started_at']:%Y-%m-%d}; the weights are those after {plural(model.epochs, 'epoch')}, {which}."
    )


def _use(facts: CardFacts) -> Iterator[str]:
    model = facts.model
    shape = f"(N, {len(model.mean)}, {model.side}, {model.side})"
    yield "## Use"
    yield ""
    for name in facts.files:
        if name.endswith(".onnx"):
            yield f"    onnxruntime.InferenceSession({name!r}).run(['logits'], {{'images': images}})"
        else:
            yield f"    from absgd import load_model\n    logits = load_model({name!r})(images)"
        yield ""
    yield (
        f"`images` is uint8 of shape {shape}, channels before rows and columns, values from 0 to 255. The "
        f"model normalises them itself, with mean {list(model.mean)} and deviation {list(model.std)} of values "
        f"from 0 to 1. The logits have shape (N, {len(model.classes)}), in the order of the classes below."
    )
    spec = DATASETS[model.config.data.name]
    if not spec.in_memory:
        shorter = shorter_side(model.config.data, spec)
        way = "the whole of each" if shorter is None else f"the centre of each, its shorter side resized to {shorter}"
        yield ""
        yield f"It was measured on images resized to {model.side} x {model.side} pixels: {way}."


def _data(facts: CardFacts) -> Iterator[str]:
    config = facts.config
    title = data_title(config.to_dict())
    named = f"`{config.data.name}`" + (f", {_text(title)}" if title else "")
    num_train, num_val = (sum(row[name] for row in facts.classes) for name in ("num_train", "num_val"))
    cut = (
        "the data set's own list"
        if config.data.validation == "own"
        else "cut from the training images before anything else"
    )
    yield "## Data"
    yield ""
    yield f"- Data set: {named}; hash of the split `{facts.model.split_hash}`."
    yield f"- {plural(num_train, 'training image')}, {plural(num_val, 'validation image')} ({cut})."
    if config.imbalance.type == "none":
        yield "- Imbalance: none was made; the class sizes are those of the data."
    else:
        ratio = config.imbalance.ratio
        yield f"- Imbalance: `{config.imbalance.type}`; smallest class over largest: {ratio:g}."
    if config.noise.type == "none":
        yield "- Label noise: none was added; labels are as right as those of the data."
    else:
        on = "the validation labels carry it too" if config.noise.validation == "noisy" else "not on validation labels"
        yield f"- Label noise: `{config.noise.type}` on {config.noise.rate:.0%} of the training labels; {on}."
    yield ""
    yield "| class | name | training images | validation images |"
    yield "|---:|---|---:|---:|"
    for row in facts.classes[:MOST_CLASSES]:
        yield f"| {row['class']} | {_text(row['name'])} | {row['num_train']} | {row['num_val']} |"
    if len(facts.classes) > MOST_CLASSES:
        yield f"\nThe other {len(facts.classes) - MOST_CLASSES} classes are named in the exported files."


def _numbers(facts: CardFacts) -> Iterator[str]:
    model, trial = facts.model, facts.trial
    value = "none" if model.metric_value is None else f"{model.metric_value:.4f}"
    yield "## Numbers"
    yield ""
    yield "| measured | value |"
    yield "|---|---:|"
    yield f"| {column_words(model.metric)}, these weights | {value} |"
    if model.epochs == facts.config.epochs:
        for name in (name for name in _TESTS if trial[name] is not None):
            yield f"| {column_words(name)}, these weights | {trial[name]:.4f} |"


def _verdict(facts: CardFacts) -> Iterator[str]:
    yield "## Verdict"
    yield ""
    verdict = facts.verdict
    if verdict is None:
        yield "No search of absgd-tune with a verdict stands behind these settings: nothing is claimed of them."
        return
    search = _code(PurePath(verdict.folder).name)
    yield f"**{_text(verdict.label)}** (search `{search}`, scenario `{_code(verdict.scenario)}`)."
    yield ""
    yield _text(verdict.text)
    yield ""
    yield from (f"- {_text(sentence)}" for sentence in verdict.details)


def _cautions(facts: CardFacts) -> Iterator[str]:
    yield "## Cautions"
    yield ""
    yield from (f"- {sentence}" for sentence in _caution_sentences(facts))


def _caution_sentences(facts: CardFacts) -> Iterator[str]:
    config, trial = facts.config, facts.trial
    is_last = facts.model.epochs == config.epochs
    yield "This is one run with one pair of seeds; another pair gives other numbers."
    if trial["test_accuracy"] is None:
        yield "The test set was not read. Settings are chosen on validation, whose numbers are therefore too good."
    elif not is_last:
        yield "The test set was read after the last epoch, not with these weights."
    if not is_last:
        yield "The epoch was chosen on validation, so its number there is too good."
    if config.noise.type != "none" and config.noise.validation == "noisy":
        yield "Validation labels are noisy: accuracies on right labels are higher."
    few = [str(row["class"]) for row in facts.classes if row["num_train"] < FEW_BELOW]
    if few:
        yield f"Classes with fewer than {FEW_BELOW} training images, where errors are likely: {_listed(few)}."
    without = [str(row["class"]) for row in facts.classes if row["num_val"] == 0]
    if without:
        yield f"Classes without a validation image, on which nothing was measured: {_listed(without)}."
    if facts.model.is_adjusted:
        yield "The logits are adjusted by the class shares (post-hoc logit adjustment); they fit balanced classes."
    if config.device.precision == "bfloat16" or config.device.fast:
        yield "It was trained with faster arithmetic; in float32 its logits differ a little from those measured."
    yield "It knows images like those of its data set alone, and names one of its classes for any image."


def _listed(names: Sequence[str]) -> str:
    return ", ".join([*names[:MOST_CLASSES], *(["..."] if len(names) > MOST_CLASSES else [])])


def _settings(facts: CardFacts) -> Iterator[str]:
    yield "## Settings"
    yield ""
    yield "```yaml"
    yield facts.model.config.to_yaml().rstrip()
    yield "```"


def _text(words: str) -> str:
    """Return text of a user or a file as it may stand in Markdown: on one line, and no markup."""
    line = " ".join(printable(words).split())
    return "".join(f"\\{sign}" if sign in "|<>[]*" else sign for sign in line)


def _code(words: str) -> str:
    """Return text of a user or a file as it may stand between backticks."""
    return " ".join(printable(words).split()).replace("`", "'")
