"""Finds a batch's photos in folders, by pattern, by name or in a list, and names each.

Files named individually are always taken. Folders and patterns yield only files with a photo's suffix, not in
hidden and system folders (``photo.targets``), and none that this program wrote (results, report pictures).
"""

import codecs
import glob
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from defocusctl.batch.manifest import REPORT, Stamp, status_of
from defocusctl.errors import InputError, UsageError
from defocusctl.photo.targets import is_passed_over, may_be_photo
from defocusctl.system.paths import fixed_part, matches


class FoundPhoto(NamedTuple):
    """A photo and its path below the searched folder, with slashes.

    ``size`` is in bytes, 0 if unknown; ``stamp`` is compared with the manifest's.
    """

    path: str
    name: str
    size: int = 0
    stamp: str | None = None


class Unreadable(NamedTuple):
    """A folder that cannot be read, and the system's reason."""

    path: Path
    name: str
    reason: str


@dataclass
class Findings:
    """All photos, each once, ordered by input and then by name, and folders that cannot be read."""

    photos: list[FoundPhoto] = field(default_factory=list)
    unreadable: list[Unreadable] = field(default_factory=list)


@dataclass(frozen=True)
class Search:
    """Where and what to look for.

    Names are relative to ``root``, by default the input folder, a file's folder, the part of a pattern
    before its first wildcard, or for a list the working folder. ``include`` and ``exclude`` are
    case-insensitive ``fnmatch`` patterns; one with a slash matches the whole name, others match any part of
    it. ``out`` is never searched, and the files ``own`` (from ``real_path``) are not inputs.
    """

    out: Path
    recursive: bool = True
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    root: Path | None = None
    own: set[str] = field(default_factory=set)

    def find(self, inputs: Iterable[str], listed: Iterable[str] = ()) -> Findings:
        """Find the photos named by command-line ``inputs`` and by the lines of a list.

        Raises:
            InputError: if an input of the command line does not exist.
            UsageError: if something lies outside the root.
        """
        findings = Findings()
        for text in inputs:
            if not Path(text).exists() and not (glob.has_magic(text) and matches(text)):
                raise InputError(f"there is no '{text}'", "check the path")
            self._add_input(text, self.root, findings)
        for text in listed:
            self._add_input(text, self.root or Path.cwd(), findings)
        resolve = path_resolver()
        unique = {(found.name, resolve(found.path)): found for found in findings.photos}
        findings.photos = [found for found in unique.values() if self._is_selected(found.name)]
        return findings

    def _add_input(self, text: str, root: Path | None, findings: Findings) -> None:
        path = Path(text)
        if path.is_dir():
            self._add_folder(path, root or path, findings)
        elif path.exists() or not (glob.has_magic(text) and (found := matches(text))):
            findings.photos.append(_found(text, _name(path, root or path.parent), status_of(text)))
        else:
            fixed = fixed_part(path)
            base = root or fixed
            out = self.out.resolve()
            skips_results = not _is_within(fixed, out)
            for match in found:
                parts = match.relative_to(fixed).parts
                if any(is_passed_over(part) or part == REPORT for part in parts):
                    continue
                if skips_results and _is_within(match, out):
                    continue
                if match.is_dir():
                    self._add_folder(match, base, findings)
                elif may_be_photo(match.name) and real_path(match) not in self.own:
                    self._add_file(str(match), _name(match, base), findings)

    def _add_folder(self, top: Path, root: Path, findings: Findings) -> None:
        out = self.out.resolve()

        def on_error(error: OSError) -> None:
            folder = Path(error.filename)
            findings.unreadable.append(
                Unreadable(folder, _name(folder, root), error.strerror or type(error).__name__)
            )

        for current, folders, files in os.walk(top, onerror=on_error):
            here = Path(current)
            shown = [name for name in sorted(folders) if not is_passed_over(name) and name != REPORT]
            entered = shown if self.recursive else []
            folders[:] = [name for name in entered if (here / name).resolve() != out]
            below, real = _name(here, root), os.path.realpath(here)
            prefix = str(here).rstrip(os.sep)
            for name in sorted(files):
                if is_passed_over(name) or not may_be_photo(name) or f"{real}{os.sep}{name}" in self.own:
                    continue
                self._add_file(
                    f"{prefix}{os.sep}{name}", name if below == "." else f"{below}/{name}", findings
                )

    def _add_file(self, path: str, name: str, findings: Findings) -> None:
        """Add a file. Broken links are added, so that they are reported; pipes and devices are not."""
        status = status_of(path)
        if status is None or stat.S_ISREG(status.st_mode):
            findings.photos.append(_found(path, name, status))

    def _is_selected(self, name: str) -> bool:
        return (not self.include or _matches(name, self.include)) and not _matches(name, self.exclude)


def paths_in_list(content: bytes) -> Iterator[str]:
    """The paths in a list, one per line or, as from ``find -print0``, separated by NUL bytes.

    The encoding is that of file names or, as on Windows, UTF-16 with or without a byte-order mark.

    Raises:
        InputError: if it is invalid UTF-16.
    """
    encoding = _wide_encoding(content)
    try:
        text = os.fsdecode(content) if encoding is None else content.decode(encoding)
    except UnicodeDecodeError as error:
        raise InputError(f"the list is not valid {error.encoding.upper()}", "save it as UTF-8") from error
    for line in text.split("\0" if "\0" in text else "\n"):
        path = line.removeprefix("\ufeff").removesuffix("\r")
        if path:
            yield path


def _wide_encoding(content: bytes) -> str | None:
    """UTF-16 of either byte order, detected by its mark or line ends; None for anything else."""
    has_nul = b"\0" in content
    for encoding, mark in (("utf-16-le", codecs.BOM_UTF16_LE), ("utf-16-be", codecs.BOM_UTF16_BE)):
        if content.startswith(mark) or (has_nul and "\n" in content.decode(encoding, errors="replace")):
            return encoding
    return None


def real_path(path: str | Path) -> str:
    """The path with the links of its folders resolved."""
    return path_resolver()(path)


def path_resolver() -> Callable[[str | Path], str]:
    """``real_path`` for many files: each folder is resolved once."""
    real_folder = cache(os.path.realpath)

    def resolve(path: str | Path) -> str:
        folder, separator, name = str(path).rpartition(os.sep)
        return f"{real_folder(folder + separator)}{os.sep}{name}"

    return resolve


def _is_within(path: Path, folder: Path) -> bool:
    """Whether ``path`` is ``folder`` (already resolved) or is inside it."""
    return path.resolve().is_relative_to(folder)


def _matches(name: str, patterns: Iterable[str]) -> bool:
    parts = PurePosixPath(name.casefold()).parts
    for pattern in (text.casefold().removeprefix("./").rstrip("/") for text in patterns):
        candidates = (name.casefold(),) if "/" in pattern else parts
        if any(part == pattern or fnmatchcase(part, pattern) for part in candidates):
            return True
    return False


def _name(path: Path, root: Path) -> str:
    relative = Path(os.path.relpath(path, root))
    if relative.is_absolute() or ".." in relative.parts:
        cause = f"'{path}' is not in '{root}', the root of the results' names"
        raise UsageError(cause, "give --root a folder that contains all inputs")
    return relative.as_posix()


def _found(path: str, name: str, status: os.stat_result | None) -> FoundPhoto:
    if status is None:
        return FoundPhoto(path, name)
    return FoundPhoto(path, name, status.st_size, Stamp.of_status(status).recorded)
