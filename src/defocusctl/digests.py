"""Fingerprints of files: SHA-256, and the id that git gives a file (SHA-1 with a short header)."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Self

HEX_LENGTH = {"sha256": 64, "git-blob": 40}
CHUNK = 1 << 20


@dataclass(frozen=True)
class Digest:
    """``kind`` is a key of ``HEX_LENGTH``, ``hex`` the lower-case hexadecimal fingerprint."""

    kind: str
    hex: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.hex}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``sha256:HEX`` or ``git-blob:HEX``.

        Raises:
            ValueError: if the text has another form.
        """
        kind, _, digits = text.partition(":")
        if len(digits) != HEX_LENGTH.get(kind) or not re.fullmatch(r"[0-9a-f]+", digits):
            raise ValueError(f"'{text}' is not 'sha256:' and 64 or 'git-blob:' and 40 lower-case hex digits")
        return cls(kind, digits)

    @classmethod
    def of_file(cls, path: Path, kind: str) -> Self:
        """The fingerprint of the file at ``path``, read in chunks.

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
