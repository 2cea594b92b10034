"""Behind a real nginx that ends TLS: the shipped configuration, a browser's WebSocket, the cookie, whose address counts."""

import http.client
import os
import re
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path

import pytest
import trustme

from tests.api_client import make_key
from tests.tracking_server import free_port

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = ROOT / "deploy" / "nginx" / "greenlight.conf"
NAME = "greenlight.example.com"
pytestmark = pytest.mark.server


class Proxied:
    """nginx with the shipped server blocks, moved to free ports, before a console of its own."""

    def __init__(self, home, folder, authority):
        self.home, self.folder = home, folder
        self.http, self.https, self.console = (free_port() for _ in range(3))
        authority.issue_cert(NAME).private_key_and_cert_chain_pem.write_to_path(folder / "both.pem")
        self.trust = ssl.create_default_context()
        authority.configure_trust(self.trust)
        blocks = SHIPPED.read_text()
        for old, new in (
            ("listen 80;", f"listen 127.0.0.1:{self.http};"),
            ("listen 443 ssl http2;", f"listen 127.0.0.1:{self.https} ssl http2;"),
            ("/etc/ssl/greenlight/fullchain.pem", str(folder / "both.pem")),
            ("/etc/ssl/greenlight/privkey.pem", str(folder / "both.pem")),
            ("http://127.0.0.1:8501", f"http://127.0.0.1:{self.console}"),
        ):
            assert blocks.count(old) == 1, old
            blocks = blocks.replace(old, new)
        temporary = "\n".join(f"{name}_temp_path {folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        (folder / "nginx.conf").write_text(
            f"daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log;\nevents {{}}\nhttp {{ access_log off;\n{temporary}\n{blocks}\n}}\n"
        )

    def __enter__(self):
        environment = {
            **os.environ, "GREENLIGHT_HOME": str(self.home.root), "GREENLIGHT_MODELS": str(self.home.models), "GREENLIGHT_DEMO": "1",
            "GREENLIGHT_PROXIES": "127.0.0.1,127.0.0.3", "GREENLIGHT_HOSTS": NAME, "GREENLIGHT_SECURE_COOKIES": "1",
        }  # fmt: skip
        console = [
            sys.executable, "-m", "streamlit", "run", "app.py", "--server.address", "127.0.0.1", "--server.port", str(self.console),
            "--server.headless", "true",
        ]  # fmt: skip
        with (self.folder / "console.out").open("w") as out:
            self.running = [
                subprocess.Popen(console, cwd=ROOT, env=environment, stdout=out, stderr=out),
                subprocess.Popen(["nginx", "-c", str(self.folder / "nginx.conf"), "-p", str(self.folder)], stdout=out, stderr=out),
            ]
        end = time.monotonic() + 90
        while True:
            try:
                if self.ask("/healthz").status == 200:
                    return self
            except OSError:
                pass
            assert time.monotonic() < end, (self.folder / "console.out").read_text()
            time.sleep(0.3)

    def __exit__(self, *_):
        for process in reversed(self.running):
            process.terminate()
            process.wait(60)

    def ask(self, path, *, method="GET", body=None, headers=None, source="127.0.0.1"):
        connection = http.client.HTTPSConnection("127.0.0.1", self.https, context=self.trust, timeout=30)
        raw = socket.create_connection(("127.0.0.1", self.https), 30, source_address=(source, 0))
        connection.sock = self.trust.wrap_socket(raw, server_hostname=NAME)
        connection.request(method, path, body=body, headers={"Host": NAME, **(headers or {})})
        answer = connection.getresponse()
        answer.text = answer.read().decode(errors="replace")
        connection.close()
        return answer


@pytest.fixture(scope="module")
def proxied(tmp_path_factory, built_demo):
    from tests.conftest import copy_home

    folder = tmp_path_factory.mktemp("nginx")
    with Proxied(copy_home(built_demo, folder / "home"), folder, trustme.CA()) as it:
        yield it


def test_plain_http_is_sent_to_https(proxied):
    connection = http.client.HTTPConnection("127.0.0.1", proxied.http, timeout=30)
    connection.request("GET", "/data", headers={"Host": NAME})
    answer = connection.getresponse()
    assert (answer.status, answer.headers["Location"]) == (301, f"https://{NAME}/data")


def test_the_sign_in_answers_and_asks_for_https_from_now_on(proxied):
    page = proxied.ask("/sign-in")
    assert page.status == 200
    assert page.headers["Strict-Transport-Security"] == "max-age=31536000"


def test_the_cookie_is_secure_and_the_demos_buttons_are_closed_behind_a_proxy(proxied):
    same = {"Content-Type": "application/x-www-form-urlencoded", "Origin": f"https://{NAME}"}
    opened = proxied.ask("/sign-in", method="POST", body="persona=scientist", headers=same)
    assert "Set-Cookie" not in opened.headers  # not from this machine, whatever it says of itself
    forged = proxied.ask("/sign-in", method="POST", body="persona=scientist", headers={**same, "X-Forwarded-For": "127.0.0.1"})
    assert "Set-Cookie" not in forged.headers
    proxied.password = "correct horse battery staple"
    give_password(proxied)
    body = f"name=scientist&password={proxied.password.replace(' ', '+')}"
    cookie = proxied.ask("/sign-in", method="POST", body=body, headers=same).headers["Set-Cookie"]
    assert re.search(r"; secure\b", cookie, re.IGNORECASE)
    assert "httponly" in cookie.lower()


def give_password(proxied):
    from core import accounts
    from core.acts import Actor

    code = accounts.reset_code(proxied.home, Actor("admin"), "scientist")
    accounts.use_reset_code(proxied.home, "scientist", code, proxied.password, address="192.0.2.1")


def test_a_forged_address_opens_nothing(proxied):
    assert proxied.ask("/metrics").status == 401
    assert proxied.ask("/metrics", headers={"X-Forwarded-For": "127.0.0.1"}).status == 401
    forged = {"X-Forwarded-For": "192.0.2.7"}
    key = make_key(proxied.home, "read", addresses=("192.0.2.0/24",))
    for caller, status in (("127.0.0.2", 403), ("127.0.0.3", 200)):  # the second is itself a named proxy, so what it says counts
        answer = proxied.ask("/api/v1/models", headers={"X-API-Key": key, **forged}, source=caller)
        assert answer.status == status, answer.text
    assert proxied.ask("/metrics", source="127.0.0.2").status == 401  # nor is the proxy's neighbour this machine
    direct = http.client.HTTPConnection("127.0.0.1", proxied.console, timeout=30)
    direct.request("GET", "/metrics", headers={"Host": "localhost"})
    assert direct.getresponse().status == 401


@pytest.mark.browser
def test_the_console_lives_through_the_proxy_in_a_browser(proxied):
    from playwright.sync_api import sync_playwright

    proxied.password = "correct horse battery staple again"
    give_password(proxied)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", f"--host-resolver-rules=MAP {NAME} 127.0.0.1", "--ignore-certificate-errors"]
        )
        page = browser.new_page(ignore_https_errors=True)
        sockets = []
        page.on("websocket", lambda socket: sockets.append(socket.url))
        page.goto(f"https://{NAME}:{proxied.https}/sign-in")
        page.get_by_label("Account name").fill("scientist")
        page.get_by_label("Password").fill(proxied.password)
        page.get_by_role("button", name="Sign in", exact=True).click()
        page.get_by_text("Heart disease").first.wait_for(timeout=60_000)
        assert sockets
        assert all(url.startswith(f"wss://{NAME}:{proxied.https}/") for url in sockets)
        browser.close()
