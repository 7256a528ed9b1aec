"""One HTML page about an evaluation, complete in a single file that asks nobody for anything."""

from defocusctl.reports.evaluation.gains import choose_pictures
from defocusctl.reports.evaluation.page import write_report
from defocusctl.reports.evaluation.pictures import ReportPicture, report_pictures

__all__ = ["ReportPicture", "choose_pictures", "report_pictures", "write_report"]
