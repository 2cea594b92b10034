"""The mirror: what Greenlight knows of runs, versions and monitoring, told to a team's MLflow as well.

It is derived from the databases and runs in a process of its own, so that no act and no training ever waits for it.
"""
