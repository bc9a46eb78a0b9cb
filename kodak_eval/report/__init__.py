"""The HTML report: one file that opens from disk without a network."""

from kodak_eval.report.build import build_report

__all__ = ["build_report"]
