"""What the steps of the journey share: four people, one installation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from core.home import Home
from tests.browser import Person

PROJECT = "heart_disease"
OUTPUTS = ["prediction_id", "prediction", "score", "confidence", "problems"]


@dataclass
class Walk:
    """What the steps share."""

    home: Home
    folder: Path
    scientist: Person
    director: Person
    devops: Person
    developer: Person

    @property
    def people(self) -> tuple[Person, ...]:
        return (self.scientist, self.director, self.devops, self.developer)

    @property
    def samples(self) -> Path:
        return self.home.root / "samples" / PROJECT
