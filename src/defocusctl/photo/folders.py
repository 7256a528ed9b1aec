"""What lies in photo folders and is nobody's photo: hidden files, and what systems keep for themselves."""

import re

_SYSTEM = re.compile(
    r"""
    @eadir | @tmp | @syno\w* | @sharebin | \#recycle | \#snapshot     # Synology
    | @recycle | @recently-snapshot | @__thumb                       # QNAP
    | \$.* | recycler | recycled | system\ volume\ information       # Windows: $RECYCLE.BIN, $WINDOWS.~BT
    | found\.\d{3} | dfsrprivate
    | __macosx | network\ trash\ folder | temporary\ items | thevolumesettingsfolder  # macOS
    | lost\+found | ~snapshot                                        # Linux, NetApp
    """,
    re.VERBOSE,
)


def is_passed_over(name: str) -> bool:
    """Whether a file or folder of this name is hidden or a system's: thumbnails, deleted files, snapshots."""
    return name.startswith(".") or _SYSTEM.fullmatch(name.casefold()) is not None
