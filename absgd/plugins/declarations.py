"""Decorators that declare a function as the builder of a model or loss, or as the reader of a data set.

A declaration changes nothing until `load_plugin` adds it to the tables.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict

from absgd.counts import plural
from absgd.errors import UserError, shown
from absgd.registry.dataset_table import Crop, DatasetSpec
from absgd.registry.loss_table import LossSpec
from absgd.registry.model_table import Head, ModelSpec
from absgd.registry.plugin_table import PartKind

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])
_DECLARED = "__absgd_part__"
"""Attribute of a decorated function that holds its declarations."""


class Options(BaseModel):
    """Settings of a part: a user's own are the fields of a subclass, each with a single value."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


@dataclass(frozen=True)
class PartDeclaration:
    """A part as its decorator declares it."""

    kind: PartKind
    name: str
    spec: ModelSpec | LossSpec | DatasetSpec
    """Its entry in the table; the plugin is filled in when it is loaded."""


def model(
    name: str,
    *,
    options: type[Options] | None = None,
    heads: Sequence[Head] = ("linear",),
    dropout: bool = False,
) -> Callable[[FunctionT], FunctionT]:
    """Declare a builder of a model: `build(config, in_channels, num_classes)` returns a module, images to logits.

    A builder with a parameter `side` also gets the rows and columns of the images.

    Args:
        name: value of `model.name`.
        options: fields of `model.options`; the builder finds them in `config.options`.
        heads: classifiers that the builder can make, as `config.head` asks for.
        dropout: whether the builder reads `config.dropout`.

    Raises:
        UserError: if `heads` names no classifier.
    """
    _check_heads(heads)

    def declare(build: FunctionT) -> FunctionT:
        takes_side = "side" in inspect.signature(build).parameters
        spec = ModelSpec(
            _place(build), heads=tuple(heads), takes_dropout=dropout, takes_side=takes_side, options=options
        )
        return _declared(build, PartDeclaration("model", name, spec))

    return declare


def loss(
    name: str,
    *,
    options: type[Options] | None = None,
    head: Head = "linear",
    takes_attention: bool = True,
) -> Callable[[FunctionT], FunctionT]:
    """Declare a builder of a base criterion: `build(config, class_counts)` returns an `absgd.losses.Criterion`.

    Args:
        name: value of `loss.name`; with `ab` in front, attention weights are put over it.
        options: fields of `loss.options`; the builder finds them in `config.options`.
        head: classifier that the model must have.
        takes_attention: whether attention weights may be put over it.

    Raises:
        UserError: if `head` names no classifier.
    """
    _check_heads([head])

    def declare(build: FunctionT) -> FunctionT:
        spec = LossSpec(_place(build), name, head=head, takes_attention=takes_attention, options=options)
        return _declared(build, PartDeclaration("loss", name, spec))

    return declare


def data_set(
    name: str,
    *,
    num_classes: int,
    channels: int,
    side: int,
    options: type[Options] | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    pad: int = 0,
    flip: bool = False,
    crop: Crop = "padded",
    in_memory: bool = True,
    has_own_validation: bool = False,
    class_names: Sequence[str] = (),
) -> Callable[[FunctionT], FunctionT]:
    """Declare a reader of a data set: `read(config, part)` returns the images and labels of `train` or `test`.

    It returns `absgd.datasets.Images` (or a pair of arrays: uint8 of shape (N, C, H, W), and whole-number labels), or
    `absgd.datasets.ImageFiles` with `in_memory=False`.

    Args:
        name: value of `data.name`.
        num_classes: number of classes.
        channels: 1 or 3.
        side: rows and columns in pixels.
        options: fields of `data.options`; the reader finds them in `config.options`.
        mean: of each channel over the training images, values in [0, 1]; None: 0.5.
        std: standard deviation of each channel; None: 0.25.
        pad: standard augmentation: zero padding in pixels before a random crop.
        flip: standard augmentation: random horizontal flip.
        crop: standard augmentation: how training images are cropped at random.
        in_memory: whether the reader returns images; False: files, each decoded when a batch needs it.
        has_own_validation: whether the reader knows the part `val`.
        class_names: names of the classes, by label.

    Raises:
        UserError: if the numbers of channels or classes do not fit the values that are given for each, or files are
            said to have other channels than RGB.
    """
    means, stds = tuple(mean or [0.5] * channels), tuple(std or [0.25] * channels)
    _check_length("mean", means, channels)
    _check_length("std", stds, channels)
    _check_length("class_names", class_names or range(num_classes), num_classes)
    if channels != 3 and not in_memory:
        raise UserError(f"expected `channels` 3 with `in_memory=False`, whose files are read as RGB, got {channels}")

    def declare(read: FunctionT) -> FunctionT:
        spec = DatasetSpec(
            reader=_place(read),
            num_classes=num_classes,
            channels=channels,
            side=side,
            mean=means,
            std=stds,
            pad=pad,
            flip=flip,
            crop=crop,
            in_memory=in_memory,
            has_own_validation=has_own_validation,
            class_names=tuple(class_names),
            options=options,
        )
        return _declared(read, PartDeclaration("data", name, spec))

    return declare


def _check_heads(heads: Sequence[str]) -> None:
    if not heads or not set(heads) <= set(get_args(Head)):
        raise UserError(f"expected classifiers out of {', '.join(get_args(Head))}, got {', '.join(heads) or 'none'}")


def _check_length(name: str, values: Sequence[object], length: int) -> None:
    if len(values) != length:
        raise UserError(f"expected `{name}` of {plural(length, 'value')}, got {len(values)}")


def _place(function: Callable[..., Any]) -> str:
    """Return the name by which every process finds a function: `module:function`.

    Raises:
        UserError: if it has none, as inside another function.
    """
    name = getattr(function, "__qualname__", None)
    if name is None or "<" in name:
        raise UserError(f"expected a function or class at the top level of its module, got {name or shown(function)}")
    return f"{function.__module__}:{name}"


def _declared(function: FunctionT, declaration: PartDeclaration) -> FunctionT:
    setattr(function, _DECLARED, (*declared_by(function), declaration))
    return function


def declared_by(function: object) -> tuple[PartDeclaration, ...]:
    """Return the parts that a function, or a class, declares itself; those of a base class are not its own."""
    found: tuple[PartDeclaration, ...] = getattr(function, "__dict__", {}).get(_DECLARED, ())
    return found
