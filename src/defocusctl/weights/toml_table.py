"""Typed reading of the tables of a TOML file; every complaint names file, place, key, and what is allowed."""

from collections.abc import Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn, Self

from defocusctl.errors import WeightsError


@dataclass(frozen=True)
class Table:
    """One table of ``file``; ``where`` says which one, empty for the whole file.

    Every method but ``place`` and ``within`` raises WeightsError when the content is not what it reads.
    """

    file: Path
    where: str
    content: dict[str, Any]

    def __contains__(self, key: str) -> bool:
        return key in self.content

    def within(self, where: str) -> Self:
        """The same table under a clearer name."""
        return replace(self, where=where)

    def place(self, key: str) -> str:
        """Where ``key`` of this table is, in words."""
        return ", ".join(filter(None, (str(self.file), self.where, f"key '{key}'")))

    def refuse(self, key: str, found: str, allowed: str) -> NoReturn:
        raise WeightsError(f"{self.place(key)}: {found}", f"allowed: {allowed}")

    def check_keys(self, *, required: Set[str], optional: Set[str] = frozenset()) -> None:
        allowed = required | optional
        for key in self.content:
            if key not in allowed:
                self.refuse(key, "unknown key", ", ".join(sorted(allowed)))
        for key in sorted(required - self.content.keys()):
            raise WeightsError(f"{self.place(key)}: it is missing", "add it")

    def text(self, key: str) -> str:
        value = self.content[key]
        if not isinstance(value, str):
            self.refuse(key, f"{value!r} is not a text", "a text")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of at least one text."""
        value = self.content[key]
        if not isinstance(value, list) or not value or not all(isinstance(item, str) for item in value):
            self.refuse(key, f"{value!r}", "a list of at least one text")
        return tuple(value)

    def choice(self, key: str, choices: tuple[str, ...]) -> str:
        value = self.text(key)
        if value not in choices:
            self.refuse(key, f"'{value}'", " or ".join(choices))
        return value

    def number(self, key: str) -> float | None:
        """A number, or None where the key is absent."""
        value = self.content.get(key)
        if value is None:
            return None
        if type(value) not in (int, float):
            self.refuse(key, f"{value!r} is not a number", "a number")
        return float(value)

    def table(self, key: str) -> "Table":
        """The table under ``key``; an empty one where the key is absent."""
        value = self.content.get(key, {})
        if not isinstance(value, dict):
            self.refuse(key, f"{value!r} is not a table", "a table")
        return Table(self.file, key, value)

    def tables(self, key: str) -> tuple["Table", ...]:
        """The list of tables under ``key``, named after their place; empty where the key is absent."""
        value = self.content.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            self.refuse(key, f"{value!r}", "a list of tables")
        outer = f"{self.where}, " if self.where else ""
        return tuple(
            Table(self.file, f"{outer}{key} entry {n}", item) for n, item in enumerate(value, start=1)
        )
