"""Kill a search on curves at one of its writes."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from optuna.storages.journal import JournalFileBackend

from absgd import records
from tune_runs.driver.study_journal import WholeLines
from tune_runs.recording import run_tables
from tune_runs.trial import checkpoint_pace

EVERY_EPOCH = 1e9
"""Share of the time of training that checkpoints may take where each epoch is followed by one."""


class Killed(BaseException):
    """Stands for `kill -9`: no code may catch it."""


@contextmanager
def killed_at(
    moment: int, monkeypatch: pytest.MonkeyPatch, most_of_training: float = EVERY_EPOCH
) -> Iterator[list[int]]:
    """Inside the block, kill at write number `moment`: before, during or after it, in turn; count the writes.

    Time decides no write, so that the same search has the same writes on a busy machine.
    """
    count = [0]

    def dies(write: Callable[..., Any], halfway: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **options: Any) -> Any:
            count[0] += 1
            if count[0] == moment:
                (lambda *_, **__: None, halfway, write)[moment % 3](*arguments, **options)
                raise Killed
            return write(*arguments, **options)

        return wrapped

    def half_a_file(path: Path, content: Any, **_: Any) -> None:
        path.with_name(f".{path.name}.abcd1234").write_bytes(bytes(memoryview(content).cast("B"))[:20])

    def half_a_line(backend: Any, logs: list[dict[str, Any]]) -> None:
        append(backend, logs[:-1]) if len(logs) > 1 else None
        with open(backend._file_path, "ab") as file:
            file.write(b'{"op_code": 4, "wor')
        Path(backend._file_path + ".lock").symlink_to(backend._file_path)

    write, append = records.write_atomically, JournalFileBackend.append_logs
    as_bytes = dies(write, lambda path, content, **options: half_a_file(path, _bytes(content), **options))
    with monkeypatch.context() as patched:
        for module in _modules_that_bind("write_atomically", write):
            patched.setattr(module, "write_atomically", as_bytes)
        patched.setattr(run_tables, "FLUSH_EVERY_S", math.inf)
        patched.setattr(checkpoint_pace, "MOST_OF_TRAINING", most_of_training)
        patched.setattr(JournalFileBackend, "append_logs", dies(append, half_a_line))
        patched.setattr(WholeLines, "append_values", dies(WholeLines.append_values, half_a_line))
        yield count


def _modules_that_bind(name: str, value: object) -> list[ModuleType]:
    """Return the imported modules of this project in which `name` is `value`."""
    modules = [module for key, module in sys.modules.items() if key.split(".")[0] in ("absgd", "tune_runs")]
    return [module for module in modules if vars(module).get(name) is value]


def _bytes(content: Any) -> Any:
    return content.encode() if isinstance(content, str) else content
