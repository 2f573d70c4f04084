"""Hostile input: texts, numbers, YAML, and valid documents with a part of them replaced.

FUZZ_FACTOR=50 in the environment multiplies the number of examples by 50 and draws new ones in every run.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from typer.testing import Result

FACTOR = int(os.environ.get("FUZZ_FACTOR", "1"))


def examples(count: int) -> settings:
    """Set the number of examples, the same in every run unless FUZZ_FACTOR is set; the deadline catches hangs."""
    return settings(
        max_examples=count * FACTOR,
        derandomize=FACTOR == 1,
        deadline=30_000,
        database=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


NAMES = (
    "", " ", ".", "..", "...", "../up", "/abs", "a/b", "a\\b", "./x", "~", "~nobody-at-all/x", "-", "--out", "-x",
    "a\0b", "a\nabsgd-tune: error: b", "\x1b[31mred", "\x07", "\x7f", "\u202e", "\u2028", "é", "日本", "x" * 64,
    "x" * 65, "x" * 256, "x" * 5000, "CON", "nul.txt", "%s%n", "{message}", "{0}", "$HOME", "`id`", "a b", "*", "?",
    "*.yaml", "#", "a:b", "1:30", "0x2", "010", "1_0", "1e3", "on", "off", "yes", "no", "null", "true", "nan",
    ".inf", "<<", "=", "/dev/zero", "/proc/self/mem", "/" + "x/" * 3000, "data", "digits",
)  # fmt: skip
"""Texts that some programs interpret as more than text."""

HARD_NUMBERS = (
    0, -1, 1, 2, 3, 2**31 - 1, 2**31, 2**53 + 1, 2**63 - 1, 2**63, 10**40, 10**299, 0.0, -0.0, 0.5, 1.0, 5e-324,
    1e-300, 1e-30, 1e15, 1e300, 1.7976931348623157e308, float("inf"), float("-inf"), float("nan"),
)  # fmt: skip

texts = st.one_of(st.sampled_from(NAMES), st.text(max_size=30))


def is_word(text: str) -> bool:
    """Whether an operating system can pass the text to a program as an argument."""
    return "\0" not in text


words = texts.filter(is_word)
numbers = st.one_of(st.sampled_from(HARD_NUMBERS), st.integers(), st.floats())
scalars = st.one_of(st.none(), st.booleans(), numbers, texts)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)),
    max_leaves=8,
)


def places(document: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of every value inside a document, the document itself first."""
    inner = document.items() if isinstance(document, Mapping) else enumerate(document) if _is_list(document) else ()
    return [at, *(path for key, value in inner for path in places(value, (*at, key)))]


def _is_list(value: object) -> bool:
    return isinstance(value, list)


@st.composite
def mutated(draw: st.DrawFn, documents: list[Any], own_values: st.SearchStrategy[Any] = values) -> Any:
    """Draw one of the documents with one to three of its values replaced, removed, repeated or joined by others."""
    document = copy.deepcopy(draw(st.sampled_from(documents)))
    for _ in range(draw(st.integers(1, 3))):
        *parents, last = draw(st.sampled_from(places(document)[1:] or [("",)]))
        parent = document
        for key in parents:
            parent = parent[key]
        if not isinstance(parent, dict | list):
            return document
        match draw(st.sampled_from(["replace", "replace", "replace", "remove", "add", "deepen", "repeat"])):
            case "replace":
                parent[last] = draw(st.one_of(own_values, values))
            case "remove":
                del parent[last]
            case "add" if isinstance(parent, dict):
                parent[draw(st.one_of(texts, scalars))] = draw(values)
            case "deepen":
                for _ in range(draw(st.sampled_from([1, 20, 40, 300]))):
                    parent[last] = {last: parent[last]} if draw(st.booleans()) else [parent[last]]
            case "repeat" if isinstance(parent, list):
                parent.extend(copy.deepcopy(parent[last]) for _ in range(draw(st.sampled_from([1, 30, 2000]))))
    return document


def as_yaml(document: Any) -> bytes:
    """Return the YAML of a document, its text escaped where no file could hold it, without aliases."""
    return yaml.dump(document, Dumper=_NoAliases, sort_keys=False).encode("utf-8", "backslashreplace")


class _NoAliases(yaml.SafeDumper):
    def ignore_aliases(self, _data: Any) -> bool:
        return True


_TOKENS = (
    "- ", ": ", "\n", "\n  ", "\n    ", "{", "}", "[", "]", ", ", "&a ", "*a", "'", '"', "|", ">", "? ", "#",
    "---\n", "...\n", "%YAML 1.1\n", "%TAG ! x\n", "<<: ", "!!int ", "!!float ", "!!bool ", "!!null ", "!!str ",
    "!!binary ", "!!timestamp ", "!!set ", "!!omap ", "!!map ", "!!seq ", "!!python/object/apply:os.system ",
    "!!python/name:os.system ", "!x ", "! ", "\t", "\r", "\ufeff", "\0", "\\", '"\\ud800"', '"\\e"', "1:30", "010",
    "0x_", "0x", "+", "-", ".", "1e", "_1", "~", "yes", "2026-01-01", "name", "data", "search", "lam", "low",
    "epochs", "digits", "1", "2.5",
)  # fmt: skip

yaml_bytes = st.one_of(
    st.binary(max_size=60),
    st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.lists(st.sampled_from(_TOKENS), max_size=25).map(lambda parts: "".join(parts).encode()),
)


@st.composite
def spliced(draw: st.DrawFn, documents: list[Any]) -> bytes:
    """Draw the YAML of a document with a stretch of it replaced."""
    text = as_yaml(draw(st.sampled_from(documents)))
    start = draw(st.integers(0, len(text)))
    end = draw(st.integers(start, min(len(text), start + 20)))
    return text[:start] + draw(yaml_bytes) + text[end:]


def assert_done_or_refused(result: Result, command: str) -> None:
    """Assert exit status 0, or 2 with one message on standard error and nothing on standard output."""
    assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
    assert result.exit_code in (0, 2), (result.exit_code, result.output)
    lines = result.stderr.splitlines()
    messages = [line for line in lines if line.startswith(f"{command}: error: ")]
    assert len(messages) == (result.exit_code == 2), result.stderr
    assert "Traceback" not in result.output
    assert all(char.isprintable() or char == "\n" for char in result.stderr), repr(result.stderr)
    if result.exit_code == 2:
        assert result.stdout == ""
        before = lines[: lines.index(messages[0])]
        assert all(line.startswith("warning: ") for line in before), result.stderr
        assert len(lines) - len(before) <= 12, result.stderr


def tree(folder: Path) -> list[str]:
    """Return everything in a folder, at any depth, as sorted relative paths."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
