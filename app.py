"""The ASGI app: console, sign-in, HTTP API, jobs and clock in one process. Run it with ``streamlit run app.py``."""

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import streamlit as st
from starlette.middleware import Middleware

from api.build import make_api
from core import accounts, logs
from core.clock import Clock
from core.jobs.supervisor import Supervisor
from core.scoring import journal
from core.settings import Settings
from pages import door, forms, single_sign_on, warmup
from pages.parts import report_error

settings = Settings.from_environment()
home = settings.open_home()
single = single_sign_on.SingleSignOn(settings.oidc_claim, settings.oidc_roles)


@asynccontextmanager
async def lifespan(_app: st.App) -> AsyncIterator[dict[str, Any]]:
    logs.keep_logs(home, settings.log_level)
    if accounts.needs_first_start(home):
        code = accounts.first_start_code(home)
        print(f"\n  First start: open the console and make the first account with the code  {code}\n", flush=True)
    supervisor, clock = Supervisor(home, spare=settings.spare_worker), Clock(home)
    supervisor.start()
    clock.start()
    closing = threading.Event()
    threading.Thread(target=warmup.warm_up, args=[closing], kwargs={"then": supervisor.keep_spare}, name="warm-up", daemon=True).start()
    try:
        yield {"home": home}
    finally:
        closing.set()
        clock.stop()
        supervisor.stop()
        journal.close_journals()


app = st.App(
    "pages/frame.py",
    routes=forms.routes(home, demo=settings.demo, secure_cookies=settings.secure_cookies, single=single),
    lifespan=lifespan,
    middleware=[
        Middleware(
            door.Door, home=home, programs=make_api(home, settings), hosts=frozenset(settings.allowed_hosts),
            proxies=settings.named_proxies, single=single, secure_cookies=settings.secure_cookies,
        ),
    ],
    on_script_error=report_error,
)
