"""Optuna's importance evaluators, applied to a study rebuilt from frames."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
import pandas as pd
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.importance import FanovaImportanceEvaluator, PedAnovaImportanceEvaluator, get_param_importances

from analysis.frames.searched_parameters import SearchedParameter


def evaluated(
    values: Sequence[float], sampled: Mapping[str, tuple[SearchedParameter, pd.Series[Any]]], top: float | None
) -> dict[str, float]:
    """Return the importance of each parameter; they sum to 1.

    Args:
        values: one per trial, larger is better.
        sampled: name -> parameter and its value in each trial.
        top: fraction of trials that count as good, for PED-ANOVA; None for fANOVA.
    """
    study = _study(values, sampled)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        if top is None:
            found = get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=0))
        else:
            quantile: dict[str, Any] = {quantile_name(): top}
            found = get_param_importances(study, evaluator=PedAnovaImportanceEvaluator(**quantile))
    return {str(name): float(value) for name, value in found.items()}


def quantile_name() -> str:
    """Return the name of PED-ANOVA's argument for the fraction of good trials: Optuna renamed it."""
    names = inspect.signature(PedAnovaImportanceEvaluator).parameters
    return next(name for name in ("target_quantile", "baseline_quantile") if name in names)


def _study(values: Sequence[float], sampled: Mapping[str, tuple[SearchedParameter, pd.Series[Any]]]) -> optuna.Study:
    """Build an in-memory study of these trials."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    kinds = {name: _distribution(parameter, own) for name, (parameter, own) in sampled.items()}
    columns = {
        name: list(map(str, own)) if isinstance(kinds[name], CategoricalDistribution) else own.tolist()
        for name, (_, own) in sampled.items()
    }
    study = optuna.create_study(direction="maximize")
    for index, value in enumerate(values):
        params = {name: own[index] for name, own in columns.items()}
        study.add_trial(optuna.trial.create_trial(params=params, distributions=kinds, value=float(value)))
    return study


def _distribution(parameter: SearchedParameter, values: pd.Series[Any]) -> BaseDistribution:
    is_number = pd.api.types.is_numeric_dtype(values.dtype) and not pd.api.types.is_bool_dtype(values.dtype)
    if not is_number or (not parameter.is_range and values.nunique() <= 6):
        return CategoricalDistribution(sorted({str(value) for value in values}))
    low, high = float(values.min()), float(values.max())
    if parameter.is_range:
        assert parameter.low is not None, "a range has bounds"
        assert parameter.high is not None, "a range has bounds"
        low, high = min(low, parameter.low), max(high, parameter.high)
    if pd.api.types.is_integer_dtype(values.dtype):
        return IntDistribution(int(low), int(high), log=parameter.log and low >= 1)
    return FloatDistribution(low, high, log=parameter.log and low > 0)
