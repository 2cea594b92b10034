"""Training: candidates, fits, metrics, selection."""
