"""Types of the settings that name an entry of `absgd.registry`: text, checked against its table at validation."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticKnownError, core_schema

from absgd.registry.dataset_table import DATASETS
from absgd.registry.loss_table import loss_names
from absgd.registry.model_table import MODELS


@dataclass(frozen=True)
class RegisteredName:
    """Annotation of a text field that takes the names a table holds, with the messages and JSON schema of a Literal."""

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
        *others, last = map(repr, names)
        raise PydanticKnownError("literal_error", {"expected": f"{', '.join(others)} or {last}"})


DatasetName = Annotated[str, RegisteredName(lambda: tuple(DATASETS))]
ModelName = Annotated[str, RegisteredName(lambda: tuple(MODELS))]
LossName = Annotated[str, RegisteredName(loss_names)]
