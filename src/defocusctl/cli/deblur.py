"""``defocusctl deblur``: photos in, deblurred photos out."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from defocusctl.cli.console import download_bar, say, tile_bar
from defocusctl.cli.deblur_options import DeblurCall
from defocusctl.cli.jobs import Job, check_conflicts, plan_job
from defocusctl.cli.reporter import Reporter
from defocusctl.geometry import parse_region

if TYPE_CHECKING:
    from defocusctl.deblurrer import Deblurrer
    from defocusctl.deblurrer.outputs import Deblurred
    from defocusctl.photo import Mask, Photo
    from defocusctl.restoring.settings import RestoreSettings


def deblur(call: DeblurCall) -> None:
    """Deblur photos. Inputs are never overwritten; one that fails does not stop the others."""
    reporter = Reporter(call.inputs, as_json=call.as_json, quiet=call.quiet)
    with reporter.whole_call():
        call.check()
        settings = call.restoring()
        mask = None if call.mask is None else _read_mask(call.mask)
        masks = [] if call.mask is None else [str(call.mask)]
        region = None if call.region is None else parse_region(call.region)
        jobs: list[Job] = []
        for text in call.inputs:
            with reporter.one_input(text):
                jobs.append(plan_job(text, call, region))
        check_conflicts([*call.inputs, *masks], jobs, as_json=call.as_json)
        if jobs:
            deblurrer = load(call.model, call.weights, settings, offline=call.offline, quiet=call.quiet)
        for job in jobs:
            with reporter.one_input(job.text):
                reporter.done(job.text, _deblur_one(deblurrer, job, call, mask))


def load(
    model: str, weights: str | None, settings: "RestoreSettings", *, offline: bool, quiet: bool
) -> "Deblurrer":
    """Load the network, with a bar while its weights download and a line if they are not the default ones."""
    from defocusctl.deblurrer import Deblurrer

    with download_bar(f"weights for {model}", quiet=quiet) as on_download:
        deblurrer = Deblurrer.load(model, weights, settings, offline=offline, on_download=on_download)
    if deblurrer.weights.note:
        say(deblurrer.weights.note)
    return deblurrer


def _read_mask(path: Path) -> "Mask":
    from defocusctl.photo import read_mask

    return read_mask(path)


def _deblur_one(deblurrer: "Deblurrer", job: Job, call: DeblurCall, mask: "Mask | None") -> "Deblurred":
    from defocusctl.deblurrer.outputs import deblur_photo

    megapixels = 0.0

    def note_size(photo: "Photo") -> None:
        nonlocal megapixels
        megapixels = photo.size.megapixels if job.region is None else job.region.size.megapixels

    with tile_bar(job.text, lambda: megapixels, quiet=call.quiet) as on_tile:
        result = deblur_photo(
            deblurrer,
            job.source,
            job.target or sys.stdout.buffer,
            region=job.region,
            mask=mask,
            outputs=job.outputs,
            max_megapixels=call.max_megapixels,
            white=call.white,
            on_photo=note_size,
            on_tile=on_tile,
        )
    sys.stdout.flush()
    return result
