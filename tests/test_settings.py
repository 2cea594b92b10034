"""The environment: every variable is described where people look for it, and no secret shows itself."""

import re
from pathlib import Path

from core.settings import Settings

ROOT = Path(__file__).resolve().parents[1]


def test_every_variable_stands_in_the_example_with_its_default_and_nothing_else_does():
    text = (ROOT / ".env.example").read_text()
    shown = dict(re.findall(r"^# (?:GREENLIGHT_)?([A-Z_]+)=(.*)$", text, re.MULTILINE))
    assert set(shown) == {name.upper() for name in Settings.model_fields}
    for name, field in Settings.model_fields.items():
        default = field.default
        plain = default.get_secret_value() if hasattr(default, "get_secret_value") else default
        if plain is not None:  # home and models are said in words
            assert shown[name.upper()] == str(int(plain) if isinstance(plain, bool) else plain), name


def test_a_secret_of_the_environment_does_not_show_itself(monkeypatch):
    for name in ("SMTP_PASSWORD", "SLACK_URL", "WEBHOOK_URL"):
        monkeypatch.setenv(f"GREENLIGHT_{name}", f"https://planted-{name}")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://planted:planted@mlflow.example")
    known = Settings.from_environment()
    assert known.smtp_password.get_secret_value() == "https://planted-SMTP_PASSWORD"
    assert "planted" not in repr(known) + str(known) + str(known.model_dump()) + known.model_dump_json()
