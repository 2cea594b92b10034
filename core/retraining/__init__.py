"""Retraining: when it is due, its eight steps, and what came of it."""
