"""One HTML page about an evaluation, complete in a single file that asks nobody for anything."""

from defocusctl.evaluate.report.gains import choose_pictures
from defocusctl.evaluate.report.page import write_report
from defocusctl.evaluate.report.pictures import ReportPicture

__all__ = ["ReportPicture", "choose_pictures", "write_report"]
