"""The workers of a Ray cluster as the executor of a batch."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from defocusctl.batch.concurrency import Concurrency
from defocusctl.batch.engine import Engine, OnBegin, OnTile
from defocusctl.batch.places import Places
from defocusctl.batch.ray_cluster import Crew, choose_crew, connected
from defocusctl.batch.ray_engine import RayEngine
from defocusctl.batch.ray_worker import Assignment
from defocusctl.batch.work import PhotoWork
from defocusctl.restoring.restorer import Restorer


@dataclass(frozen=True)
class RayExecutor:
    """Workers in the cluster that this process is connected to."""

    crew: Crew
    places: Places

    def concurrency(self, restorer: Restorer, photos: int) -> Concurrency:
        del restorer  # its workers have their own
        crew = self.crew
        count = min(crew.workers, photos) or 1
        return Concurrency(count, crew.cpus, count * (crew.calls - 1), count * crew.calls)

    def engine(self, work: PhotoWork, concurrency: Concurrency, on_begin: OnBegin, on_tile: OnTile) -> Engine:
        """The engine; it does not tell of tiles."""
        del on_tile
        weights = work.deblurrer.weights
        assignment = Assignment(
            weights=weights,
            content=weights.path.read_bytes(),
            restoring=replace(work.deblurrer.restorer.settings, device=self.crew.device),
            settings=work.settings,
            out=work.out.absolute(),
            max_megapixels=work.max_megapixels,
            places=Places(self.places.mirrors),
            threads=max(1, self.crew.cpus),
            neighbours=self.crew.neighbours,
        )
        return RayEngine(
            assignment, self.crew._replace(workers=concurrency.computing), work, on_begin=on_begin
        )


@contextmanager
def ray_executor(address: str | None, device: str, jobs: int | None, places: Places) -> Iterator[RayExecutor]:
    """Connect to a cluster, or start one here, until the end of the block.

    Raises:
        UsageError: if Ray is not installed.
        DeviceError: if there is no such cluster, or it has no such device.
    """
    with connected(address):
        import ray

        yield RayExecutor(choose_crew(ray.nodes(), device, jobs), places)
