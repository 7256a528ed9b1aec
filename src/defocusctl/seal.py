"""A seal inside a safetensors file: the SHA-256 of everything else in it, which shows damage without torch.

The format: a length (8 bytes), the header (JSON: tensors by name, texts in ``__metadata__``), data.
"""

import hashlib
import json
from typing import Any

SEAL = "content_sha256"


def sealed(content: bytes) -> bytes:
    """The safetensors file ``content`` with its seal among its metadata; equal weights give equal bytes."""
    header, data = _parted(content)
    metadata = {**header["__metadata__"], SEAL: _content_hash(header, data)}
    header["__metadata__"] = dict(sorted(metadata.items()))
    encoded = json.dumps(header, separators=(",", ":")).encode()
    encoded += b" " * (-len(encoded) % 8)
    return len(encoded).to_bytes(8, "little") + encoded + data


def opened(content: bytes) -> dict[str, str]:
    """The metadata of the safetensors file ``content``, the seal checked where there is one and left out.

    Raises:
        ValueError: if this is not a safetensors file, or not what was sealed.
    """
    header, data = _parted(content)
    metadata: dict[str, str] = header.get("__metadata__", {})
    if not isinstance(metadata, dict):
        raise ValueError("its metadata are not a table")
    seal = metadata.get(SEAL)
    if seal is not None and seal != _content_hash(header, data):
        raise ValueError("its content is not what was saved")
    return {key: value for key, value in metadata.items() if key != SEAL}


def _parted(content: bytes) -> tuple[dict[str, Any], memoryview]:
    length = int.from_bytes(content[:8], "little")
    if not 2 <= length <= len(content) - 8:
        raise ValueError("it is truncated or no safetensors file")
    try:
        header = json.loads(content[8 : 8 + length])
    except (ValueError, RecursionError) as error:
        raise ValueError("its header cannot be read") from error
    if not isinstance(header, dict):
        raise ValueError("its header is not a table")
    return header, memoryview(content)[8 + length :]


def _content_hash(header: dict[str, Any], data: memoryview) -> str:
    metadata = {key: value for key, value in header["__metadata__"].items() if key != SEAL}
    hasher = hashlib.sha256(json.dumps({**header, "__metadata__": metadata}, sort_keys=True).encode())
    hasher.update(data)
    return hasher.hexdigest()
