"""Types of the settings that name an entry of `absgd.registry`: text, checked against its table at validation."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from absgd.errors import UserError, broken_rule
from absgd.plugins.loading import load_named
from absgd.registry.dataset_table import DATASETS
from absgd.registry.loss_table import loss_names
from absgd.registry.model_table import MODELS
from absgd.registry.plugin_table import PartKind


@dataclass(frozen=True)
class RegisteredName:
    """Annotation of a text field that takes the names a table holds, with the JSON schema of a Literal.

    A name that no table holds may be an entry of an installed distribution, which is then loaded."""

    kind: PartKind
    """The table."""
    names: Callable[[], Collection[str]]
    """Gives the valid names in the order of messages and schema; called at each validation."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self._checked, handler(source))

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"enum": list(self.names()), "type": "string"}

    def _checked(self, value: object) -> object:
        names = list(self.names())
        if isinstance(value, str) and value in names:
            return value
        if isinstance(value, str):
            try:
                load_named(self.kind, value)
            except UserError as error:
                raise broken_rule("", str(error)) from None
            if value in self.names():
                return value
        *others, last = map(repr, names)
        raise PydanticCustomError("unknown_part", "{expected}", {"expected": f"{', '.join(others)} or {last}"})


DatasetName = Annotated[str, RegisteredName("data", lambda: tuple(DATASETS))]
ModelName = Annotated[str, RegisteredName("model", lambda: tuple(MODELS))]
LossName = Annotated[str, RegisteredName("loss", loss_names)]
