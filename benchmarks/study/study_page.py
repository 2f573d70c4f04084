"""The page of the study, written from its committed run folders alone."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from analysis.wording.titles import title_of_control
from benchmarks.study import searched_settings as settings
from benchmarks.study import study_tables as tables
from benchmarks.study.published_numbers import published_table
from benchmarks.study.rival_sentences import rival_sentence, rows_against
from benchmarks.study.search_optimism import optimism_frame, optimism_sentence
from benchmarks.study.study_costs import cost_frame, cost_sentence
from benchmarks.study.study_figures import figure_file
from benchmarks.study.study_results import (
    DATA_TITLES,
    LONG_TAILED,
    NOISY,
    StudyPart,
    comparison_frame,
    run_parts,
    study_parts,
)
from benchmarks.study.study_summary import CORRECTIONS, part_verdicts, summary_text

TITLE = "What did the study find?"
NUM_CORES = 2
WIDTH = 120
"""Longest line of a paragraph."""
_RUN = """
Every search goes over three pairs of seeds and tunes the rivals of ABSGD with the epochs of its own trials. The
configuration that it chooses is confirmed on fresh pairs until each comparison is decided or the epochs that the space
allows are used. **The sizes are small**, for two cores: a ResNet-8, 12 to 20 trials, 16 or 24 epochs, at most 150
training images of a class of Fashion-MNIST (80 with wrong labels alone; in bfloat16) and about 110 of digits (60).
Validation labels are as wrong as training labels. The spaces are in `benchmarks/study/spaces`."""
_READING = """
An interval behind one scenario is that of its confirmation: all intervals of a search hold at once, over controls and
looks, at 95 %. A mean over scenarios has Student's 95 % interval with the scenarios as the sample. The scenarios of a
data set share images, so it says how much scenarios differ rather than what another data set would show. Each
difference is over the pairs on which both were trained. Pairs are added until a comparison is decided, so a difference
that was decided early tends to be too large; plain training at lr / abAlpha is trained further only where ABSGD leads
plain training, and its mean is over those scenarios."""
_LEGEND = """
Test balanced accuracy in percent, mean ± standard deviation (pairs). ABSGD was found `+` better than this method, `−`
worse, `=` equivalent within 0.5 points; `?`: undecided. *Own criterion* is SCE, TCE or LDAM alone, with the settings of
the configuration. Sizes are small, as said above."""
_PICTURE = """
Mean paired differences with the intervals of the confirmations, which may go on beyond the picture."""
_ALONE = """
SCE and TCE alone have the settings of the configuration, at its learning rate and at lr / abAlpha. They have no search
of their own, so these settings are chosen to suit ABSGD; cross entropy and focal loss are tuned. TCE alone leaves
samples out from the same epoch as ABSGD over it."""
_RATES = """
The search itself, on its first pair of seeds and on validation, where the best of several trials is flattered, shows at
each learning rate and weight decay:"""
_IMPORTANCE = """
An importance says what distinguishes the best quarter of a search's trials from all of them
([analysis.md](analysis.md#what-mattered-and-how-training-went)); a quarter of 12 to 20 trials is three to five."""
_OPTIMISM = """
Both are on validation, balanced accuracy after the last epoch; gains are over the plain run with the same stage one, in
points. Pairs differ in their validation images, so a single score may be off in either direction."""
_PLAIN_WAY = """
The plain way trains the same trials, seeds and configurations of rivals, each from scratch to its last epoch, and every
candidate on all fresh pairs that are allowed; post-hoc adjustment costs it nothing."""
_PUBLISHED = """
These are not ours: accuracy on the test set in percent as the sources state it (or error, where it says so), ResNet-32
and 200 epochs unless said. A run here holds validation images out of the training set and reports the last epoch, so
its number need not be the same. The tables of the ABSGD paper were not at hand. Weight decay is tuned by the search,
which trains all of these methods."""
_RERUN = """
The page is written from `benchmarks/results/study`, which `absgd-report` and `analysis.load` read like any run folder;
weights, predictions and journals are left out there."""


def study_page(results: Path) -> str:
    """Return the page in Markdown.

    Args:
        results: folder of the committed run folders.
    """
    parts = study_parts(results)
    frame = comparison_frame(parts)
    sections = [
        [f"# {TITLE}"],
        [paragraph(summary_text(part_verdicts(parts), frame, len(parts)))],
        [paragraph(_RUN)],
        [paragraph(_READING)],
        [paragraph(_environment(parts))],
        *(_data_section(dataset, parts, frame) for dataset in DATA_TITLES),
        _plain_section(parts, frame),
        _corrections_section(frame),
        _additions_section(frame),
        _noise_section(parts, frame),
        _settings_section(parts),
        _optimism_section(parts),
        _cost_section(parts),
        ["## Published numbers", "", paragraph(_PUBLISHED), "", *published_table()],
        _rerun_section(),
    ]
    return "\n\n".join("\n".join(section) for section in sections if any(section)) + "\n"


def paragraph(text: str, indent: str = "") -> str:
    """Return text wrapped to lines; the first begins with a dash where the others are indented."""
    first = "- " if indent else ""
    return textwrap.fill(
        text.strip(),
        WIDTH,
        initial_indent=first,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _bullets(sentences: Sequence[str]) -> list[str]:
    return [paragraph(sentence, "  ") for sentence in sentences]


def _environment(parts: Sequence[StudyPart]) -> str:
    folders = [folder for _, result in run_parts(parts) for folder in result.runs.folders]
    sessions = [session for folder in folders for session in folder.sessions]
    if not sessions:
        return ""
    last = max(sessions, key=lambda session: str(session["started_at"]))
    versions = last["packages"]
    hours = cost_frame(parts).wall_s.sum() / NUM_CORES / 3600
    return (
        f"Measured until {str(last['started_at'])[:10]} on {last['cpu_count']} cores ({last['cpu']}), Python "
        f"{last['python']}, torch {versions['torch']}, Ray {versions['ray']}, Optuna {versions['optuna']}: about "
        f"{hours:.1f} hours of both cores."
    )


def _data_section(dataset: str, parts: Sequence[StudyPart], frame: pd.DataFrame) -> list[str]:
    title = DATA_TITLES[dataset]
    own = [part for part in parts if part.dataset == dataset]
    picture = f"![the lead of ABSGD over its rivals on {title}](images/{figure_file(dataset)})"
    drawn = (frame.dataset == dataset).any()
    return [
        f"## Results on {title}",
        "",
        *tables.method_table(own),
        "",
        paragraph(_LEGEND),
        *(["", picture, "", paragraph(_PICTURE)] if drawn else []),
    ]


def _plain_section(parts: Sequence[StudyPart], frame: pd.DataFrame) -> list[str]:
    subject = "ABSGD"
    sentences = [
        rival_sentence(subject, "plain cross entropy", rows_against(frame, LONG_TAILED, "ce"), with_settings=True),
        rival_sentence(
            subject,
            "plain cross entropy at lr / abAlpha",
            rows_against(frame, LONG_TAILED, "ce-lr"),
            with_settings=True,
        ),
        rival_sentence(subject, "tuned plain cross entropy", rows_against(frame, LONG_TAILED, "ce-tuned", "ce")),
    ]
    rates = settings.rate_frame([part for part in parts if part.kind in LONG_TAILED])
    shown = ["", paragraph(_RATES), "", *tables.rate_table(rates)] if len(rates) else []
    return ["## Where does ABSGD beat plain cross entropy?", "", *_bullets(sentences), *shown]


def _corrections_section(frame: pd.DataFrame) -> list[str]:
    sentences = [
        rival_sentence("ABSGD", title_of_control(f"{name}-tuned"), rows_against(frame, LONG_TAILED, f"{name}-tuned"))
        for name in CORRECTIONS
    ]
    return ["## Where does it beat methods that correct for class counts?", "", *_bullets(sentences)]


def _additions_section(frame: pd.DataFrame) -> list[str]:
    weighted = frame[(frame.class_balance_beta > 0) & frame.kind.isin(LONG_TAILED)]
    weights, ldam = "tuned deferred class-balanced cross entropy", "tuned deferred LDAM"
    sentences = [
        rival_sentence(
            "ABSGD with the same class weights", weights, rows_against(weighted, LONG_TAILED, "cb-ce-drw-tuned")
        ),
        rival_sentence("ABSGD over deferred LDAM", ldam, rows_against(frame, ("ldam",), "ldam-drw-tuned")),
        rival_sentence(
            "ABSGD over deferred LDAM", "LDAM without class weights", rows_against(frame, ("ldam",), "ldam")
        ),
    ]
    return ["## Does it add anything to them?", "", *_bullets(sentences)]


def _noise_section(parts: Sequence[StudyPart], frame: pd.DataFrame) -> list[str]:
    sentences = []
    for kind, name in (("noisy_sce", "SCE"), ("noisy_tce", "TCE")):
        subject, own = f"ABSGD over {name}", name.lower()
        sentences += [
            rival_sentence(subject, f"{name} alone", rows_against(frame, (kind,), own)),
            rival_sentence(subject, f"{name} alone at lr / abAlpha", rows_against(frame, (kind,), f"{own}-lr")),
            rival_sentence(subject, "plain cross entropy", rows_against(frame, (kind,), "ce")),
        ]
    sentences.append(rival_sentence("ABSGD", "tuned focal loss", rows_against(frame, NOISY, "focal-tuned")))
    return [
        "## With wrong labels, is lambda < 0 better than SCE and TCE alone?",
        "",
        *_bullets(sentences),
        "",
        paragraph(f"{_ALONE} {settings.own_choice_sentence(settings.own_choice_gains(parts))}"),
    ]


def _settings_section(parts: Sequence[StudyPart]) -> list[str]:
    frame = settings.importance_frame(parts)
    shown = ["", *tables.importance_table(settings.importance_means(frame))] if len(frame) else []
    sentences = [
        settings.importance_sentence(frame),
        settings.chosen_sentence(settings.chosen_frame(parts)),
        settings.authors_sentence(settings.authors_frame(parts)),
    ]
    return [
        "## Which settings matter, and is one good everywhere?",
        "",
        *_bullets(sentences),
        *shown,
        "",
        paragraph(_IMPORTANCE),
    ]


def _optimism_section(parts: Sequence[StudyPart]) -> list[str]:
    frame = optimism_frame(parts)
    shown = ["", *tables.optimism_table(frame)] if len(frame) else []
    return [
        "## How far is the best of a search from its score?",
        "",
        paragraph(optimism_sentence(frame)),
        *shown,
        "",
        paragraph(_OPTIMISM),
    ]


def _cost_section(parts: Sequence[StudyPart]) -> list[str]:
    frame = cost_frame(parts)
    shown = ["", *tables.cost_table(frame)] if len(frame) else []
    return ["## What did it cost?", "", paragraph(cost_sentence(frame)), *shown, "", paragraph(_PLAIN_WAY)]


def _rerun_section() -> list[str]:
    return [
        "## Rerun it",
        "",
        "    python -m benchmarks.study --run       # an hour or two on two cores; may be killed and started again",
        "    python -m benchmarks.study --page docs/study.md --figures docs/images",
        "    absgd-report benchmarks/results/study/digits_imbalanced --out report.html",
        "",
        paragraph(_RERUN),
    ]
