"""A result while it is being written: ``OUT.part``, and beside it how far it is, so that a stopped or killed scoring goes on.

Each part of a file has ids that follow from its request and its number. So a part that was logged and not yet written (the process
was killed in between) is found in the log when it is answered again, and is not logged twice.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import hmac
import json
import os
import secrets
from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from core.errors import Refused
from core.home import Home

FORMAT = 1  # of the file that says how far a scoring is; another one is not continued


@dataclass(frozen=True)
class Done:
    """How far a scoring is.

    Attributes
    ----------
    file : str
        sha256 of the table that is scored.
    chunk_rows : int
        Rows of a part; it decides which ids belong to which rows, so it stays what it was.
    chunks, rows, problem_rows, by_prediction
        What is written and logged.
    bytes : int
        Length of the result with so many parts.
    """

    file: str
    project: str
    version: str
    caller: str
    request_id: str
    chunk_rows: int
    chunks: int = 0
    rows: int = 0
    problem_rows: int = 0
    by_prediction: dict[str, int] = field(default_factory=dict)
    bytes: int = 0
    format: int = FORMAT

    def is_same_work(self, other: Done) -> bool:
        """Whether the same file is scored for the same account by the same version."""
        return (self.file, self.project, self.version, self.caller) == (other.file, other.project, other.version, other.caller)


def part_path(out_path: Path) -> Path:
    return out_path.with_name(f"{out_path.name}.part")


def state_path(out_path: Path) -> Path:
    return out_path.with_name(f"{out_path.name}.part.json")


def make_uid(home: Home, request_id: str, number: int) -> str:
    """Id of part ``number`` of a request: 96 bits that nobody can guess without the installation's key."""
    return hmac.new(home.secret_key(), f"part {number} of {request_id}".encode(), hashlib.sha256).hexdigest()[:24]


def take_over(earlier: Path, out_path: Path) -> bool:
    """Move what an ended attempt at ``earlier`` left to ``out_path``, to be continued there; False if it left nothing."""
    if not state_path(earlier).exists():
        return False
    # the state first: it alone is enough to log nothing twice
    os.replace(state_path(earlier), state_path(out_path))
    with contextlib.suppress(FileNotFoundError):
        os.replace(part_path(earlier), part_path(out_path))
    return True


class PartFile:
    """``with PartFile(out, wanted) as part: part.add(...)``: the result takes its name when the block ends without an error.

    When anything was logged before it was stopped, refused or killed, it stays as ``OUT.part`` and the same work continues it.

    Attributes
    ----------
    done : Done
        The beginning, or where an earlier attempt at the same work ended.
    """

    def __init__(self, out_path: Path, wanted: Done) -> None:
        self._out, self._part, self._state = out_path, part_path(out_path), state_path(out_path)
        self._file = self._open()
        self._logged = False
        self.done = wanted
        known = read_state(self._state)
        if known is not None and known.is_same_work(wanted):
            whole = self._file.seek(0, os.SEEK_END) >= known.bytes
            self.done = known if whole else replace(wanted, request_id=known.request_id, chunk_rows=known.chunk_rows)
            self._logged = True
        self._file.truncate(self.done.bytes)
        self._file.seek(self.done.bytes)
        self._save(self.done)

    def __enter__(self) -> PartFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with self._file:
            if kind is None:
                self._file.flush()
                os.fsync(self._file.fileno())
                os.replace(self._part, self._out)
                self._state.unlink(missing_ok=True)
            elif not self._logged:
                with contextlib.suppress(OSError):  # the error that ended it is what is to be told
                    self._state.unlink(missing_ok=True)
                    self._part.unlink(missing_ok=True)

    def begin(self, header: memoryview | bytes) -> None:
        """Write the first line, unless it is there."""
        if self.done.bytes == 0:
            self._file.write(header)
            self.done = replace(self.done, bytes=len(header))

    def expect(self) -> None:
        """Say that the next part is about to be logged: from now on what there is must not be forgotten."""
        self._logged = True

    def add(self, lines: memoryview | bytes, labels: dict[str, tuple[int, int, int]]) -> None:
        """Write the lines of the next part; ``labels`` as log.Group has them."""
        self._file.write(lines)
        self._file.flush()
        os.fdatasync(self._file.fileno())  # what is said to be there must be there after a power cut too
        counts = Counter(self.done.by_prediction)
        counts.update({label: rows for label, (rows, _, _) in labels.items() if label})
        self.done = replace(
            self.done, chunks=self.done.chunks + 1, rows=self.done.rows + sum(n for n, _, _ in labels.values()),
            problem_rows=self.done.problem_rows + sum(n for _, n, _ in labels.values()),
            by_prediction=dict(sorted(counts.items())), bytes=self.done.bytes + len(lines),
        )  # fmt: skip
        self._save(self.done)

    def _open(self) -> Any:
        """The part opened and locked: two processes must not write one result."""
        while True:
            file = open(self._part, "r+b" if self._part.exists() else "x+b")  # noqa: SIM115 - closed by __exit__
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                file.close()
                raise Refused(f"Another process is writing {self._out.name}; wait for it or name another file.") from None
            try:
                if os.stat(self._part).st_ino == os.fstat(file.fileno()).st_ino:
                    return file
            except FileNotFoundError:
                pass
            file.close()  # the one before us finished just now and gave it its name

    def _save(self, done: Done) -> None:
        fresh = self._state.with_name(f".{self._state.name}.{secrets.token_hex(4)}")
        fresh.write_text(json.dumps(asdict(done)))
        fresh.replace(self._state)


def read_state(path: Path) -> Done | None:
    """How far an earlier attempt came; None if there was none, or it cannot be continued."""
    try:
        data = json.loads(path.read_text())
        return Done(**data) if data["format"] == FORMAT else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
