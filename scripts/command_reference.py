"""Write docs/cli-reference.md and man/defocusctl.1 from the commands themselves.

    make reference

What the two say of commands and options is what ``--help`` says; the manual's other sections are those of
docs/cli.md. A test compares the files with the commands.
"""

import re
import textwrap
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from typer.main import get_command

from defocusctl import __version__
from defocusctl.cli.app import app

ROOT = Path(__file__).parent.parent
REFERENCE = ROOT / "docs/cli-reference.md"
MANUAL = ROOT / "man/defocusctl.1"
CONVENTIONS = ROOT / "docs/cli.md"
REFRESH = "make reference"

COLUMNS = 1000
"""So wide that no line of help is broken."""

ROFF_COLUMNS = 79


class Command(NamedTuple):
    """One command as ``--help`` describes it; ``arguments`` and ``options`` are pairs of term and text."""

    name: str
    usage: str
    paragraphs: list[str]
    arguments: list[tuple[str, str]]
    options: list[tuple[str, str]]


def commands() -> list[Command]:
    """The program itself, then every command, those of groups after the group."""
    return list(_walk(get_command(app), None, "defocusctl"))


def _walk(command: Any, parent: Any, name: str) -> Iterator[Command]:
    context = command.make_context(
        name, [], parent, resilient_parsing=True, terminal_width=COLUMNS, max_content_width=COLUMNS
    )
    records: dict[str, list[tuple[str, str]]] = {"argument": [], "option": []}
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None and (parent is None or parameter.name != "help"):
            records[parameter.param_type_name].append((record[0], _one_line(record[1])))
    yield Command(
        name=context.command_path,
        usage=_one_line(command.get_usage(context).removeprefix("Usage:")),
        paragraphs=[_one_line(paragraph) for paragraph in (command.help or "").split("\n\n")],
        arguments=records["argument"],
        options=records["option"],
    )
    for part, nested in getattr(command, "commands", {}).items():
        yield from _walk(nested, context, part)


def _one_line(text: str) -> str:
    return " ".join(text.split())


# --- Markdown


def reference_page() -> str:
    """docs/cli-reference.md."""
    lines = [
        "# Commands and options",
        "",
        f"<!-- Written by `{REFRESH}` from the commands. -->",
        "",
        "The `--help` text of all commands. [cli.md](cli.md) describes what they have in common, such as",
        "names of results, exit codes and environment variables.",
    ]
    for command in commands():
        lines += ["", f"## {command.name}", "", "```text", command.usage, "```"]
        for paragraph in command.paragraphs:
            lines += ["", _prose(paragraph)]
        if described := [*command.arguments, *command.options]:
            lines += ["", *(f"- `{term}`: {_prose(text)}".rstrip(": ") for term, text in described)]
    return "\n".join(lines) + "\n"


def _prose(text: str) -> str:
    text = re.sub(r"([\\`*\[\]])", r"\\\1", text).replace("<", "&lt;")
    return re.sub(r"docs/(\S+\.md)", r"[\1](\1)", text)


# --- roff


def manual_page(date: str) -> str:
    """man/defocusctl.1 in the macros of man(7); ``date`` is YYYY-MM-DD."""
    program, *others = commands()
    lines = [
        f'.\\" Written by {REFRESH} from the commands and docs/cli.md.',
        f'.TH DEFOCUSCTL 1 "{date}" "defocusctl {__version__}" "User Commands"',
        ".SH NAME",
        "defocusctl \\- remove out-of-focus blur from single photographs",
        ".SH SYNOPSIS",
        _terms(program.usage),
        ".SH DESCRIPTION",
        *_paragraphs([*program.paragraphs, "Every command has a section below."]),
        *_definitions(program.options),
        ".SH COMMANDS",
    ]
    for command in others:
        lines += [
            f".SS {_plain(command.name)}",
            _terms(command.usage),
            ".PP",
            *_paragraphs(command.paragraphs),
        ]
        lines += _definitions([*command.arguments, *command.options])
    for title, name in SECTIONS.items():
        lines += [f".SH {name}", *_section(title)]
    lines += [".SH SEE ALSO", "The program's documentation, in the folder docs of its source."]
    return "\n".join(lines) + "\n"


SECTIONS = {"Where results go": "FILES", "Exit codes": "EXIT STATUS", "Environment": "ENVIRONMENT"}
"""Headings of docs/cli.md and what manuals call such a section."""


def _section(title: str) -> list[str]:
    """A section of docs/cli.md: paragraphs, and tables of two columns."""
    text = CONVENTIONS.read_text(encoding="utf-8").split(f"\n## {title}\n")[1].split("\n## ")[0].strip()
    lines: list[str] = []
    for block in text.split("\n\n"):
        if block.startswith("|"):
            rows = [line.strip("|").split(" | ") for line in block.splitlines()[2:]]
            lines += _definitions(
                [(term.replace("`", "").strip(), meaning.strip()) for term, meaning in rows]
            )
        else:
            lines += _paragraphs([_one_line(block)])
    return lines


def _paragraphs(texts: list[str]) -> list[str]:
    lines = [line for text in texts for line in (".PP", *_inline(text))]
    return lines[1:]


def _definitions(records: list[tuple[str, str]]) -> list[str]:
    return [line for term, text in records for line in (".TP", _terms(term), *_inline(text))]


def _terms(text: str) -> str:
    """Names of options and commands in bold, what stands for values in italics."""
    words = []
    for word in text.split(" "):
        bold = re.fullmatch(r"-[-a-z]+,?|[a-z-]+", word) is not None or word.isnumeric()
        words.append(f"\\f{'B' if bold else 'I'}{_plain(word)}\\fR")
    return " ".join(words)


def _inline(text: str) -> list[str]:
    """A Markdown text in short lines: code in bold, links as their text."""
    parts = re.sub(r"\[([^]]+)\]\([^)]+\)", r"\1", text).split("`")
    marked = "".join(f"\\fB{_plain(part)}\\fR" if odd % 2 else _plain(part) for odd, part in enumerate(parts))
    lines = textwrap.wrap(marked, ROFF_COLUMNS - 2, break_long_words=False, break_on_hyphens=False)
    return [f"\\&{line}" if line.startswith(".") else line for line in lines] or ["\\&"]


ESCAPES = {"\\": "\\e", "-": "\\-", "'": "\\(aq", "^": "\\(ha", "~": "\\(ti"}


def _plain(text: str) -> str:
    return "".join(ESCAPES.get(character, character) for character in text)


# --- files


def date_of(manual: str) -> str:
    """The date in a manual page."""
    found = re.search(r'^\.TH \S+ 1 "([^"]*)"', manual, re.MULTILINE)
    return found[1] if found else ""


def main() -> None:
    """Refresh both files; the manual's date changes only when something else in it does."""
    REFERENCE.write_text(reference_page(), encoding="utf-8")
    there = MANUAL.read_text(encoding="utf-8") if MANUAL.exists() else ""
    if there != manual_page(date_of(there)):
        MANUAL.write_text(manual_page(datetime.now(UTC).date().isoformat()), encoding="utf-8")


if __name__ == "__main__":
    main()
