"""The environment, read in this one file."""

from __future__ import annotations

from pathlib import Path

from pydantic_settings import BaseSettings, SettingsConfigDict

from core.home import Home, open_home


class Settings(BaseSettings):
    """GREENLIGHT_* variables and .env; see .env.example for what each does."""

    model_config = SettingsConfigDict(env_prefix="GREENLIGHT_", env_file=".env", extra="ignore")

    home: Path | None = None
    models: Path | None = None
    demo: bool = False
    hosts: str = ""  # extra host names that the console may be reached by, separated by commas
    secure_cookies: bool = False
    workers: int = 0  # worker processes of one training job; 0 = one per core
    log_level: str = "info"  # for all loggers, or "info,monitoring=debug"

    @classmethod
    def from_environment(cls) -> Settings:
        return cls()

    @property
    def allowed_hosts(self) -> tuple[str, ...]:
        return tuple(h.strip().lower() for h in self.hosts.split(",") if h.strip())

    def open_home(self) -> Home:
        """The installation that the environment names: var/ and models/ unless it says otherwise."""
        models = self.models or (self.home / "models" if self.home else Path("models"))
        return open_home(self.home or Path("var"), models)
