"""The environment, read in this one file."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from core.addresses import Network, read_proxies
from core.home import Home, open_home

PER_ADDRESS = 60_000


class Settings(BaseSettings):
    """GREENLIGHT_* variables and .env; see .env.example for what each does."""

    model_config = SettingsConfigDict(env_prefix="GREENLIGHT_", env_file=".env", extra="ignore")

    home: Path | None = None
    models: Path | None = None
    demo: bool = False
    hosts: str = ""  # extra host names that the console may be reached by, separated by commas
    secure_cookies: bool = False
    proxies: str = ""  # addresses or networks of reverse proxies, separated by commas: what they say of the client is believed
    address_per_minute: int = Field(default=PER_ADDRESS, ge=1)  # requests of programs from one address, whatever their keys allow
    workers: int = 0  # worker processes of one training job; 0 = one per core
    spare_worker: bool = True  # the console keeps one worker process that has its libraries loaded before a job asks for it
    dask: str = ""  # tcp://host:8786 or tls://host:8786: the scheduler of a cluster that trains and scores large files
    log_level: str = "info"  # for all loggers, or "info,monitoring=debug"
    url: str = ""  # where people open the console, for the links in messages
    smtp_host: str = ""
    smtp_port: int = 587
    smtp_security: str = "starttls"  # or tls; never in the clear
    smtp_user: str = ""
    smtp_password: SecretStr = SecretStr("")
    smtp_from: str = ""
    slack_url: SecretStr = SecretStr("")  # whoever knows it can write to the channel
    webhook_url: SecretStr = SecretStr("")
    ca_file: str = ""  # further certificate authorities for outgoing connections
    allow_private_targets: str = ""  # host:port,... that messages may go to though they are not on the public internet

    dvc_remote: SecretStr = SecretStr("")  # folder or address that dataset versions are pushed to; the address may hold a password
    oidc_claim: str = "groups"  # the claim of the identity provider that decides about roles; dots lead into it
    oidc_roles: str = ""  # value=role, separated by commas: the first that somebody has is their role

    databases: SecretStr = SecretStr("")  # name=url, separated by spaces; the addresses hold passwords

    # named as MLflow itself names it, so that one setting serves both; it may hold a name and a password
    mlflow_tracking_uri: SecretStr = Field(default=SecretStr(""), validation_alias="MLFLOW_TRACKING_URI")

    @classmethod
    def from_environment(cls) -> Settings:
        return cls()

    @property
    def allowed_hosts(self) -> tuple[str, ...]:
        return tuple(h.strip().lower() for h in self.hosts.split(",") if h.strip())

    @property
    def named_proxies(self) -> tuple[Network, ...]:
        return read_proxies(self.proxies)

    @property
    def places(self) -> tuple[Path, Path]:
        """Data folder and models folder: var/ and models/ unless the environment says otherwise."""
        return self.home or Path("var"), self.models or (self.home / "models" if self.home else Path("models"))

    def open_home(self) -> Home:
        """The installation that the environment names."""
        return open_home(*self.places)
