"""Datasets: reading, checking, profiling and keeping them."""
