"""The report of a sweep: one HTML file, and its tables as markdown."""

from judgekit.report.sweep.page import build_sweep_report, sweep_markdown

__all__ = ["build_sweep_report", "sweep_markdown"]
