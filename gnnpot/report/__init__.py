"""The report of a run as one HTML file."""

from gnnpot.report.html import Report, write_report

__all__ = ["Report", "write_report"]
