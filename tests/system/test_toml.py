"""Typed TOML: what is read, and where a mistake is said to be."""

from pathlib import Path
from typing import Annotated

import pytest
from pydantic import AfterValidator, Field

from defocusctl.errors import DataError
from defocusctl.system.toml import Table, read_toml


def _even(value: int) -> int:
    if value % 2:
        raise ValueError(f"{value} is odd")
    return value


class Part(Table):
    name: str
    size: Annotated[int, Field(gt=0), AfterValidator(_even)] = 2


class Inner(Table):
    widths: tuple[float, ...] = ()


class Whole(Table):
    title: str
    inner: Inner = Inner()
    parts: tuple[Part, ...] = Field((), alias="some-parts")
    sizes: dict[str, int | float] = Field(default_factory=dict)


def read(tmp_path: Path, text: str) -> Whole:
    path = tmp_path / "a.toml"
    path.write_text(text)
    return read_toml(path, Whole, DataError, "see the manual")


def test_tables_become_models(tmp_path: Path) -> None:
    text = 'title = "x"\n[inner]\nwidths = [1, 2.5]\n[[some-parts]]\nname = "one"\n'
    assert read(tmp_path, text) == Whole.model_validate(
        {"title": "x", "inner": Inner(widths=(1.0, 2.5)), "some-parts": (Part(name="one", size=2),)}
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "title is missing"),
        ("title = 3", "title = 3: input should be a valid string"),
        ('title = "x"\nparts = []', "unknown key 'parts' (allowed: inner, sizes, some-parts, title)"),
        ('title = "x"\n[inner]\nwidth = 1', "inner: unknown key 'width' (allowed: widths)"),
        (
            'title = "x"\n[inner]\nwidths = [1, "a"]',
            "inner.widths entry 2 = 'a': input should be a valid number",
        ),
        ('title = "x"\n[[some-parts]]\nsize = 2', "some-parts entry 1, name is missing"),
        ('title = "x"\n[[some-parts]]\nname = "one"\nsize = 3', "some-parts entry 1 (one), size: 3 is odd"),
        ('title = "x"\nsome-parts = 3', "some-parts = 3 must be a list"),
        ('title = "x"\n[sizes]\na = "b"', "sizes.a = 'b': input should be a valid integer"),
    ],
)
def test_a_mistake_is_said_to_be_where_it_is(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path, text)
    message = str(caught.value).removeprefix(f"'{tmp_path / 'a.toml'}'").lstrip(",: ")
    assert message.startswith(said)
    assert caught.value.remedy == "see the manual"
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "cannot read"), (b"\xff\xfe", "it is not UTF-8 text"), (b"title =", "is not valid TOML")],
)
def test_a_file_that_is_not_toml_is_named(tmp_path: Path, content: bytes | None, said: str) -> None:
    path = tmp_path / "b.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=said) as caught:
        read_toml(path, Whole, DataError, "see the manual")
    assert str(path) in str(caught.value)
