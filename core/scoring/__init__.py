"""Scoring: from rows to predictions, and the log of them."""
