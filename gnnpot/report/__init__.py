"""The report of a run or an evaluation as one HTML file."""

from gnnpot.report.folder import check_folder, model_facts, write_evaluation
from gnnpot.report.html import Report, write_report

__all__ = ["Report", "check_folder", "model_facts", "write_evaluation", "write_report"]
