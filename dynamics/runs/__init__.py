"""Runs on disk: the one place that knows the format of a run folder."""
