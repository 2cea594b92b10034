"""Every command of the user guide and of the README's first steps, run from the first file to the last."""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from core.cli import app

ROOT = Path(__file__).resolve().parents[1]
GUIDE = ROOT / "docs" / "guide"
STORY = ("data_scientist", "director", "devops", "troubleshooting")  # each goes on where the one before ended
FENCE = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INSTALLS = ("cd greenlight", "make demo", "alias greenlight")  # README.md of the guide: what the fixture here does


def read_blocks(name: str) -> list[str]:
    return FENCE.findall((GUIDE / f"{name}.md").read_text(encoding="utf-8"))


class Shell:
    """A folder with a fresh demo, in which the guide's blocks run as they are printed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "samples").symlink_to(ROOT / "samples")
        tools = folder / "bin"
        tools.mkdir()
        for name, module in (("greenlight", "core"), ("uvicorn", "uvicorn")):
            (tools / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" -m {module} "$@"\n')
            (tools / name).chmod(0o755)
        environment = {k: v for k, v in os.environ.items() if not k.startswith("GREENLIGHT_")}
        self.environment = {
            **environment, "PATH": f"{tools}:{environment['PATH']}", "GREENLIGHT_HOME": str(folder / "home"), "GREENLIGHT_WORKERS": "2",
            "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), environment.get("PYTHONPATH", "")])),
        }  # fmt: skip

    def run(self, script: str) -> str:
        done = subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", script], cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=400,
        )  # fmt: skip
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done.stdout


@pytest.fixture
def shell(tmp_path) -> Shell:
    it = Shell(tmp_path)
    it.run("greenlight demo")
    return it


def test_the_guide_of_people_works_as_it_is_printed(shell):
    said = {name: [shell.run(block) for block in read_blocks(name)] for name in STORY}
    assert all(said.values())
    drift = said["data_scientist"][3]
    assert drift.index("chol") < drift.index("age"), drift  # named first, as the text says
    assert (shell.folder / "answers.csv").read_text().count("\n") == 295  # Hungary's 294 patients and a header
    assert (shell.folder / "restored" / "greenlight.db").is_file()
    assert (shell.folder / "audit.jsonl").stat().st_size > 10_000


@pytest.mark.server
def test_the_guide_of_programs_works_as_it_is_printed(shell):
    assert shutil.which("curl"), "install curl"
    for block in read_blocks("data_scientist")[1:2] + read_blocks("data_scientist")[4:5]:
        shell.run(block)
    shell.run("greenlight approve 1 --reason Good --as director && greenlight deploy heart_disease 1.0.0 --as devops")
    start, *blocks = read_blocks("program")
    server = subprocess.Popen(
        ["bash", "-c", f"exec {start}"], cwd=ROOT, env=shell.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        _wait_for("http://localhost:8602/readyz")
        said = shell.run("\n".join(blocks))
    finally:
        os.killpg(server.pid, 15)
        server.wait(30)
    assert '"prediction_id"' in (shell.folder / "answer.json").read_text()
    assert '"version":"1.0.0"' in said.replace(" ", "")


@pytest.mark.extra
def test_the_guide_of_tools_works_as_it_is_printed(shell):
    said = shell.run("\n".join(read_blocks("tools")))
    assert "Nothing needs attention." in said
    assert list((shell.folder / "remote").rglob("*.*")) or list((shell.folder / "remote" / "files").rglob("*"))
    assert (shell.folder / "heart.dvc").read_text().startswith("outs:")


def _wait_for(address: str) -> None:
    end = time.monotonic() + 60
    while True:
        try:
            with urlopen(address, timeout=5):
                return
        except (URLError, ConnectionError):
            assert time.monotonic() < end, f"{address} does not answer"
            time.sleep(0.2)


def test_every_command_that_the_guide_names_in_passing_exists():
    known = _commands()
    unknown = []
    for path in [*sorted(GUIDE.glob("*.md")), *sorted(GUIDE.parent.glob("*.md")), ROOT / "README.md"]:
        text = FENCE.sub("", path.read_text(encoding="utf-8"))
        for words in re.findall(r"(?:`greenlight|python -m core) ([a-z][a-z-]*)(?: ([a-z][a-z-]*))?", text):
            if words[0] not in known or (known[words[0]] and words[1] and words[1] not in known[words[0]]):
                unknown.append(f"{path.name}: {' '.join(words)}")
    assert unknown == []


def _commands() -> dict[str, set[str]]:
    from typer.main import get_command

    top = get_command(app.app)
    return {name: set(getattr(command, "commands", {})) for name, command in top.commands.items()}


def test_every_link_of_the_guide_leads_somewhere():
    broken = [
        f"{path.name}: {target}"
        for path in [*GUIDE.glob("*.md"), *GUIDE.parent.glob("*.md"), ROOT / "README.md"]
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", path.read_text(encoding="utf-8"))
        if "://" not in target and not (path.parent / target).exists()
    ]
    assert broken == []


def test_the_guides_first_page_sets_up_as_the_tests_do():
    block = read_blocks("README")[0]
    assert [line.split("  ")[0].startswith(INSTALLS) for line in block.strip().splitlines()] == [True] * 3
    makefile = (ROOT / "Makefile").read_text()
    assert re.search(r"^demo:.*\n\t\$\(CORE\) demo$", makefile, re.MULTILINE)
