"""Read and write YAML: plain data by the YAML 1.2 core schema, from regular files of a bounded size.

Python's YAML library reads YAML 1.1, in which `1:30` is 90, `010` is 8 and `off` is false, silently. In YAML 1.2 they
are text, 10 and text. A duplicate key, an alias (`*name`, which can make a small file huge) and a tag that asks for
anything but plain data are errors.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from absgd.errors import MAX_KEY_LENGTH, UserError, encodable, shown
from absgd.paths import PathLike, read_regular

MAX_BYTES = 256 * 1024
"""Largest YAML file: a hundred times the longest shipped space, and still read in seconds."""
MAX_DEPTH = 32
"""Deepest nesting of mappings and lists; a space needs six."""
MAX_NUMBER_LENGTH = 300
"""Longest number in characters; a float of any size needs fewer."""

_TAG = "tag:yaml.org,2002:"
_SCALARS = {
    "null": (re.compile(r"~|null|Null|NULL|"), ["~", "n", "N", ""]),
    "bool": (re.compile(r"true|True|TRUE|false|False|FALSE"), list("tTfF")),
    "int": (re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+"), list("-+0123456789")),
    "float": (
        re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"),
        list("-+0123456789."),
    ),
}
"""Type -> pattern of its text, and the characters it begins with. Source: YAML 1.2.2, section 10.3.2, core schema."""


class _Loader(yaml.SafeLoader):
    """Loads plain data only: null, booleans, numbers, text, lists, and mappings with unique text keys."""

    _depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
        if self.check_event(yaml.AliasEvent):
            raise yaml.composer.ComposerError(None, None, "aliases (*name) are not allowed here", mark)
        if self._depth == MAX_DEPTH:
            problem = f"mappings and lists nested more than {MAX_DEPTH} deep"
            raise yaml.composer.ComposerError(None, None, problem, mark)
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        if not isinstance(node, yaml.MappingNode):
            return super().construct_mapping(node, deep)
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self.construct_object(key_node, deep=True)
            problem = _refused_key(key, mapping)
            if problem is not None:
                raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
            mapping[key] = self.construct_object(value_node, deep=True)
        return mapping


def _refused_key(key: object, earlier: dict[str, Any]) -> str | None:
    if not isinstance(key, str):
        return f"expected text as a key, got {shown(key)}"
    if len(key) > MAX_KEY_LENGTH or not key.isprintable():
        return f"expected a key of at most {MAX_KEY_LENGTH} printable characters, got {shown(key)}"
    return f"key `{key}` given twice" if key in earlier else None


def _text(loader: _Loader, node: Any) -> str:
    text: str = loader.construct_scalar(node)
    text.encode()  # refuses half of a surrogate pair, which no file can hold
    return text


def _whole_number(loader: _Loader, node: Any) -> int:
    text = _number_text(loader, node)
    return int(text, {"0x": 16, "0o": 8}.get(text[:2], 10))


def _number(loader: _Loader, node: Any) -> float:
    text = _number_text(loader, node).lower()
    return float(text.replace(".inf", "inf").replace(".nan", "nan"))


def _number_text(loader: _Loader, node: Any) -> str:
    text: str = loader.construct_scalar(node)
    if len(text) > MAX_NUMBER_LENGTH or "_" in text:
        raise ValueError(f"expected a number of at most {MAX_NUMBER_LENGTH} characters, got {shown(text)}")
    return text


def _truth(loader: _Loader, node: Any) -> bool:
    text: str = loader.construct_scalar(node).lower()
    if text not in ("true", "false"):
        raise ValueError(f"expected true or false, got {shown(text)}")
    return text == "true"


def _nothing(_loader: _Loader, _node: Any) -> None:
    return None


def _list(loader: _Loader, node: Any) -> list[Any]:
    return loader.construct_sequence(node, deep=True)


_Loader.yaml_implicit_resolvers = {}  # none of YAML 1.1
_Loader.yaml_constructors = {
    f"{_TAG}null": _nothing,
    f"{_TAG}bool": _truth,
    f"{_TAG}int": _whole_number,
    f"{_TAG}float": _number,
    f"{_TAG}str": _text,
    f"{_TAG}seq": _list,
    f"{_TAG}map": _Loader.construct_mapping,
    None: _Loader.construct_undefined,
}


class _Dumper(yaml.SafeDumper):
    """SafeDumper that also quotes text which `_Loader`, a reader of YAML 1.2, would take for another type."""


_Dumper.add_representer(str, lambda dumper, text: dumper.represent_str(encodable(text)))
for _kind, (_pattern, _first) in _SCALARS.items():
    for _side in (_Loader, _Dumper):
        _side.add_implicit_resolver(f"{_TAG}{_kind}", re.compile(rf"(?:{_pattern.pattern})\Z"), _first)


def parse_yaml(text: str, source: str) -> Any:
    """Parse YAML text into plain Python data.

    >>> parse_yaml("{lr: 1e-4, download: off}", "example")
    {'lr': 0.0001, 'download': 'off'}

    Raises:
        UserError: naming `source`, line and column of a syntax error.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "unknown line"
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise UserError(f"expected valid YAML, got: {problem} ({source}: {where})") from None
    except UnicodeEncodeError:
        raise UserError(f"expected valid YAML, got a text with an unpaired surrogate ({source})") from None
    except ValueError as error:
        raise UserError(f"expected valid YAML, got: {error} ({source})") from None


def read_yaml(path: PathLike) -> Any:
    """Read a YAML file into plain Python data.

    Raises:
        UserError: if it is not a readable regular file of at most MAX_BYTES, not UTF-8 text, or not valid YAML.
    """
    content = read_regular(Path(path), MAX_BYTES)
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        raise UserError(f"expected a text file in UTF-8, got other bytes ({path})") from None
    return parse_yaml(text, str(path))


def dump_yaml(data: Any) -> str:
    """Write data as YAML text that `parse_yaml` reads back to equal data; keys keep their order.

    Text that no encoding can write, from a file name that is not UTF-8, is escaped.
    """
    text: str = yaml.dump(data, Dumper=_Dumper, sort_keys=False, default_flow_style=None, allow_unicode=True, width=100)
    return text
