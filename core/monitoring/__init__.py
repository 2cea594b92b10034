"""Watching: how the installation answers, what it is told, and when somebody must look."""
