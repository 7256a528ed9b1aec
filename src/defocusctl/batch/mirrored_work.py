"""``PhotoWork`` for photos and results that are in object stores: fetched before, published after."""

import time
from dataclasses import replace
from pathlib import Path

from defocusctl.batch.job import BatchSettings, Entry, Job, Outcome
from defocusctl.batch.manifest import place_in
from defocusctl.batch.places import Places
from defocusctl.batch.work import Content, Opened, PhotoWork
from defocusctl.deblurrer import Deblurrer, RestoredPhoto


class MirroredWork(PhotoWork):
    """The same steps; nothing of a photo stays on this machine once it has ended."""

    def __init__(
        self,
        deblurrer: Deblurrer,
        settings: BatchSettings,
        out: Path,
        max_megapixels: float,
        places: Places,
    ) -> None:
        super().__init__(deblurrer, settings, out, max_megapixels)
        self._places = places

    def fetch(self, job: Job) -> Content:
        mirror = self._places.mirror_of(job.source)
        if mirror is None:
            return super().fetch(job)
        started = time.perf_counter()
        mirror.fetch(job.source)
        try:
            content = super().fetch(job)
            return content._replace(seconds=time.perf_counter() - started, stamp=job.stamp)
        finally:
            job.source.unlink(missing_ok=True)

    def store(self, opened: Opened, restored: RestoredPhoto, seconds: float) -> Entry:
        files = opened.job.files(self.deblurrer.weights.model)
        try:
            entry = super().store(opened, restored, seconds)
            stamps: dict[str, str | None] = {**entry.stamps}
            for path in reversed(files):  # the photo last
                mirror = self._places.mirror_of(path)
                if mirror is not None:
                    mirror.publish(path)
                    stamps[place_in(self.out, path)] = mirror.stamp(path)
        finally:
            for path in files:
                if self._places.mirror_of(path) is not None:
                    path.unlink(missing_ok=True)
        known = {place: stamp for place, stamp in stamps.items() if stamp is not None}
        return self._told(replace(entry, stamps=known))

    def failure(self, job: Job, error: Exception, read: Content | Opened | None) -> Outcome:
        outcome = super().failure(job, error, read)
        return outcome._replace(entry=self._told(outcome.entry))

    def _told(self, entry: Entry) -> Entry:
        """The entry with the addresses that the user knows."""
        in_words = self._places.in_words
        error = None if entry.error is None else in_words(entry.error)
        return replace(entry, source=in_words(entry.source), error=error)
