"""The mirror's own process: ``python -m core.mirror.worker ROOT MODELS [--now]``. One at a time, at the lowest priority.

The clock starts it when something waits, and it ends when nothing does. Killed at any moment, the next one goes on where it stood.
The address comes by the environment, so that no list of processes shows it.
"""

from __future__ import annotations

import logging
import os
import sys
import traceback
from datetime import datetime
from pathlib import Path

from core import logs
from core.errors import GreenlightError
from core.home import Home
from core.mirror import notes
from core.mirror.address import Address, read_address
from core.mirror.process import only_one
from core.mirror.rounds import Round, note_round, run_round
from core.times import utc_now

log = logging.getLogger("greenlight.mlops")

NICE = 19  # what trains or answers goes first


def work(home: Home, address: Address, *, at_once: bool, now: datetime | None = None) -> Round:
    """One round in this process, its end noted."""
    from core.adapters.mlflow_mirror import Tracking

    done = Round()
    try:
        done = run_round(home, Tracking(address), at_once=at_once)
    except GreenlightError as error:
        done.away = str(error)
    except Exception as error:  # the boundary of the process: whatever it is, it is said and tried again
        log.error("a round of the mirror ended: %s", address.redact(traceback.format_exc()))
        done.away = f"An unexpected error ended the mirror's round ({type(error).__name__}); its trace is in the mlops log."
    note_round(home, address.shown, done, now=now or utc_now())
    if done.error:
        log.warning("the mirror to %s gave %s things, then: %s", address.shown, done.given, done.error)
    else:
        log.info("the mirror gave %s things to %s", done.given, address.shown)
    return done


def main(arguments: list[str]) -> int:
    from core.settings import Settings

    notes.begin_writer()
    os.nice(NICE)
    home = Home(Path(arguments[0]), Path(arguments[1]))
    settings = Settings.from_environment()
    logs.keep_logs(home, settings.log_level)
    with only_one(home) as free:
        if not free:
            return 3
        done = work(home, read_address(settings.mlflow_tracking_uri.get_secret_value()), at_once="--now" in arguments[2:])
    return 1 if done.error else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
