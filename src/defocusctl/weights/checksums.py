"""Checksums of files: SHA-256, a prefix of it, and git's blob id (SHA-1 with a short header).

This program's safetensors files carry a SHA-256 of their own content, so damage is found without torch. Their
format: a length (8 bytes), the header (JSON: tensors by name, texts in ``__metadata__``), data.
"""

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

SHA256_PREFIX = "sha256-prefix"
FORMS = {"sha256": r"[0-9a-f]{64}", "git-blob": r"[0-9a-f]{40}", SHA256_PREFIX: r"[0-9a-f]{8,63}"}


@dataclass(frozen=True)
class Checksum:
    """``kind`` is a key of ``FORMS``, ``hex`` the checksum in lower-case hexadecimal digits.

    A ``sha256-prefix`` is for files of which only that is published, such as PyTorch's, whose names contain 8
    digits. It detects damage and mix-ups, but not forgery: another file with the same prefix can be made.
    """

    kind: str
    hex: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.hex}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse ``sha256:HEX``, ``git-blob:HEX`` or ``sha256-prefix:HEX``.

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
        """The full checksum (``sha256`` or ``git-blob``) of the file at ``path``, read in chunks.

        Raises:
            OSError: if the file cannot be read.
        """
        hasher = hashlib.sha256()
        if kind == "git-blob":
            hasher = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
        with path.open("rb") as file:
            return cls(kind, hashlib.file_digest(file, lambda: hasher).hexdigest())

    @property
    def is_full(self) -> bool:
        """Whether this identifies a file beyond doubt, unlike a prefix."""
        return self.kind != SHA256_PREFIX

    @property
    def full_kind(self) -> str:
        """The kind of full checksum that this one can be compared with."""
        return "sha256" if self.kind == SHA256_PREFIX else self.kind

    def matches(self, full: "Checksum") -> bool:
        """Whether this matches the full checksum ``full``, which is of ``full_kind``."""
        return full.kind == self.full_kind and full.hex.startswith(self.hex)


CONTENT = "content_sha256"  # in a safetensors file's metadata: SHA-256 of everything else in it


def with_content_checksum(content: bytes) -> bytes:
    """The safetensors file ``content`` with its checksum in its metadata; equal weights give equal bytes."""
    header, data = _split(content)
    metadata = {**header["__metadata__"], CONTENT: _content_hash(header, data)}
    header["__metadata__"] = dict(sorted(metadata.items()))
    encoded = json.dumps(header, separators=(",", ":")).encode()
    encoded += b" " * (-len(encoded) % 8)
    return len(encoded).to_bytes(8, "little") + encoded + data


def checked_metadata(content: bytes) -> dict[str, str]:
    """The metadata of the safetensors file ``content``, verified against the checksum where there is one.

    Raises:
        ValueError: if this is not a safetensors file, or its content is not what was saved.
    """
    header, data = _split(content)
    metadata: dict[str, str] = header.get("__metadata__", {})
    if not isinstance(metadata, dict):
        raise ValueError("its metadata are not a table")
    checksum = metadata.get(CONTENT)
    if checksum is not None and checksum != _content_hash(header, data):
        raise ValueError("its content is not what was saved")
    return {key: value for key, value in metadata.items() if key != CONTENT}


def _split(content: bytes) -> tuple[dict[str, Any], memoryview]:
    length = int.from_bytes(content[:8], "little")
    if not 2 <= length <= len(content) - 8:
        raise ValueError("it is truncated or not a safetensors file")
    try:
        header = json.loads(content[8 : 8 + length])
    except (ValueError, RecursionError) as error:
        raise ValueError("its header cannot be read") from error
    if not isinstance(header, dict):
        raise ValueError("its header is not a table")
    return header, memoryview(content)[8 + length :]


def _content_hash(header: dict[str, Any], data: memoryview) -> str:
    metadata = {key: value for key, value in header["__metadata__"].items() if key != CONTENT}
    hasher = hashlib.sha256(json.dumps({**header, "__metadata__": metadata}, sort_keys=True).encode())
    hasher.update(data)
    return hasher.hexdigest()
