"""``defocusctl deblur``: photos in, deblurred photos out; each input is reported once."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from defocusctl.cli.console import as_problem, put_json, say, say_error, say_warning
from defocusctl.cli.deblur_jobs import STREAM, DeblurCall, Job, check_conflicts, expanded, plan_job
from defocusctl.errors import DefocusctlError, SomeFailedError

if TYPE_CHECKING:
    from defocusctl.deblurrer import Deblurrer
    from defocusctl.deblurrer.outputs import Deblurred
    from defocusctl.photo import Mask, Photo
    from defocusctl.restoring.settings import RestoreSettings


def deblur(call: DeblurCall) -> None:
    """Deblur photos. Inputs are only replaced with --in-place; one that fails does not stop the others."""
    from defocusctl.cli.bars import doing
    from defocusctl.photo.geometry import parse_region

    call = replace(call, inputs=list(expanded(call.inputs)))
    reporter = Reporter(call.inputs, as_json=call.as_json, quiet=call.quiet)
    with reporter.whole_call():
        call.check()
        jobs: list[Job] = []
        with doing("reading standard input" if STREAM in call.inputs else "starting", quiet=call.quiet):
            settings, mask = call.settings(), call.read_mask()
            region = None if call.region is None else parse_region(call.region)
            for text in call.inputs:
                with reporter.one_input(text):
                    jobs.append(plan_job(text, call, region))
            check_conflicts(call, jobs)
        if jobs:
            deblurrer = load(call.model, call.weights, settings, offline=call.offline, quiet=call.quiet)
        for job in jobs:
            with reporter.one_input(job.text):
                reporter.done(job.text, _deblur_one(deblurrer, job, call, mask))


def load(
    model: str, weights: str | None, settings: "RestoreSettings", *, offline: bool, quiet: bool
) -> "Deblurrer":
    """Load the network, with a bar while its weights download and a line if they are not the default ones."""
    from defocusctl.cli.bars import doing, download_bar

    once = "" if settings.backend == "torch" else f", and once exporting it for {settings.backend}"
    with (
        doing(f"loading {model}{once}", quiet=quiet),
        download_bar(f"weights for {model}", quiet=quiet) as on_download,
    ):
        from defocusctl.deblurrer import Deblurrer

        deblurrer = Deblurrer.load(model, weights, settings, offline=offline, on_download=on_download)
    if deblurrer.weights.note:
        say(deblurrer.weights.note)
    return deblurrer


def _deblur_one(deblurrer: "Deblurrer", job: Job, call: DeblurCall, mask: "Mask | None") -> "Deblurred":
    from defocusctl.cli.bars import tile_bar
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


class Reporter:
    """Reports every input once; a single input's error ends the command, one of several is counted."""

    def __init__(self, inputs: Sequence[str], *, as_json: bool, quiet: bool) -> None:
        self._pending = list(inputs)
        self._count = len(inputs)
        self._failures: list[DefocusctlError] = []
        self._as_json = as_json
        self._quiet = quiet

    @contextmanager
    def whole_call(self) -> Iterator[None]:
        """An error in this block applies to all inputs not reported yet; at its end, failures are summarised.

        Raises:
            SomeFailedError: if some of several inputs failed.
        """
        try:
            yield
        except (Exception, KeyboardInterrupt) as error:
            for text in self._pending:
                self._report_failure(text, as_problem(error))
            raise
        if self._failures:
            failed = len(self._failures)
            cause = f"{failed} of {self._count} inputs failed"
            remedy = "the others are done" if failed < self._count else "see above"
            raise SomeFailedError(cause, remedy) from ExceptionGroup("inputs that failed", self._failures)

    @contextmanager
    def one_input(self, text: str) -> Iterator[None]:
        """An error in this block applies to this input only."""
        try:
            yield
        except Exception as error:
            if self._count == 1 or text not in self._pending:  # it is the report that failed
                raise
            problem = as_problem(error)
            self._pending.remove(text)
            self._failures.append(problem)
            self._report_failure(text, problem)
            say_error(f"{text}: {problem}")

    def done(self, text: str, result: "Deblurred") -> None:
        """Report an input that was deblurred."""
        self._pending.remove(text)
        for warning in result.warnings:
            say_warning(f"{result.input}: {warning}")
        if self._as_json:
            put_json(result.as_json())
        elif not self._quiet:
            report = result.report
            used = f"{result.weights.model} with the weights '{result.weights.name}'"
            say(
                f"{result.output}: {report.megapixels:.2f} MP in {report.seconds:.1f} s on {report.device} "
                f"({report.precision}), {used}{'' if report.tiles else ', nothing was deblurred'}"
            )
            if result.backup is not None:
                say(f"{result.backup}: the original")
            for picture in result.pictures:
                say(f"{picture}")

    def _report_failure(self, text: str, problem: DefocusctlError) -> None:
        if self._as_json:
            put_json({"input": text, "error": str(problem), "exit_code": int(problem.exit_code)})
