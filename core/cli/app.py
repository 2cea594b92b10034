"""The command line: a table of contents, and the boundary where every error becomes one sentence."""

from __future__ import annotations

import logging
import os
import sys
import traceback

import typer

from core.cli import (
    accounts,
    agent,
    audit,
    backup,
    cluster,
    console,
    database,
    datasets,
    drift,
    keys,
    logs,
    mirror,
    monitoring,
    notify,
    projects,
    purge,
    registry,
    release,
    report,
    retrain,
    schedule,
    scoring,
    tools,
    training,
    watching,
)
from core.errors import GreenlightError

app = typer.Typer(
    name="greenlight",
    help="Greenlight: no model goes live without a green light. Acts take --as ACCOUNT; --json prints one JSON document.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for part in (projects, training, registry, release, scoring, drift, retrain, monitoring, watching, logs, backup, cluster, database, tools):
    app.add_typer(part.commands)
database.add_to(projects.project_commands)
datasets.add_to(projects.project_commands)
app.add_typer(projects.project_commands, name="project")
app.add_typer(audit.commands, name="audit")
app.add_typer(datasets.commands, name="dataset")
app.add_typer(accounts.commands, name="user")
app.add_typer(keys.commands, name="key")
app.add_typer(schedule.commands, name="schedule")
app.add_typer(purge.commands, name="purge")
app.add_typer(report.commands, name="report")
app.add_typer(notify.commands, name="notify")
app.add_typer(mirror.commands, name="mirror")
app.add_typer(watching.alert_commands, name="alert")
app.add_typer(agent.commands, name="agent")
app.add_typer(watching.limits_commands, name="limits")


def main(arguments: list[str]) -> int:
    """Run one command; returns the exit code: 0 done, 1 refused (one line on stderr says why), 2 wrong usage."""
    for number, argument in enumerate(arguments, 1):
        if not argument.isprintable() and argument.encode("utf-8", "ignore").decode() != argument:
            # such a name could not be kept, and so not be audited either
            console.complain(f"Argument {number} holds bytes that are no UTF-8 text; rename the file or write the name in UTF-8.")
            return 2
    try:
        app(arguments, prog_name="python -m core")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except GreenlightError as error:
        console.complain(str(error))
        return 1
    except BrokenPipeError:
        # whoever read our output has read enough; the interpreter must not complain about it at exit either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        console.complain(_describe_os_error(error))
        _keep_trace()
        return 1
    except Exception as error:  # the boundary of a command
        where = _keep_trace()
        console.complain(f"An unexpected error ended the command ({type(error).__name__}){where}.")
        return 1
    return 0


def _describe_os_error(error: OSError) -> str:
    name = f"{error.filename}: " if error.filename else ""
    return f"{name}{error.strerror or error}; check the path, the rights on it and the space left."


def _keep_trace() -> str:
    """Keep the trace of the present exception in the log file; returns the words that say where."""
    if os.environ.get("GREENLIGHT_TRACE") == "1":
        traceback.print_exc(file=sys.stderr)
    home = console.opened_home()
    if home is None:
        return ""
    logging.getLogger("greenlight.cli").exception("a command failed")
    return f"; its trace is in the app log in {home.logs}"
