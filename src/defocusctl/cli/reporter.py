"""Reports the result of each input of one call: lines on stderr and, with ``--json``, objects on stdout."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from defocusctl.cli.console import put_json, say, say_error, say_warning
from defocusctl.cli.problems import as_problem
from defocusctl.errors import DefocusctlError, SomeFailedError

if TYPE_CHECKING:
    from defocusctl.deblurrer.outputs import Deblurred


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
        except Exception as error:
            for text in self._pending:
                self._report_failure(text, as_problem(error))
            raise
        if self._failures:
            failed = len(self._failures)
            some = failed < self._count
            raise SomeFailedError(
                f"{failed} of {self._count} inputs failed",
                "the others are done" if some else "nothing was written for them",
            ) from ExceptionGroup("inputs that failed", self._failures)

    @contextmanager
    def one_input(self, text: str) -> Iterator[None]:
        """An error in this block applies to this input only."""
        try:
            yield
        except Exception as error:
            if self._count == 1:
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
            say(
                f"{result.output}: {report.megapixels:.2f} MP in {report.seconds:.1f} s on {report.device} "
                f"({report.precision}), {result.weights.model} with the weights '{result.weights.name}'"
            )
            for picture in result.pictures:
                say(f"{picture}")

    def _report_failure(self, text: str, problem: DefocusctlError) -> None:
        if self._as_json:
            put_json({"input": text, "error": str(problem), "exit_code": int(problem.exit_code)})
