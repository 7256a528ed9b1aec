"""Fingerprints of files: SHA-256, its beginning, and git's id of a file (SHA-1 with a short header)."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Self

SHA256_PREFIX = "sha256-prefix"
FORMS = {"sha256": r"[0-9a-f]{64}", "git-blob": r"[0-9a-f]{40}", SHA256_PREFIX: r"[0-9a-f]{8,63}"}
CHUNK = 1 << 20


@dataclass(frozen=True)
class Digest:
    """``kind`` is a key of ``FORMS``, ``hex`` the lower-case hexadecimal fingerprint.

    A ``sha256-prefix`` is for files of which no more is published, such as PyTorch's, which carry 8 digits in
    their names. It tells damage and mistakes, but somebody who wants to can make another file that has it.
    """

    kind: str
    hex: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.hex}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``sha256:HEX``, ``git-blob:HEX`` or ``sha256-prefix:HEX``.

        Raises:
            ValueError: if the text has another form.
        """
        kind, _, digits = text.partition(":")
        if kind not in FORMS or not re.fullmatch(FORMS[kind], digits):
            forms = f"'sha256:' and 64, 'git-blob:' and 40, or '{SHA256_PREFIX}:' and 8 to 63"
            raise ValueError(f"'{text}' is not {forms} lower-case hex digits")
        return cls(kind, digits)

    @classmethod
    def of_file(cls, path: Path, kind: str) -> Self:
        """The whole fingerprint (``sha256`` or ``git-blob``) of the file at ``path``, read in chunks.

        Raises:
            OSError: if the file cannot be read.
        """
        with path.open("rb") as file:
            if kind == "sha256":
                return cls(kind, hashlib.file_digest(file, "sha256").hexdigest())
            hasher = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
            while chunk := file.read(CHUNK):
                hasher.update(chunk)
            return cls(kind, hasher.hexdigest())

    @property
    def is_whole(self) -> bool:
        """Whether no other file can be made that has it."""
        return self.kind != SHA256_PREFIX

    @property
    def whole_kind(self) -> str:
        """The kind of the whole fingerprints that this one can be compared with."""
        return "sha256" if self.kind == SHA256_PREFIX else self.kind

    def agrees_with(self, whole: "Digest") -> bool:
        """Whether this is of the file with the fingerprint ``whole``, which is of ``whole_kind``."""
        if self.kind == SHA256_PREFIX:
            return whole.hex.startswith(self.hex)
        return self == whole
