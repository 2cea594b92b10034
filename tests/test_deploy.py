"""Containers and what runs them: as far as it can be tried without a container engine.

The linters and schemas that exist read the files; the commands of the Dockerfile run in an empty folder, and what they made
runs as its user on a root file system that is really mounted read-only.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import pytest
import yaml

from core.settings import Settings
from tests.tracking_server import free_port

ROOT = Path(__file__).resolve().parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
# beside the settings of our own: what the platform or a joined tool reads
FOREIGN = {
    "PORT", "HOME", "PATH", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED", "MLFLOW_TRACKING_URI", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION",
    "GREENLIGHT_EXTRAS",
}  # fmt: skip


def read_dockerfile() -> list[list[tuple[str, str]]]:
    """Stages of (instruction, rest), continued lines put together."""
    text = re.sub(r"\\\n\s*", " ", (ROOT / "Dockerfile").read_text(encoding="utf-8"))
    stages: list[list[tuple[str, str]]] = []
    for line in text.splitlines():
        if line and not line.startswith("#"):
            word, _, rest = line.partition(" ")
            if word == "FROM":
                stages.append([])
            stages[-1].append((word, rest.strip()))
    return stages


def copied() -> list[tuple[str, str]]:
    """(source, target) of what the last stage takes from the project."""
    pairs = []
    for word, rest in read_dockerfile()[-1]:
        if word == "COPY" and not rest.startswith("--from"):
            *sources, target = rest.split()
            pairs += [(source, target if len(sources) == 1 and target != "./" else source) for source in sources]
    return pairs


def test_the_image_holds_every_package_that_the_app_imports():
    there = {source for source, _ in copied()}
    assert all((ROOT / source).exists() for source in there)
    imported = set()
    for path in [ROOT / "app.py", *(p for name in ("api", "core", "pages", "samples", "storage") for p in (ROOT / name).rglob("*.py"))]:
        imported |= {m.split(".")[0] for m in re.findall(r"^\s*(?:from|import) ([\w.]+)", path.read_text(encoding="utf-8"), re.MULTILINE)}
    own = {p.stem if p.suffix == ".py" else p.name for p in ROOT.iterdir() if p.suffix == ".py" or (p / "__init__.py").is_file()}
    assert imported & own <= {Path(name).stem for name in there}
    assert ".streamlit" in there


def test_what_the_image_copies_reaches_the_engine_and_nothing_else_does():
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*"
    let_through = {line[1:] for line in lines if line.startswith("!")}
    wanted = {source for source, _ in copied()} | {"requirements.txt", "requirements-extra.txt"}
    assert let_through == wanted
    assert ".streamlit/secrets.toml" in lines


def test_the_image_runs_as_nobody_in_particular_and_says_how_it_is():
    last = dict(read_dockerfile()[-1])
    assert last["USER"] == "10001:10001"
    assert last["VOLUME"] == "/data"
    assert "/healthz" in last["HEALTHCHECK"]
    assert len(read_dockerfile()) == 2


def environment_names() -> dict[str, set[str]]:
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())
    render = yaml.safe_load((ROOT / "render.yaml").read_text())
    return {
        "Dockerfile": {m for word, rest in read_dockerfile()[-1] if word == "ENV" for m in re.findall(r"(\w+)=", rest)},
        "compose.yaml": {n for s in compose["services"].values() for n in s.get("environment", {})}
        | set(re.findall(r"\$\{(\w+)", (ROOT / "compose.yaml").read_text())),
        "render.yaml": {v["key"] for v in render["services"][0]["envVars"]},
    }


@pytest.mark.parametrize("name", ["Dockerfile", "compose.yaml", "render.yaml"])
def test_every_setting_that_is_passed_on_exists(name):
    known = {f"GREENLIGHT_{field.upper()}" for field in Settings.model_fields} | FOREIGN
    assert environment_names()[name] <= known
    assert environment_names()[name]


def test_the_console_of_the_compose_file_may_write_its_data_and_nothing_else():
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())
    console = compose["services"]["console"]
    assert (console["read_only"], console["cap_drop"], console["volumes"]) == (True, ["ALL"], ["data:/data"])
    assert console["env_file"] == [{"path": ".env", "required": False}]  # else a setting that is not listed would not arrive
    assert (console["environment"]["GREENLIGHT_HOME"], console["environment"]["GREENLIGHT_MODELS"]) == ("/data", "/data/models")
    published = [port for service in compose["services"].values() for port in service.get("ports", [])]
    assert all(port.startswith("127.0.0.1:") for port in published)
    assert {name for name, s in compose["services"].items() if not s.get("profiles")} == {"console"}
    mounted = [v.split(":")[0] for s in compose["services"].values() for v in s["volumes"] if v.startswith("./")]
    assert all((ROOT / source).is_file() for source in mounted)
    assert {Path(s["file"]).parent.as_posix() for s in compose["secrets"].values()} == {"deploy/secrets"}
    assert "deploy/secrets/" in (ROOT / ".gitignore").read_text()


def test_the_blueprint_keeps_its_data_on_the_disk_that_the_image_uses():
    (service,) = yaml.safe_load((ROOT / "render.yaml").read_text())["services"]
    assert (service["disk"]["mountPath"], service["numInstances"]) == (dict(read_dockerfile()[-1])["VOLUME"], 1)
    assert service["healthCheckPath"] == "/healthz"
    assert all(("value" in v) != ("sync" in v) for v in service["envVars"])
    assert not [v for v in service["envVars"] if "PASSWORD" in v["key"] and "value" in v]


def test_no_workflow_holds_a_secret_or_more_rights_than_reading():
    assert [p.name for p in WORKFLOWS] == ["checks.yml", "deploy.yml"]
    for path in WORKFLOWS:
        flow = yaml.safe_load(path.read_text())
        assert flow["permissions"] == {"contents": "read"}
        assert all("timeout-minutes" in job for job in flow["jobs"].values())


def test_the_workflows_run_the_projects_own_targets():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    called = {name for path in WORKFLOWS for line in re.findall(r"run: make (.*)", path.read_text()) for name in line.split()}
    assert called == {"lint", "types", "coverage"}
    assert called <= targets


@pytest.mark.server
@pytest.mark.parametrize(
    "command",
    [
        ["hadolint", "--failure-threshold", "warning", "Dockerfile"],
        ["check-jsonschema", "--builtin-schema", "vendor.compose-spec", "compose.yaml"],
        ["check-jsonschema", "--builtin-schema", "vendor.github-workflows", *(str(p.relative_to(ROOT)) for p in WORKFLOWS)],
    ],
    ids=lambda command: command[0] + " " + command[-1],
)
def test_linters_and_schemas_accept_the_files(command):
    tool = Path(sys.executable).parent / command[0]
    done = subprocess.run([str(tool), *command[1:]], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


# The commands of the Dockerfile, in a folder that stands for the image's root

MOUNT = """set -e
mkdir -p "$NEW"
mount --rbind / "$NEW"
mount -o remount,ro,bind "$NEW"
mount --bind "$DATA" "$NEW$DATA"
mount -t tmpfs tmpfs "$NEW/tmp"
case "$PREFIX" in /root/*)  # an interpreter in a home that is closed to others; the image's own is open to all
    mount -t tmpfs -o mode=755 tmpfs "$NEW/root"
    mkdir -p "$NEW$PREFIX"
    mount --bind "$PREFIX" "$NEW$PREFIX"
esac
cd "$NEW$WORK"
exec chroot "$NEW" sh -c 'cd "$WORK" && exec "$@"' sh "$@"
"""


class Image:
    """What the Dockerfile makes, below a folder instead of /; made from the project's files as the engine would be given them."""

    def __init__(self, root: Path) -> None:
        self.root, self.environment, self.work, self.command, self.health = root, {"PATH": os.environ["PATH"]}, "/", [], []
        for stage in read_dockerfile():
            for word, rest in stage:
                self._do(word, rest)

    def place(self, path: str) -> Path:
        return self.root / (Path(self.work) / path).as_posix().lstrip("/")

    def below(self, text: str) -> str:
        """The text with the image's folders where they are here."""
        return re.sub(r"(?<![\w.$])/(opt|data|build)\b", rf"{self.root}/\1", text)

    def _do(self, word: str, rest: str) -> None:
        if word == "WORKDIR":
            self.work = rest
            self.place(".").mkdir(parents=True, exist_ok=True)
        elif word == "COPY" and not rest.startswith("--from"):  # the other stage's folder is here already
            *sources, target = rest.split()
            for source in sources:
                self._copy(ROOT / source, self.place(target) / (source if target == "./" else ""))
        elif word == "RUN":
            # the users are the engine's business here: nobody is added to this machine
            kept = [part for part in rest.split(" && ") if not part.strip().startswith(("groupadd", "useradd"))]
            # what was fetched for this machine's own environment need not be fetched again
            self.run(self.below(" && ".join(kept)).replace(" --no-cache-dir", ""))
        elif word == "ENV":
            for name, value in re.findall(r"(\w+)=(\S+)", rest):
                self.environment[name] = self.below(value).replace("$PATH", self.environment["PATH"])
        elif word == "HEALTHCHECK":
            self.health = json.loads(rest.partition("CMD ")[2])
        elif word == "CMD":
            self.command = json.loads(rest)

    def _copy(self, source: Path, target: Path) -> None:
        if source.is_dir():
            shutil.copytree(source, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__", "secrets.toml"))
        else:
            shutil.copy2(source, target)

    def run(self, script: str) -> None:
        python = Path(sys.base_prefix) / "bin"
        environment = {**os.environ, "EXTRAS": "", "PATH": f"{python}:{os.environ['PATH']}"}
        done = subprocess.run(["sh", "-e", "-c", script], cwd=self.place("."), env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"

    def start(self, out: Path, port: int) -> subprocess.Popen:
        """The image's command as its user, on a read-only root with /tmp and /data of its own."""
        drop = ["setpriv", "--reuid=10001", "--regid=10001", "--clear-groups", "--bounding-set=-all", "--no-new-privs"]
        as_root = os.geteuid() == 0
        apart = ["unshare", "--mount", *([] if as_root else ["--user", "--map-root-user"])]
        command = [*apart, "sh", "-c", MOUNT, "sh", *(drop if as_root else []), *self.command]
        folders = {"NEW": self.root / "new", "DATA": self.root / "data", "WORK": self.place("."), "PREFIX": sys.base_prefix}
        environment = {**self.environment, "PORT": str(port), **{name: str(path) for name, path in folders.items()}}
        with out.open("w") as file:
            return subprocess.Popen(command, env=environment, stdout=file, stderr=subprocess.STDOUT, start_new_session=True)


@pytest.mark.server
def test_the_dockerfiles_commands_make_a_console_that_runs_read_only_as_nobody(tmp_path):
    # not below /tmp, which gets a file system of its own; readable by whom the image names
    root = Path(tempfile.mkdtemp(prefix="greenlight-image-", dir="/var/tmp"))
    root.chmod(0o755)
    port = free_port()
    server = None
    try:
        image = Image(root)
        before = sorted(p.relative_to(root).as_posix() for p in (root / "opt" / "greenlight").rglob("*"))
        server = image.start(tmp_path / "out.txt", port)
        wait_for_health(f"http://127.0.0.1:{port}/healthz", server, tmp_path / "out.txt")
        assert user_of(server.pid) == {10001} if os.geteuid() == 0 else {os.geteuid()}
        with pytest.raises(HTTPError) as closed:
            urlopen(f"http://127.0.0.1:{port}/api/v1/models", timeout=10)
        assert closed.value.code == 401
        healthy = subprocess.run(image.health, env={**image.environment, "PORT": str(port)}, capture_output=True, text=True)
        assert healthy.returncode == 0, healthy.stderr
        sick = subprocess.run(image.health, env={**image.environment, "PORT": "1"}, capture_output=True, text=True)
        assert sick.returncode != 0
        assert "First start" in (tmp_path / "out.txt").read_text()
        assert (root / "data" / "greenlight.db").is_file()
        after = sorted(p.relative_to(root).as_posix() for p in (root / "opt" / "greenlight").rglob("*"))
        assert after == before
    finally:
        if server is not None:
            server.terminate()
            server.wait(60)
        shutil.rmtree(root, ignore_errors=True)
    assert "Traceback" not in (tmp_path / "out.txt").read_text()


def wait_for_health(address: str, server: subprocess.Popen, out: Path) -> None:
    end = time.monotonic() + 120
    while True:
        try:
            with urlopen(address, timeout=5):
                return
        except (URLError, ConnectionError):
            assert server.poll() is None, out.read_text()
            assert time.monotonic() < end, out.read_text()
            time.sleep(0.3)


def user_of(pid: int) -> set[int]:
    line = next(x for x in Path(f"/proc/{pid}/status").read_text().splitlines() if x.startswith("Uid:"))
    return {int(n) for n in line.split()[1:]}


def test_the_guard_of_the_dockerfile_reads_what_it_is_given():
    assert shlex.split(dict(read_dockerfile()[0])["ARG"]) == ["EXTRAS="]
    assert ("samples", "samples") in copied()
    assert ("app.py", "app.py") in copied()
