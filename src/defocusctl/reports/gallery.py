"""From a manifest to the gallery of its folder, photo by photo: nothing is held but names and hashes."""

import json
import os
import re
import shutil
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any
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
MOST_AT_ONCE = 4  # photos whose pictures are made at the same time; each is whole in memory, twice
MANY_FAILURES = 8  # more are found by the page's filter

Row = dict[str, Any]


def check_page(out: Path) -> None:
    """Refuse to put a gallery in the place of a page that is not one, before anything else is done.

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
    """Make or renew the gallery of the batch in ``out``; return its page.

    Pictures that are there already are kept, those that no photo has any more are removed. ``on_photo`` is
    called with the number of photos done and their total.

    Raises:
        OutputError: if there is no manifest, it is damaged, or something cannot be written or is foreign.
    """
    check_page(out)
    last = _last_lines(out)
    if not last:
        raise OutputError(
            f"there is no manifest in '{out}' to report on", f"give the folder of a batch, with its {FILE}"
        )
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
        page = folder / PAGE
        write_page(page, "gallery", _values(out, totals, rows), images="'self' file: data:")
    _remove_others(folder / PICTURES, keys)
    return page


class _Totals:
    """What the head of the page says of all photos."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.megapixels = 0.0
        self.seconds = 0.0
        self.failures: list[tuple[str, str]] = []
        self.settings: dict[str, int] = {}

    def add(self, entry: Entry) -> int:
        """Count an entry; return the place of its settings among those of all."""
        self.counts[entry.status.value] += 1
        self.counts["warnings"] += bool(entry.warnings)
        self.megapixels += entry.report.get("megapixels", 0.0)
        self.seconds += entry.report.get("seconds", 0.0)
        if entry.status is Status.FAILED and len(self.failures) < MANY_FAILURES:
            self.failures.append((entry.input, entry.error or ""))
        weights = " · ".join(entry.weights.values())
        shown = json.dumps({**entry.settings, "weights": weights, "software": entry.software})
        return self.settings.setdefault(shown, len(self.settings))


def _values(out: Path, totals: _Totals, rows: IO[str]) -> dict[str, Any]:
    def photos() -> Iterator[Row]:
        rows.seek(0)
        return (json.loads(line) for line in rows)

    return {
        "title": out.resolve().name or "batch",
        "counts": totals.counts,
        "photo_count": sum(totals.counts[status] for status in Status),
        "megapixels": totals.megapixels,
        "seconds": totals.seconds,
        "failures": totals.failures,
        "software": f"defocusctl {__version__}",
        "made": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "settings": [json.loads(text) for text in totals.settings],
        "photos": photos(),
    }


def _last_lines(out: Path) -> dict[str, int]:
    """The place of the last line of each input in the manifest; only that line counts."""
    return {values.get("input", ""): number for number, values in enumerate(read_json_lines(out / FILE))}


def _entries(out: Path, last: Mapping[str, int]) -> Iterator[Entry]:
    for number, values in enumerate(read_json_lines(out / FILE)):
        if last.get(values.get("input", "")) == number:
            yield Entry.from_json(values)


def _rows(out: Path, last: Mapping[str, int]) -> Iterator[tuple[Entry, Row]]:
    """The entries with what the page has of them, in order; some are worked on ahead."""
    workers = min(MOST_AT_ONCE, processors())
    waiting: deque[tuple[Entry, Future[Row]]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for entry in _entries(out, last):
                waiting.append((entry, pool.submit(_row, entry, out)))
                if len(waiting) > 2 * workers:
                    first, row = waiting.popleft()
                    yield first, row.result()
            while waiting:
                first, row = waiting.popleft()
                yield first, row.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _row(entry: Entry, out: Path) -> Row:
    """What the page's script gets about one photo; ``settings`` is added later."""
    row: Row = {
        "name": entry.input,
        "status": entry.status.value,
        "key": None,
        "source": entry.source,
        "files": [[place, _address(place)] for place in entry.files],
        "report": dict(entry.report),
        "seconds": dict(entry.seconds),
        "warnings": list(entry.warnings),
        "error": entry.error,
        "finished": entry.finished,
    }
    if entry.status is Status.DONE:
        key = key_of(entry)
        facts = make_pictures(entry, out, out / REPORT / PICTURES / key)
        row |= {"key": key, "size": facts.size, "before": facts.before, "detail": facts.detail}
        row |= {"extent": facts.extent, "change": facts.change, "notes": facts.notes}
    return row


def _address(place: str) -> str:
    """Where a file of the batch is for the page, which lies one folder below the batch's."""
    path = Path(place)
    return path.as_uri() if path.is_absolute() else quote(os.fsencode(f"../{place}"))


def _remove_others(pictures: Path, keys: Iterable[str]) -> None:
    wanted = set(keys)
    for folder in pictures.glob("*/*"):
        key = f"{folder.parent.name}/{folder.name}"
        if KEY.fullmatch(key) and key not in wanted:
            shutil.rmtree(folder, ignore_errors=True)
