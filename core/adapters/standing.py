"""What of the tools that a team may have is installed here, what is switched on, and what is missing to use it."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from core.adapters.optional import LIBRARIES, Library
from core.home import Home
from core.settings import Settings

READY, OFF, MISSING, WRONG = "ready", "switched off", "not installed", "needs attention"


@dataclass(frozen=True)
class Standing:
    """One tool as it stands; no address in it carries a password.

    Attributes
    ----------
    switch : str
        What switches it on, as the subject of a sentence: mostly an environment variable; "" where being installed is enough.
    state : str
        "ready", "switched off", "not installed", or "needs attention": switched on, and something is missing.
    sentence : str
        What is so, and the next step where there is one.
    install : str
        The line that installs it.
    """

    name: str
    title: str
    purpose: str
    installed: bool
    switch: str
    state: str
    sentence: str
    install: str


def list_standings(home: Home, settings: Settings, *, single_sign_on: tuple[str, str] = ("", "")) -> list[Standing]:
    """Every optional tool; nothing is imported and nobody is called over the network.

    Parameters
    ----------
    single_sign_on : (str, str)
        Sentences on what people sign in with and on what is wrong with it, each "" where there is nothing to say: how it is set
        up is the console's own business.
    """
    told = _tell(home, settings, single_sign_on)
    return [_stand(name, library, *told.get(name, ("", "", ""))) for name, library in LIBRARIES.items()]


def _stand(name: str, library: Library, switch: str, use: str, trouble: str) -> Standing:
    installed = library.is_installed
    if trouble:
        state, sentence = WRONG, trouble
    elif use and not installed:
        state, sentence = WRONG, f"{use} But {library.title} is not installed: {library.install}."
    elif not installed:
        state, sentence = MISSING, f"Install it to have {library.purpose}: {library.install}."
    elif switch and not use:
        state, sentence = OFF, f"Installed; {switch} switches it on."
    else:
        state, sentence = READY, use or "Installed; nothing has to be switched on."
    return Standing(name, library.title, library.purpose, installed, switch, state, sentence, library.install)


def _tell(home: Home, settings: Settings, single_sign_on: tuple[str, str]) -> dict[str, tuple[str, str, str]]:
    """Library -> (what switches it on, what it is used for as a sentence or "", what is wrong as a sentence or "")."""
    from core.adapters import databases
    from core.adapters.dvc_remote import show_remote
    from core.errors import GreenlightError
    from core.mirror import mirror

    named: dict[str, databases.Address] = {}
    wrong = mirrored = mirror_wrong = ""
    try:
        named = databases.read_addresses(settings)
    except GreenlightError as error:
        wrong = str(error)
    try:
        found = mirror.describe(home, settings)
        mirrored = "" if not found.configured else found.sentence if found.installed else "A server is named."
    except GreenlightError as error:
        mirror_wrong = str(error)
    known = f"Databases that a project can be joined to: {', '.join(named)}." if named else ""
    postgres = any(urlsplit(address.url).scheme.startswith("postgres") for address in named.values())
    remote = settings.dvc_remote.get_secret_value()
    return {
        "sqlalchemy": ("GREENLIGHT_DATABASES", known, wrong),
        "psycopg": ("a PostgreSQL address in GREENLIGHT_DATABASES", "A database in PostgreSQL is named." if postgres else "", ""),
        "mlflow": ("MLFLOW_TRACKING_URI", mirrored, mirror_wrong),
        "dvc": ("GREENLIGHT_DVC_REMOTE", f"Dataset versions go to {show_remote(remote)}." if remote else "", ""),
        "distributed": ("GREENLIGHT_DASK", f"Training and large files go to {settings.dask}." if settings.dask else "", ""),
        "authlib": ("the section auth of .streamlit/secrets.toml", *single_sign_on),
    }
