"""All figures of a scenario, in the order of the report."""

from __future__ import annotations

import pandas as pd

from analysis.figures.class_figures import recall_drawing, weights_drawing
from analysis.figures.figure_style import Drawing
from analysis.figures.parallel_figure import parallel_drawing
from analysis.figures.parameter_figures import importance_drawing, landscape_drawing
from analysis.figures.pareto_figure import pareto_drawing
from analysis.figures.prediction_figures import calibration_drawing, confusion_drawings
from analysis.figures.result_figures import differences_drawing, fresh_curves_drawing
from analysis.figures.search_figures import curves_drawing, savings_drawing
from analysis.questions.control_comparison import no_comparisons
from analysis.runs import Runs


def drawings(runs: Runs, comparisons: pd.DataFrame | None = None) -> list[Drawing]:
    """Draw the figures of one scenario, leaving out those with nothing to show.

    Args:
        runs: the runs of one scenario (`Runs.scenarios`).
        comparisons: the scenario's rows of `Runs.compare(control=None)`; None or empty if there is no control.
    """
    comparisons = no_comparisons() if comparisons is None else comparisons
    found = (
        differences_drawing(comparisons),
        recall_drawing(runs),
        calibration_drawing(runs, comparisons),
        *confusion_drawings(runs, comparisons),
        fresh_curves_drawing(runs),
        pareto_drawing(runs),
        curves_drawing(runs),
        landscape_drawing(runs),
        parallel_drawing(runs),
        importance_drawing(runs),
        weights_drawing(runs),
        savings_drawing(runs),
    )
    return [drawing for drawing in found if drawing is not None]
