"""Makes a folder's gallery from its manifest, photo by photo; only names and hashes stay in memory."""

import json
import os
import re
import shutil
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any
from urllib.parse import quote

from defocusctl import __version__
from defocusctl.batch.manifest import FILE, REPORT, Entry, Status
from defocusctl.errors import OutputError
from defocusctl.reports.gallery_pictures import key_of, make_pictures
from defocusctl.reports.page import write_page
from defocusctl.system.atomic import refuse_foreign, write_error
from defocusctl.system.json_lines import read_json_lines
from defocusctl.system.limits import processors

PICTURES, PAGE = "pictures", "index.html"
TITLE, HEAD_BYTES = b"defocusctl batch</title>", 4096
KEY = re.compile("[0-9a-f]{2}/[0-9a-f]{30}")
MAX_WORKERS = 4  # photos processed at the same time; each is in memory twice
MANY_FAILURES = 8  # the page's filter finds more

Row = dict[str, Any]


def check_page(out: Path) -> None:
    """Refuse, before anything else is done, to replace a page that is not a gallery.

    Raises:
        OutputError: if there is such a page in ``out``, or it cannot be read.
    """
    page = out / REPORT / PAGE
    if page.exists():
        try:
            with page.open("rb") as file:
                head = file.read(HEAD_BYTES)
        except OSError as error:
            raise write_error(page, error) from error
        if TITLE not in head:
            refuse_foreign([page])


def write_gallery(out: Path, on_photo: Callable[[int, int], None] | None = None) -> Path:
    """Create or update the gallery of the batch in ``out``; return its page.

    Existing pictures are kept; those that no photo uses any more are removed. ``on_photo`` is
    called with the number of photos done and their total.

    Raises:
        OutputError: if there is no manifest, it is damaged, or something cannot be written or is foreign.
    """
    check_page(out)
    last = _last_lines(out)
    if not last:
        cause = f"there is no manifest in '{out}' to report on"
        raise OutputError(cause, f"give the folder of a batch, with its {FILE}")
    folder = out / REPORT
    totals = _Totals()
    keys: set[str] = set()
    with TemporaryFile("w+", encoding="utf-8") as rows:
        for number, (entry, row) in enumerate(_rows(out, last), start=1):
            if row["key"] is not None:
                keys.add(row["key"])
            row["settings"] = totals.add(entry)
            rows.write(json.dumps(row) + "\n")
            if on_photo is not None:
                on_photo(number, len(last))
        rows.seek(0)
        values = {
            "title": out.resolve().name or "batch",
            "totals": totals,
            "photo_count": len(last),
            "software": f"defocusctl {__version__}",
            "made": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            "settings": [json.loads(text) for text in totals.settings],
            "photos": (json.loads(line) for line in rows),
        }
        write_page(folder / PAGE, "gallery", values, images="'self' file: data:")
    _remove_unused(folder / PICTURES, keys)
    return folder / PAGE


class _Totals:
    """The totals at the top of the page."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.megapixels = 0.0
        self.seconds = 0.0
        self.failures: list[tuple[str, str]] = []
        self.settings: dict[str, int] = {}

    def add(self, entry: Entry) -> int:
        """Count an entry; return the index of its settings."""
        self.counts[entry.status.value] += 1
        self.counts["warnings"] += bool(entry.warnings)
        self.megapixels += entry.report.get("megapixels", 0.0)
        self.seconds += entry.report.get("seconds", 0.0)
        if entry.status is Status.FAILED and len(self.failures) < MANY_FAILURES:
            self.failures.append((entry.input, entry.error or ""))
        weights = " · ".join(entry.weights.values())
        shown = json.dumps({**entry.settings, "weights": weights, "software": entry.software})
        return self.settings.setdefault(shown, len(self.settings))


def _last_lines(out: Path) -> dict[str, int]:
    """The number of each input's last line in the manifest; only that line counts."""
    return {str(values.get("input")): number for number, values in enumerate(read_json_lines(out / FILE))}


def _entries(out: Path, last: Mapping[str, int]) -> Iterator[Entry]:
    for number, values in enumerate(read_json_lines(out / FILE)):
        if last[str(values.get("input"))] == number:
            yield Entry.from_json(values)


def _rows(out: Path, last: Mapping[str, int]) -> Iterator[tuple[Entry, Row]]:
    """The entries with their rows for the page, in order; a few are prepared ahead."""
    workers = min(MAX_WORKERS, processors())
    waiting: deque[tuple[Entry, Future[Row]]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for entry in _entries(out, last):
                waiting.append((entry, pool.submit(_row, entry, out)))
                if len(waiting) > 2 * workers:
                    first, row = waiting.popleft()
                    yield first, row.result()
            yield from ((first, row.result()) for first, row in waiting)
        finally:
            pool.shutdown(cancel_futures=True)


def _row(entry: Entry, out: Path) -> Row:
    """A photo's data for the page's script; ``settings`` is added later."""
    row: Row = {
        "name": entry.input,
        "status": entry.status.value,
        "key": None,
        "source": entry.source,
        "files": [[place, _link(place)] for place in entry.files],
        "report": dict(entry.report),
        "seconds": dict(entry.seconds),
        "warnings": list(entry.warnings),
        "error": entry.error,
        "finished": entry.finished,
    }
    if entry.status is Status.DONE:
        key = key_of(entry)
        facts = make_pictures(entry, out, out / REPORT / PICTURES / key)
        row |= {"key": key, **asdict(facts)}
    return row


def _link(place: str) -> str:
    """The link to a file of the batch from the page, which is one folder deeper."""
    path = Path(place)
    return path.as_uri() if path.is_absolute() else quote(os.fsencode(f"../{place}"))


def _remove_unused(pictures: Path, keys: Iterable[str]) -> None:
    used = set(keys)
    for folder in pictures.glob("*/*"):
        key = f"{folder.parent.name}/{folder.name}"
        if KEY.fullmatch(key) and key not in used:
            shutil.rmtree(folder, ignore_errors=True)
