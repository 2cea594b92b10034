"""One round of the agent, called by the clock: what time decides, new alerts, plans to work off, and what became of the rest."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime

from core.agent import account, agent_requests, incidents
from core.agent.carry_out import carry_out, note_unsaid
from core.agent.control import read_control
from core.agent.diagnosis import EXTERNAL
from core.agent.execute import work_off
from core.agent.follow_up import follow
from core.agent.incidents import Incident
from core.agent.opening import take_alerts
from core.errors import GreenlightError, Refused
from core.home import Home
from core.projects.projects import list_projects
from storage import agent as store
from storage.connection import reading

log = logging.getLogger("greenlight.mlops")


def turn(home: Home, *, now: datetime) -> list[Incident]:
    """One round; returns the incidents that are not over or have ended in it, newest first.

    Paused, only requests run out of time. An incident that fails by itself does not keep the others from their turn.
    """
    agent_requests.note_expired(home, now=now)
    if read_control(home).paused:
        return []
    while take_alerts(home, now=now):
        pass
    here = {p.name for p in list_projects(home)}
    known = [i for i in incidents.list_unclosed(home) if i.project in here]
    if not known:
        return []
    account.ensure(home, now)
    note_unsaid(home, now=now)
    for request in agent_requests.list_requests(home, states=("approved",), now=now):
        carry_out(home, request.id, now=now)
    for incident in known:
        if read_control(home).paused:
            break
        for do in (follow, work_off):
            try:
                if incidents.get_incident(home, incident.id).closed_at is None:
                    do(home, incident.id, now=now)
            except Refused:
                raise  # the account is closed: nothing of the agent may go on
            except Exception:  # the boundary of one incident; its plan is worked off even where it cannot be followed
                log.exception("the agent's turn on incident %s failed", incident.id)
    return [incidents.get_incident(home, i.id) for i in known]


def hear(home: Home, projects: Iterable[str], *, now: datetime) -> list[int]:
    """Diagnose and decide at once what another system has just sent about these projects, and leave the doing to the next round.

    What joins an incident that is open already waits for that round too, which takes all of it together: a storm of alerts costs
    the listener no more than writing them down. What fails here fails without the sender, whose alerts are written already; the next
    round looks at them. Returns the incidents that were opened.
    """
    try:
        if read_control(home).paused or all(store.find_open(reading(home.db), p, EXTERNAL) for p in set(projects)):
            return []
        return take_alerts(home, now=now)
    except GreenlightError as error:
        log.warning("what another system sent waits for the agent's next round: %s", error)
    except Exception:  # the boundary of the listener
        log.exception("what another system sent waits for the agent's next round")
    return []
