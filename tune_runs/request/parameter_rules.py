"""The rules of `search`: which names it may contain, and which ranges and conditions are valid.

Nothing here imports torch, Ray or Optuna.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from absgd.config import setting_keys
from absgd.config.dotted_keys import is_whole
from absgd.errors import nearest
from tune_runs.space.parameters import Parameter, Scalar, is_multiple, numeral
from tune_runs.space.setting_names import refused_name, setting_of

_MAX_WHOLE = 2**53  # beyond it a float no longer tells neighbouring whole numbers apart


def broken_search_rules(search: Mapping[str, Parameter]) -> Iterator[tuple[str, str]]:
    """Yield key and message of every rule that `search` breaks; a later rule may rely on the earlier ones."""
    if not search:
        yield "search", "expected at least one parameter in `search`, got an empty mapping"
    earlier: list[str] = []
    for name, parameter in search.items():
        refusal = refused_name(name)
        if refusal is not None:
            yield f"search.{name}", refusal
        for message in _broken_range_rules(name, parameter):
            yield f"search.{name}", message
        for parent, allowed in parameter.when.items():
            for message in _broken_condition_rules(search, name, earlier, parent, allowed):
                yield f"search.{name}.when", message
        earlier.append(name)


def _broken_condition_rules(
    search: Mapping[str, Parameter], name: str, earlier: list[str], parent: str, allowed: tuple[Scalar, ...]
) -> Iterator[str]:
    if parent in search and parent not in earlier:
        yield f"expected `{parent}` to stand before `{name}`, whose `when` names it"
    if parent not in search and setting_of(parent) not in setting_keys():
        yield f"expected a parameter or setting, got `{parent}`{nearest(parent, (*search, *setting_keys()))}"
    if parent not in search and parent.removeprefix("attention.") in search:
        yield f"expected the short name `{parent.removeprefix('attention.')}`, got `{parent}`"
    if not allowed:
        yield f"expected at least one value of `{parent}`, got an empty list"
    choices = search[parent].choices if parent in search else allowed
    if choices is None:
        yield f"expected `{parent}` to have `choices`, since `{name}` depends on its value, got a range"
    for value in allowed:
        if choices is not None and value not in choices:
            yield f"expected values of `{parent}` ({search[parent].describe()}), got {value!r}"


def _broken_range_rules(name: str, parameter: Parameter) -> Iterator[str]:
    """Yield messages about the range alone, whose type `SearchSpace` has filled in; the first is the one to show."""
    if parameter.sign is not None and name != "lam":
        yield f"expected `sign` for `lam` only, got it for `{name}`"
    if parameter.choices is not None or parameter.type == "categorical":
        yield from _broken_choice_rules(parameter)
        return
    if parameter.low is None or parameter.high is None:
        yield "expected `low` and `high`, or `choices`, got " + (
            "nothing" if parameter.low is parameter.high else f"only `{'high' if parameter.low is None else 'low'}`"
        )
        return
    low, high = parameter.low, parameter.high
    if low >= high:
        yield f"expected `low` < `high`, got {numeral(low)} and {numeral(high)}; a fixed value belongs in `base`"
    if parameter.type == "float" and is_whole(setting_of(name)):
        yield f"expected type `int`, since `{name}` is a whole number, got `float`"
    yield from _broken_grid_rules(parameter, low, high)
    yield from _broken_sign_rules(name, parameter, low, high)


def _broken_choice_rules(parameter: Parameter) -> Iterator[str]:
    given = [key for key in ("low", "high", "step", "sign") if getattr(parameter, key) is not None]
    given += ["log"] if parameter.log else []
    if parameter.choices is None:
        yield "expected `choices` with type `categorical`, got nothing"
    elif parameter.type != "categorical":
        yield f"expected type `categorical` with `choices`, got `{parameter.type}`"
    elif given:
        yield f"expected either `choices` or `low` and `high`, got `choices` with `{given[0]}`"
    elif not parameter.choices:
        yield "expected at least one of `choices`, got an empty list"
    elif len(set(parameter.choices)) < len(parameter.choices):
        yield f"expected every one of `choices` once, got {list(parameter.choices)}"


def _broken_grid_rules(parameter: Parameter, low: float, high: float) -> Iterator[str]:
    step = parameter.step
    if parameter.type == "int":
        for key, value in (("low", low), ("high", high), ("step", step)):
            if value is not None and (value != int(value) or abs(value) > _MAX_WHOLE):
                yield f"expected `{key}` to be a whole number up to 2^53 with type `int`, got {numeral(value)}"
    if parameter.log and step is not None:
        yield f"expected `log` or `step`, not both, got `log` with `step` {numeral(step)}"
    if step is not None and (high - low) / step > _MAX_WHOLE:
        yield f"expected at most 2^53 multiples of `step` between the bounds, got {numeral(step)}"
    elif step is not None and not is_multiple(high - low, step):
        bounds = f"{numeral(low)} and {numeral(high)}"
        yield f"expected `high` - `low` to be a multiple of `step` ({numeral(step)}), got {bounds}"


def _broken_sign_rules(name: str, parameter: Parameter, low: float, high: float) -> Iterator[str]:
    if parameter.sign is not None:
        if not parameter.sign or len(set(parameter.sign)) < len(parameter.sign):
            yield f"expected `sign` to be [1], [-1] or [1, -1], got {list(parameter.sign)}"
        if low <= 0:
            yield f"expected `low` > 0 with `sign`, since the bounds are those of the magnitude, got {numeral(low)}"
    elif name == "lam" and low < 0 < high:
        yield (
            f"expected `low` and `high` on one side of 0, since lambda is never 0 and its sign chooses the method, "
            f"got {numeral(low)} and {numeral(high)}; for both signs bound the magnitude and add `sign: [1, -1]`"
        )
    elif parameter.log and low <= 0 <= high:
        negative = " or `high` < 0" if name == "lam" else ""
        yield f"expected `low` > 0{negative} with `log`, got {numeral(low)} and {numeral(high)}"
