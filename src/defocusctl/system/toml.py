"""Typed TOML: a file in, a checked pydantic model out. A misspelt key is an error, never ignored."""

import tomllib
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from defocusctl.errors import DefocusctlError


class Table(BaseModel):
    """Base of all tables: unknown keys are errors, and values are immutable."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _knows_every_key(cls, content: Any) -> Any:
        known = sorted(field.alias or name for name, field in cls.model_fields.items())
        for key in content if isinstance(content, dict) else ():
            if key not in known:
                raise ValueError(f"unknown key '{key}' (allowed: {', '.join(known)})")
        return content


Model = TypeVar("Model", bound=Table)

KINDS = {
    "tuple_type": "a list: [ ] of values, [[ ]] of tables",
    "dict_type": "a table",
    "model_type": "a table",
    "path_type": "a path, in quotes",
}
"""What pydantic calls by the names of Python types."""


def read_toml(path: Path, kind: type[Model], error: type[DefocusctlError], remedy: str) -> Model:
    """The content of the file ``path`` as a model of type ``kind``.

    Raises:
        DefocusctlError: as ``error``, if the file cannot be read, is not TOML, or does not fit. It names
            file, table, key and problem; ``remedy`` says how to fix the content.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as problem:
        raise error(f"cannot read '{path}' ({problem.strerror})", "give a TOML file") from problem
    except UnicodeDecodeError as problem:
        raise error(f"cannot read '{path}' (it is not UTF-8 text)", "give a TOML file") from problem
    except tomllib.TOMLDecodeError as problem:
        raise error(f"'{path}' is not valid TOML ({problem})", "fix that line") from problem
    try:
        return kind.model_validate(content)
    except ValidationError as problem:
        first = problem.errors(include_url=False)[0]
        place = ", ".join([f"'{path}'", *_place(content, first["loc"])])
        raise error(f"{place}{_complaint(first)}", remedy) from problem


def _place(content: Any, location: tuple[int | str, ...]) -> list[str]:
    """``location`` in words: ``weights entry 1 (nrknet/mine)``, ``data.rendering``."""
    words = [""]
    for part in location:
        if isinstance(part, int):
            content = content[part] if part < len(content) else None
            words[-1] += f" entry {part + 1}{_name(content)}"
            words.append("")
            continue
        if not isinstance(content, dict):
            break  # the rest names parts of the type
        words[-1] += f".{part}" if words[-1] else part
        content = content.get(part)
    return [word for word in words if word]


def _name(table: Any) -> str:
    names = [table[key] for key in ("model", "name") if key in table] if isinstance(table, dict) else []
    return f" ({'/'.join(map(str, names))})" if names else ""


def _complaint(error: Any) -> str:
    if error["type"] == "missing":
        return " is missing"
    if error["type"] == "value_error":
        return f": {error['ctx']['error']}"
    value = f" = {error['input']!r}" if isinstance(error["input"], str | int | float) else ""
    if error["type"] in KINDS:
        return f"{value} must be {KINDS[error['type']]}"
    return f"{value}: {error['msg'][0].lower()}{error['msg'][1:]}"
