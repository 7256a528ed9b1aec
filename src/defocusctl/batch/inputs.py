"""Which photos a batch is about: in folders, by patterns, by name, or in a list; and what each is called.

Files named one by one are taken as they are. In folders and by patterns, only those are that have a photo's
suffix and lie in no folder that is hidden or a system's own (``folders``), and that this program did not
write: neither results nor the pictures of a report.
"""

import codecs
import glob
import os
import stat
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from defocusctl.batch.manifest import REPORT, Stamp, status_of
from defocusctl.errors import InputError, UsageError
from defocusctl.photo.targets import is_passed_over, may_be_photo


class Found(NamedTuple):
    """A photo, its path below the folder it was searched in (with slashes), and what is known of its file.

    ``size`` is in bytes, 0 if unknown; ``stamp`` is for comparing with the manifest's.
    """

    path: str
    name: str
    size: int = 0
    stamp: str | None = None


class Unreadable(NamedTuple):
    """A folder whose photos nobody knows, and the system's reason."""

    path: Path
    name: str
    reason: str


@dataclass
class Findings:
    """All photos, each once, in the order of the inputs and of names in each; folders that cannot be read."""

    photos: list[Found] = field(default_factory=list)
    unreadable: list[Unreadable] = field(default_factory=list)


@dataclass(frozen=True)
class Search:
    """Where and what to look for.

    ``root`` is the folder that names begin in; by default an input's own: a folder itself, the folder of a
    file, the part of a pattern before its first wildcard; for a list, the working folder. ``include`` and
    ``exclude`` are patterns of ``fnmatch``, whatever the case; one with a slash is for the whole name,
    another for any part of it. ``out`` is never searched, and the files ``own`` (as of ``real_path``) are
    no inputs.
    """

    out: Path
    recursive: bool = True
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    root: Path | None = None
    own: Collection[str] = ()

    def find(self, inputs: Iterable[str], listed: Iterable[str] = ()) -> Findings:
        """Everything that ``inputs`` of the command line and lines of a list name.

        Raises:
            InputError: if an input of the command line does not exist.
            UsageError: if something lies outside the root.
        """
        findings = Findings()
        for text in inputs:
            if not Path(text).exists() and not glob.has_magic(text):
                raise InputError(f"there is no '{text}'", "check the path")
            self._take(text, self.root, findings)
        for text in listed:
            self._take(text, self.root or Path.cwd(), findings)
        resolve = path_resolver()
        unique = {(found.name, resolve(found.path)): found for found in findings.photos}
        findings.photos = [found for found in unique.values() if self._is_wanted(found.name)]
        return findings

    def _take(self, text: str, root: Path | None, findings: Findings) -> None:
        path = Path(text)
        if path.is_dir():
            self._take_below(path, root or path, findings)
        elif path.exists() or not glob.has_magic(text):
            findings.photos.append(_found(text, _name(path, root or path.parent), status_of(text)))
        else:
            fixed = _fixed_part(path)
            out = self.out.resolve()
            met = not _is_within(fixed, out)
            for match in sorted(fixed.glob(str(path.relative_to(fixed)))):
                base = root or fixed
                parts = match.relative_to(fixed).parts
                if any(is_passed_over(part) or part == REPORT for part in parts):
                    continue
                if met and _is_within(match, out):
                    continue
                if match.is_dir():
                    self._take_below(match, base, findings)
                elif may_be_photo(match.name) and real_path(match) not in self.own:
                    self._add(str(match), _name(match, base), findings)

    def _take_below(self, top: Path, root: Path, findings: Findings) -> None:
        out = self.out.resolve()

        def note(error: OSError) -> None:
            folder = Path(error.filename)
            findings.unreadable.append(
                Unreadable(folder, _name(folder, root), error.strerror or type(error).__name__)
            )

        for place, folders, files in os.walk(top, onerror=note):
            here = Path(place)
            shown = [name for name in sorted(folders) if not is_passed_over(name) and name != REPORT]
            entered = shown if self.recursive else []
            folders[:] = [name for name in entered if (here / name).resolve() != out]
            below, real = _name(here, root), os.path.realpath(here)
            prefix = str(here).rstrip(os.sep)
            for name in sorted(files):
                if is_passed_over(name) or not may_be_photo(name) or f"{real}{os.sep}{name}" in self.own:
                    continue
                self._add(f"{prefix}{os.sep}{name}", name if below == "." else f"{below}/{name}", findings)

    def _add(self, path: str, name: str, findings: Findings) -> None:
        """A file by its name. A broken link counts, so that it is reported; pipes and devices do not."""
        status = status_of(path)
        if status is None or stat.S_ISREG(status.st_mode):
            findings.photos.append(_found(path, name, status))

    def _is_wanted(self, name: str) -> bool:
        included = not self.include or _matches(name, self.include)
        return included and not (self.exclude and _matches(name, self.exclude))


def listed_in(content: bytes) -> Iterator[str]:
    """The paths of a list: one a line, or ended by zero bytes as of ``find -print0``.

    It is in the encoding of file names, or in UTF-16, as Windows writes it, with or without
    a byte-order mark.

    Raises:
        InputError: if it is damaged UTF-16.
    """
    encoding = _wide_encoding(content)
    try:
        text = os.fsdecode(content) if encoding is None else content.decode(encoding)
    except UnicodeDecodeError as error:
        raise InputError(f"the list is not whole {error.encoding.upper()}", "save it as UTF-8") from error
    for line in text.split("\0" if "\0" in text else "\n"):
        path = line.removeprefix("\ufeff").removesuffix("\r")
        if path:
            yield path


def _wide_encoding(content: bytes) -> str | None:
    """UTF-16 of either order, by its mark or its line ends; None for anything else."""
    for encoding, mark in (("utf-16-le", codecs.BOM_UTF16_LE), ("utf-16-be", codecs.BOM_UTF16_BE)):
        if content.startswith(mark):
            return encoding
        if b"\0" in content and "\n" in content.decode(encoding, errors="replace"):
            return encoding
    return None


def real_path(path: str | Path) -> str:
    """The file, its folders without links."""
    return path_resolver()(path)


def path_resolver() -> Callable[[str | Path], str]:
    """``real_path`` for many files: every folder is looked up once."""
    real_folder = cache(os.path.realpath)

    def resolve(path: str | Path) -> str:
        folder, separator, name = str(path).rpartition(os.sep)
        return f"{real_folder(folder + separator)}{os.sep}{name}"

    return resolve


def _is_within(path: Path, folder: Path) -> bool:
    """Whether it is ``folder``, which has no links in it, or lies below it."""
    return path.resolve().is_relative_to(folder)


def _matches(name: str, patterns: Iterable[str]) -> bool:
    parts = PurePosixPath(name.casefold()).parts
    for pattern in (text.casefold() for text in patterns):
        tried = (name.casefold(),) if "/" in pattern else parts
        if any(part == pattern or fnmatchcase(part, pattern) for part in tried):
            return True
    return False


def _name(path: Path, root: Path) -> str:
    relative = Path(os.path.relpath(path, root))
    if relative.is_absolute() or ".." in relative.parts:
        raise UsageError(
            f"'{path}' is not below '{root}', where the names of results begin",
            "give --root a folder that all inputs are in",
        )
    return relative.as_posix()


def _fixed_part(pattern: Path) -> Path:
    """The folders of a pattern before the first one with a wildcard."""
    fixed = Path()
    for part in pattern.parts[:-1]:
        if glob.has_magic(part) and not (fixed / part).is_dir():  # a folder may be called "2024 [raw]"
            break
        fixed /= part
    return fixed


def _found(path: str, name: str, status: os.stat_result | None) -> Found:
    if status is None:
        return Found(path, name)
    return Found(path, name, status.st_size, Stamp.of_status(status).recorded)
