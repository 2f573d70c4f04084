"""The verdict on each scenario of a search, as a file: the analysis writes it, and the search prints it.

The rule that makes a verdict has one home, `analysis.questions.verdicts`; search and analysis meet in files alone.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from absgd.paths import PathLike, open_regular
from absgd.records.atomic import write_atomically

VerdictOutcome = Literal[
    "best",
    "better",
    "equivalent",
    "undecided",
    "worse",
    "control missing",
    "unfinished",
    "confirmation failed",
    "one seed",
    "no control",
    "nothing finished",
]
VERDICT_LABELS: dict[VerdictOutcome, str] = {
    "best": "Better than every tuned control",
    "better": "Better than plain training",
    "equivalent": "Equivalent to plain training",
    "undecided": "Undecided",
    "worse": "Worse than a control",
    "control missing": "A control is missing",
    "unfinished": "Not confirmed yet",
    "confirmation failed": "The confirmation failed",
    "one seed": "One seed: not a finding yet",
    "no control": "No control to compare with",
    "nothing finished": "Nothing to choose from",
}
"""Outcome -> the verdict in a few words."""
_EARLIER: dict[str, VerdictOutcome] = {"not distinguishable": "undecided"}
"""Outcomes of earlier versions."""


@dataclasses.dataclass(frozen=True)
class Verdict:
    """The claim that the results of a scenario support."""

    folder: str
    scenario: str
    outcome: VerdictOutcome
    """`better`: than all deciding controls, and worse than none; `best`: than all tuned controls too; `worse`: than
    any; `equivalent`: within the margin of a deciding control, and no other is undecided; else why nothing can be
    claimed."""
    sentence: str
    """The verdict in one sentence, which names the controls that are ahead, even those ahead by points alone."""
    advice: str
    """Whether to use the configuration; empty where the sentence says so."""
    details: tuple[str, ...] = ()
    """The numbers behind it, one sentence each: the score, the deciding controls, and the controls that are ahead."""
    configuration: str | None = None
    """The configuration that the verdict is about: `best-2`, or a trial; None: nothing was chosen."""
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Its settings: those of the method, and any other that the search varied."""

    @property
    def label(self) -> str:
        """The verdict in a few words."""
        return VERDICT_LABELS[self.outcome]

    @property
    def text(self) -> str:
        """Sentence and advice."""
        return f"{self.sentence} {self.advice}".rstrip()

    def __str__(self) -> str:
        return f"{self.scenario}: {self.text}"


def write_verdicts(path: PathLike, verdicts: Sequence[Verdict]) -> None:
    """Write verdicts as JSON; parent folders are created.

    Raises:
        OSError: if the file cannot be written.
    """
    rows = [{"label": one.label, **dataclasses.asdict(one)} for one in verdicts]
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"verdicts": rows}, indent=2, ensure_ascii=False) + "\n"
    write_atomically(path, text.encode(errors="backslashreplace"))  # JSON's own escapes, read back as they were


def read_verdicts(path: PathLike) -> list[Verdict]:
    """Return the verdicts of a file that `write_verdicts` has written.

    Raises:
        OSError: if it cannot be read, or is a pipe or a device.
        ValueError: if it is damaged, or another program wrote it.
    """
    with open_regular(Path(path)) as file:
        content = file.read()
    try:
        return [_verdict(row) for row in json.loads(content)["verdicts"]]
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise ValueError(f"expected verdicts, got {type(error).__name__}: {str(error)[:80]}") from None


def _verdict(row: Mapping[str, Any]) -> Verdict:
    """Return the verdict of an entry of the file; raises a ValueError, LookupError or TypeError if it is none."""
    known = {field.name: row[field.name] for field in dataclasses.fields(Verdict)}
    known["outcome"] = _EARLIER.get(known["outcome"], known["outcome"])
    texts = [known[name] for name in ("folder", "scenario", "sentence", "advice")] + list(known["details"])
    if known["outcome"] not in VERDICT_LABELS or not all(isinstance(text, str) for text in texts):
        raise ValueError("another kind of entry")
    return Verdict(**{**known, "details": tuple(known["details"])})
