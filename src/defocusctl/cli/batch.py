"""What ``defocusctl batch`` does with its options: folders of photos in, the same tree of results out."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from defocusctl.batch.engine import Engine, LocalEngine
from defocusctl.batch.inputs import Findings, Search, path_resolver, paths_in_list
from defocusctl.batch.jobs import check_collisions, plan
from defocusctl.batch.manifest import LOCK, History, file_path
from defocusctl.batch.ray import RayEngine
from defocusctl.batch.ray_workers import choose_workers, cluster_nodes
from defocusctl.batch.resume import Judge
from defocusctl.batch.run import Batch
from defocusctl.batch.storage import opened_stores, without_scheme
from defocusctl.batch.watch import Arrivals
from defocusctl.batch.work import PhotoWork
from defocusctl.cli.bars import doing
from defocusctl.cli.batch_options import BatchCall
from defocusctl.cli.batch_reporter import BatchReporter
from defocusctl.cli.deblur import load
from defocusctl.cli.deblur_jobs import STREAM
from defocusctl.errors import InputError, SomeFailedError, UsageError
from defocusctl.system.atomic import locked_folder
from defocusctl.system.interruption import collector_paused


def run_batch(call: BatchCall) -> None:
    """Find the photos, restore those that are not done, and write the report if there is to be one."""
    if call.report:
        from defocusctl.reports.gallery import check_page, write_gallery

        check_page(Path(without_scheme(call.out)))
    reporter = BatchReporter(as_json=call.as_json, quiet=call.quiet)
    with opened_stores(call.inputs, call.out) as (inputs, out, storage):
        history, resolve = History.read(out), path_resolver()
        own = {resolve(file_path(out, place)) for place in history.reserved}
        search = Search(
            out, call.recursive, tuple(call.include or ()), tuple(call.exclude or ()), call.root, own
        )
        options = call.options(out)
        arrivals = Arrivals(search, inputs) if call.watch else None
        with doing("looking for photos", quiet=call.quiet), collector_paused():
            findings = _find_photos(call, inputs, search)
            photos = findings.photos if arrivals is None else arrivals.complete(findings.photos)
            jobs = plan(photos, options, out, {} if call.verify else history.entries, storage)
            check_collisions(jobs, options.model)
        deblurrer = load(
            options.model, call.weights, options.restoring, offline=call.offline, quiet=call.quiet
        )
        work = PhotoWork(deblurrer, options, out, storage)
        judge = Judge(work.settings, out, call.force, call.verify, storage)
        failed = None
        with _engine(call, reporter) as engine:
            run = Batch(work, engine, jobs, findings.unreadable, history, judge, arrivals)
            if call.dry_run:
                with doing("estimating the cost", quiet=call.quiet):
                    verdicts, cost, concurrency = run.preview(reporter)
                reporter.preview(verdicts, cost, concurrency, findings.unreadable, storage.with_urls)
                return
            if call.watch:
                reporter.watching(inputs)
            try:
                run.run(reporter, max_failures=0 if call.fail_fast else call.max_failures)
            except SomeFailedError as error:
                failed = error
        if call.report:
            with locked_folder(out, LOCK, "batch"), reporter.reporting() as on_photo:
                page = write_gallery(out, on_photo)
            reporter.reported(page)
        if failed is not None:
            raise failed


def _find_photos(call: BatchCall, inputs: list[str], search: Search) -> Findings:
    """The photos in the inputs, and in the list if there is one."""
    findings = search.find(inputs, () if call.listed is None else _listed_paths(call.listed))
    if not (call.watch or findings.photos or findings.unreadable):
        cause = "there is no photo among the inputs"
        raise InputError(cause, "check the folders, and --include and --exclude if given")
    return findings


def _listed_paths(listed: str) -> Iterator[str]:
    try:
        content = sys.stdin.buffer.read() if listed == STREAM else Path(listed).read_bytes()
    except OSError as error:
        raise InputError(f"cannot read the list '{listed}' ({error.strerror})", "check the path") from error
    for line in map(without_scheme, paths_in_list(content)):
        if "://" in line:
            raise UsageError(f"a list names files only, not '{line}'", "give it as IN")
        yield line


@contextmanager
def _engine(call: BatchCall, reporter: BatchReporter) -> Iterator[Engine]:
    """The engine that processes the photos, until the end of the block."""
    if call.engine == "ray":
        with cluster_nodes(call.ray_address) as nodes:
            workers = choose_workers(nodes, call.device, call.jobs_at_once)
            yield RayEngine(workers, on_start=reporter.started)
    else:
        yield LocalEngine(call.jobs_at_once, on_start=reporter.started, on_tile=reporter.tile)
