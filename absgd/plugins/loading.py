"""Loading of plugins: files that the user names, the same source in other processes, and installed distributions.

No config, space or run folder causes a file to be loaded: they only say which plugin they need.
"""

from __future__ import annotations

import dataclasses
import hashlib
import linecache
import re
import sys
from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from absgd.errors import UserError
from absgd.paths import NotRegular, PathLike, open_regular, path_of
from absgd.plugins.declaration_check import check_declaration
from absgd.plugins.declarations import PartDeclaration, declared_by
from absgd.plugins.part_errors import in_words
from absgd.registry.loss_table import base_criterion
from absgd.registry.plugin_table import PART_KINDS, PART_TABLES, PLUGINS, PartKind, Plugin, part_spec

ENTRY_GROUPS: dict[PartKind, str] = {"data": "absgd.datasets", "model": "absgd.models", "loss": "absgd.losses"}
"""Entry-point groups in which installed distributions name their parts."""


def load_plugin(plugin: PathLike | Plugin) -> Plugin:
    """Run a Python file and add the parts that it declares; an earlier version of the file is replaced.

    Args:
        plugin: the file, or the plugin that another process made of it. What it imports must be installed on every
            node that trains.

    Raises:
        UserError: if there is no such file, it raises an error, or it declares no part, or one whose name is taken.
    """
    if isinstance(plugin, Plugin):
        return load_shipped(plugin)
    file = path_of(plugin, "--plugin").absolute()
    try:
        with open_regular(file) as opened:
            source = opened.read().decode()
    except NotRegular as error:
        raise UserError(f"expected a regular file, got {error} ({file}: --plugin)") from None
    except OSError as error:
        raise UserError(f"cannot read {file}: {error.strerror or error} (--plugin)") from None
    except UnicodeDecodeError:
        raise UserError(f"expected a Python file, got {file}, which is not UTF-8 (--plugin)") from None
    if file.suffix != ".py":  # by which records tell files from installed distributions
        raise UserError(f"expected a file that ends in `.py`, got {file} (--plugin)")
    digest = hashlib.sha256(source.encode()).hexdigest()
    known = PLUGINS.get(file.name)
    if known is not None and known.sha256 != digest and known.place != str(file):
        raise UserError(f"expected plugins with different file names, got {known.place} and {file} (--plugin)")
    return load_shipped(Plugin(file.name, digest, source, str(file)))


def load_shipped(plugin: Plugin) -> Plugin:
    """Load a plugin from its source text, or an installed one from its place, unless this process already has it.

    Raises:
        UserError: as `load_plugin`; if the installed distribution differs from the one of the plugin.
    """
    if (known := PLUGINS.get(plugin.name)) and known.sha256 == plugin.sha256:
        return known
    if plugin.source is None:
        found = load_distribution(plugin.name)
        if found.sha256 != plugin.sha256:
            raise UserError(f"expected the same {plugin.name} in every process, got another one in {sys.prefix}")
        return found
    module = _run_source(plugin, plugin.source)
    return _add(plugin, [part for function in _own_functions(module) for part in declared_by(function)])


def load_named(kind: PartKind, name: object) -> None:
    """Load the installed distribution that has an entry point of a part's name, unless the part is known.

    Raises:
        UserError: if there are several, it cannot be imported, or does not declare the part.
    """
    if not isinstance(name, str) or part_spec(kind, name) is not None:
        return
    wanted = base_criterion(name) if kind == "loss" else name
    found = {entry.dist.name for entry in entry_points(group=ENTRY_GROUPS[kind], name=wanted) if entry.dist}
    if len(found) > 1:
        listed = " and ".join(f"`{one}`" for one in sorted(found))
        raise UserError(f"expected one installed distribution with the {kind} `{wanted}`, found {listed}")
    for distribution in found:
        load_distribution(distribution)


def plugin_words() -> list[str]:
    """Return the options `--plugin FILE` that load the files of this process again."""
    from absgd.terminal import shortened  # configs are read without the packages that draw on a terminal

    files = [str(shortened(Path(one.place))) for one in PLUGINS.values() if one.source is not None]
    return [word for file in files for word in ("--plugin", file)]


def _run_source(plugin: Plugin, source: str) -> ModuleType:
    """Run the source as a module under a name of its own, under which pickle finds its classes."""
    stem = re.sub(r"\W", "_", Path(plugin.name).stem)
    module = ModuleType(f"absgd_plugin_{stem}_{plugin.sha256[:12]}")
    module.__file__ = plugin.place
    linecache.cache[plugin.place] = (len(source), None, source.splitlines(keepends=True), plugin.place)
    sys.modules[module.__name__] = module
    try:
        exec(compile(source, plugin.place, "exec", dont_inherit=True), module.__dict__)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - a user's code may raise anything, such as pytest's skips
        del sys.modules[module.__name__]
        line = next((at for name, at in reversed(_places(error)) if name == plugin.place), None)
        where = f"line {line}" if line else "it"
        raise UserError(f"cannot load plugin `{plugin.name}`: {where} raised {in_words(error)} (--plugin)") from None
    return module


def _own_functions(module: ModuleType) -> list[object]:
    """Return what a module itself defines, each object once, however many names it has there."""
    return list({id(one): one for one in vars(module).values() if _is_defined_in(module, one)}.values())


def _is_defined_in(module: ModuleType, value: object) -> bool:
    try:
        return bool(getattr(value, "__module__", None) == module.__name__ and hasattr(value, "__dict__"))
    except Exception:  # noqa: BLE001 - a lazy object, which imports when it is used, may raise anything
        return False


def _places(error: BaseException) -> list[tuple[str, int | None]]:
    """Return file and line of each frame of an error, the innermost last; that of the syntax where it is wrong."""
    trace = error.__traceback__
    found: list[tuple[str, int | None]] = []
    while trace is not None:
        found.append((trace.tb_frame.f_code.co_filename, trace.tb_lineno))
        trace = trace.tb_next
    return [*found, (error.filename or "", error.lineno)] if isinstance(error, SyntaxError) else found


def _add(plugin: Plugin, parts: list[PartDeclaration]) -> Plugin:
    """Add the parts of a plugin to the tables, in place of those of an earlier version of it."""
    if not parts:
        wanted = "a function decorated with `@model`, `@loss` or `@data_set` of absgd.plugins"
        raise UserError(f"expected {wanted} in plugin `{plugin.name}`, found none (--plugin)")
    seen: set[tuple[str, str]] = set()
    for part in parts:
        check_declaration(part, plugin.name)
        _check_name(plugin, part, seen)
        seen.add((part.kind, part.name))
    for table in PART_TABLES.values():
        for name in [name for name, spec in table.items() if spec.plugin == plugin.name]:
            del table[name]
    for part in parts:
        PART_TABLES[part.kind][part.name] = dataclasses.replace(part.spec, plugin=plugin.name)
    PLUGINS[plugin.name] = plugin
    return plugin


def _check_name(plugin: Plugin, part: PartDeclaration, seen: set[tuple[str, str]]) -> None:
    known = part_spec(part.kind, part.name)
    if (part.kind, part.name) in seen or (known is not None and known.plugin != plugin.name):
        raise UserError(f"expected a {part.kind} name that is not taken, got `{part.name}` (plugin `{plugin.name}`)")


def load_installed() -> None:
    """Load every installed distribution that has entry points of parts.

    Raises:
        UserError: if one of them cannot be loaded.
    """
    entries = (entry for group in ENTRY_GROUPS.values() for entry in entry_points(group=group))
    for name in sorted({entry.dist.name for entry in entries if entry.dist is not None}):
        load_distribution(name)


def load_distribution(name: str) -> Plugin:
    """Import every part of an installed distribution and add it.

    Raises:
        UserError: if there is no such distribution, or one of its parts cannot be imported or is not declared.
    """
    entries = [
        (kind, entry)
        for kind in PART_KINDS
        for entry in entry_points(group=ENTRY_GROUPS[kind])
        if entry.dist is not None and entry.dist.name == name
    ]
    if not entries:
        raise UserError(f"expected {name} to be installed in every process, found no part of it in {sys.prefix}")
    parts = [_declared_at(entry, kind, name) for kind, entry in entries]
    packages = tuple(sorted({entry.module.partition(".")[0] for _, entry in entries}))
    return _add(Plugin(name, _hash_of_packages(packages), None, sys.prefix, packages), parts)


def _declared_at(entry: EntryPoint, kind: PartKind, distribution: str) -> PartDeclaration:
    try:
        function = entry.load()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - a user's code may raise anything
        raise UserError(f"cannot load `{entry.value}` of {distribution}: it raised {in_words(error)}") from None
    for part in declared_by(function):
        if part.kind == kind and part.name == entry.name:
            return part
    raise UserError(f"expected `{entry.value}` of {distribution} to declare the {kind} `{entry.name}`")


def _hash_of_packages(names: Sequence[str]) -> str:
    """Return the hash of all Python files of packages, or of the one file of each that is a single module."""
    digest = hashlib.sha256()
    for package in names:
        spec = find_spec(package)
        assert spec is not None, f"{package} was imported"
        folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
        files = sorted((str(path.relative_to(folder)), path) for folder in folders for path in folder.rglob("*.py"))
        for name, path in files or [(package, Path(str(spec.origin)))]:
            digest.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()
