"""An output of a notebook cell that is replaced in place, as rich's `Live` replaces lines of a terminal.

In a notebook `Live` needs widgets, whose content is not kept in the notebook's file; a display of IPython is.
"""

from __future__ import annotations

from IPython.display import DisplayHandle
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.jupyter import JupyterMixin


class _InCell(JupyterMixin):
    """Anything that rich renders, as an output of a cell."""

    def __init__(self, content: RenderableType) -> None:
        self._content = content

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield self._content


class CellOutput:
    """The methods of `Live` that a live table needs, in a notebook cell."""

    def __init__(self) -> None:
        self._handle: DisplayHandle | None = None

    def start(self) -> None:
        """Do nothing: the output appears with its first content."""

    def update(self, content: RenderableType, refresh: bool = True) -> None:
        """Show the content in place of the earlier one."""
        shown = _InCell(content)
        if self._handle is None:
            self._handle = DisplayHandle()
            self._handle.display(shown)
        elif refresh:
            self._handle.update(shown)

    def stop(self) -> None:
        """Leave the last content where it is."""
