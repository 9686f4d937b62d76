"""The report of a run: one HTML file, and the results table for terminal and markdown."""

from judgekit.report.html import build_report
from judgekit.report.results_table import ResultRow, print_results, results_markdown, results_table

__all__ = ["ResultRow", "build_report", "print_results", "results_markdown", "results_table"]
