"""YAML in and out: safe, `1e-4` is a number, a key given twice is an error, aliases are not expanded."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from absgd.errors import UserError


class _Loader(yaml.SafeLoader):
    """SafeLoader with YAML 1.2 floats, no aliases and no repeated keys."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(None, None, "aliases (*name) are not allowed here", mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key_node, _ in node.value:
            key = getattr(key_node, "value", None)
            if isinstance(key, str) and key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key `{key}` given twice", key_node.start_mark)
            if isinstance(key, str):
                seen.add(key)
        return super().construct_mapping(node, deep)


class _Dumper(yaml.SafeDumper):
    """SafeDumper that quotes text which `_Loader` would read as a number."""


_FLOAT = re.compile(r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$")
for _side in (_Loader, _Dumper):
    _side.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+0123456789."))


def parse_yaml(text: str, source: str) -> Any:
    """Plain Python data from YAML text.

    >>> parse_yaml("lr: 1e-4", "example")
    {'lr': 0.0001}

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
    except (RecursionError, ValueError) as error:
        raise UserError(f"expected valid YAML, got: {error} ({source})") from None


def read_yaml(path: Path) -> Any:
    """Plain Python data from a YAML file.

    Raises:
        UserError: if the file cannot be read, is not UTF-8 text or is not valid YAML.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise UserError(f"expected a text file in UTF-8, got other bytes ({path})") from None
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from None
    return parse_yaml(text, str(path))


def dump_yaml(data: Any) -> str:
    """YAML text that `parse_yaml` reads back to equal data; keys keep their order."""
    text: str = yaml.dump(data, Dumper=_Dumper, sort_keys=False, default_flow_style=None, allow_unicode=True, width=100)
    return text
