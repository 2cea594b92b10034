"""The HTTP API, for programs. Alone: ``uvicorn api:app --workers N``; beside the console: ``streamlit run app.py``."""

from __future__ import annotations

from typing import Any

__all__ = ["app"]


def __getattr__(name: str) -> Any:
    # made when it is asked for: importing a part of this package must not open an installation
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from api.build import make_api
    from core.settings import Settings

    settings = Settings.from_environment()
    globals()["app"] = make_api(settings.open_home(), settings)
    return globals()["app"]
