"""Who does the work of a batch: threads of this process, or the workers of a cluster."""

from dataclasses import dataclass
from typing import Protocol

import torch

from defocusctl.batch.concurrency import Concurrency, choose_concurrency
from defocusctl.batch.engine import Engine, OnBegin, OnTile
from defocusctl.batch.local import LocalEngine
from defocusctl.batch.work import PhotoWork
from defocusctl.restoring.restorer import Restorer


class Executor(Protocol):
    """Knows how many photos it does at once, and makes the engine that does them."""

    def concurrency(self, restorer: Restorer, photos: int) -> Concurrency:
        """For so many photos."""
        ...

    def engine(self, work: PhotoWork, concurrency: Concurrency, on_begin: OnBegin, on_tile: OnTile) -> Engine:
        """Ready to begin."""
        ...


@dataclass(frozen=True)
class LocalExecutor:
    """This process; ``jobs`` asks for so many photos at once."""

    jobs: int | None

    def concurrency(self, restorer: Restorer, photos: int) -> Concurrency:
        return choose_concurrency(
            restorer.device.type,
            photos=photos,
            threads=torch.get_num_threads(),
            affordable=restorer.most_at_once(),
            jobs=self.jobs,
        )

    def engine(self, work: PhotoWork, concurrency: Concurrency, on_begin: OnBegin, on_tile: OnTile) -> Engine:
        restorer = work.deblurrer.restorer
        restorer.at_once = concurrency.computing
        return LocalEngine(work, concurrency, room_for=restorer.room_for, on_begin=on_begin, on_tile=on_tile)
