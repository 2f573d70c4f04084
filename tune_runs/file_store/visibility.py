"""The nodes of a cluster that see the driver's folders; import this module inside `ray_session` only."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from absgd.records.layout import unfinished_prefix
from tune_runs.ray_cluster.session import live_nodes

ANSWER_S = 60.0
"""Time in which a node says what it sees; one that does not answer counts as one that sees nothing."""


class Visibility(NamedTuple):
    """The nodes that see the folders of a search, and those that do not."""

    seeing: frozenset[str]
    """Ids of the nodes that see all of them, the driver's own included."""
    blind: tuple[str, ...]
    """Addresses of the others."""


def visibility(folders: Sequence[Path]) -> Visibility:
    """Return which live nodes see all folders: those that find a file with random name and content in each.

    Args:
        folders: folders of the driver's machine; each must exist.

    Raises:
        OSError: if the driver cannot write to one.
    """
    own = ray.get_runtime_context().get_node_id()
    others = {node["NodeID"]: node["NodeManagerAddress"] for node in live_nodes()}
    others.pop(own, None)
    if not others:
        return Visibility(frozenset({own}), ())
    look = ray.remote(num_cpus=0, max_retries=0)(_are_there)
    with ExitStack() as files:
        marks = dict(files.enter_context(_marked(folder)) for folder in folders)
        asked = {node: look.options(scheduling_strategy=_on(node)).remote(marks) for node in others}
        answered, _ = ray.wait(list(asked.values()), num_returns=len(asked), timeout=ANSWER_S)
        seeing = {node for node, task in asked.items() if task in answered and _is_true(task)}
    return Visibility(frozenset({own, *seeing}), tuple(sorted({others[node] for node in others.keys() - seeing})))


@contextmanager
def _marked(folder: Path) -> Iterator[tuple[str, str]]:
    """Give the path and the content of a file that exists during the block."""
    content = uuid.uuid4().hex
    with tempfile.NamedTemporaryFile("w", dir=folder, prefix=unfinished_prefix("visible.txt")) as file:
        file.write(content)
        file.flush()
        yield file.name, content


def _are_there(marks: dict[str, str]) -> bool:
    """Whether files have the given contents; a worker calls it."""
    try:
        return all(Path(path).read_text() == content for path, content in marks.items())
    except (OSError, ValueError):
        return False


def _is_true(task: ray.ObjectRef[bool]) -> bool:
    try:
        return bool(ray.get(task, timeout=ANSWER_S))
    except RayError:
        return False


def _on(node: str) -> NodeAffinitySchedulingStrategy:
    return NodeAffinitySchedulingStrategy(node, soft=False)
