"""The files of a batch, wherever they are: what can be asked of each, on a disk or in a store."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from defocusctl.batch.mirror import Mirror
from defocusctl.batch.stamps import recorded_stamp
from defocusctl.photo.header import HEAD_BYTES
from defocusctl.photo.targets import right_suffix, suffix_by_content
from defocusctl.weights.checksums import Checksum


class Places(NamedTuple):
    """Where the files of a batch really are: on this machine, but for what ``mirrors`` stand for.

    ``stamps`` are those of the objects in stores when these were listed.
    """

    mirrors: tuple[Mirror, ...] = ()
    stamps: Mapping[Path, str | None] = {}

    def mirror_of(self, path: Path) -> Mirror | None:
        for mirror in self.mirrors:
            if mirror.holds(path):
                return mirror
        return None

    def sha256(self, path: Path) -> str | None:
        """The hash of a file's content; None if it cannot be read."""
        mirror = self.mirror_of(path)
        if mirror is not None:
            return mirror.sha256(path)
        try:
            return Checksum.of_file(path, "sha256").hex
        except OSError:
            return None

    def stamp(self, path: Path) -> str | None:
        """What says without reading a file that it has not changed; None if nothing does."""
        return recorded_stamp(path) if self.mirror_of(path) is None else self.stamps.get(path)

    def right_suffix(self, path: Path) -> str:
        """As ``photo.targets.right_suffix``; of an object, its first bytes are read."""
        mirror = self.mirror_of(path)
        if mirror is None:
            return right_suffix(path)
        head = mirror.head(path, HEAD_BYTES)
        return path.suffix if head is None else suffix_by_content(path.suffix, head)

    def in_words(self, text: str) -> str:
        """``text`` with the addresses that the user knows, instead of what stands for them."""
        for mirror in self.mirrors:
            text = text.replace(str(mirror.local), mirror.url)
        return text


HERE = Places()
