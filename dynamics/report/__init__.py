"""One self-contained HTML page about one or more runs: settings, forecast, ladder, figures, environment."""

from dynamics.report.page import report

__all__ = ["report"]
