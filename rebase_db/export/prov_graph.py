"""What the parts of a PROV document share: how records are named, and what was written already."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rebase_db.export.words import identifier, in_utc

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable

    from prov.model import ProvDocument

    from rebase_db.export.facts import SetFacts, Source
    from rebase_db.export.members import Making


@dataclass
class ProvGraph:
    """A document under way, of a training set."""

    document: ProvDocument
    training_set: SetFacts
    splits: dict[int, dict[tuple[str, str, int], str]] = field(default_factory=dict)
    """By dataset the entity of each config and split in a load."""
    examples: dict[int, str] = field(default_factory=dict)
    """By number the examples written so far."""
    asked: set[str] = field(default_factory=set)
    """Calls whose answers were used again; they may be those of examples outside the set."""
    known: set[str] = field(default_factory=set)
    """What has been written that several records share."""

    def new(self, name: str) -> bool:
        """Whether this is the first time that something shared is met."""
        if name in self.known:
            return False
        self.known.add(name)
        return True

    def entity(self, name: str, attributes: Iterable[tuple[str, Any]]) -> str:
        """Write an entity; its name."""
        self.document.entity(name, list(attributes))
        return name

    def activity(
        self, name: str, began: dt.datetime, ended: dt.datetime | None, attributes: Iterable[tuple[str, Any]]
    ) -> str:
        """Write an activity; its name."""
        self.document.activity(name, in_utc(began), in_utc(ended) if ended else None, list(attributes))
        return name

    def software(self, version: str) -> str:
        """The software in a version, as an agent."""
        name = f"rebase:software-{version}"
        if self.new(name):
            kind = self.document.valid_qualified_name("prov:SoftwareAgent")
            self.document.agent(name, {"prov:type": kind, "rebase:version": version})
        return name

    @property
    def set_name(self) -> str:
        """The training set."""
        return prov_name("set", self.training_set.training_set_id, of=self.training_set.manifest_hash)

    @property
    def freeze_name(self) -> str:
        """Its freezing."""
        return prov_name("freeze", self.training_set.training_set_id, of=self.training_set.manifest_hash)

    def source(self, dataset_id: int) -> Source:
        """A dataset behind the set."""
        return next(each for each in self.training_set.sources if each.dataset_id == dataset_id)

    def load_name(self, source: Source, ingest_id: int) -> str:
        """A load of a dataset."""
        when = next(load.created_at for load in source.loads if load.ingest_id == ingest_id)
        return prov_name("ingest", source.dataset_id, ingest_id, of=f"{source.name}\n{in_utc(when)}")

    def retrieval_name(self, retrieval_id: int) -> str:
        """A retrieval."""
        when = next(each["created_at"] for each in self.training_set.retrievals if each["retrieval_id"] == retrieval_id)
        return prov_name("retrieval", retrieval_id, of=f"{self.training_set.task_hash.hex()}\n{in_utc(when)}")

    def teacher_name(self, teacher_id: int) -> str:
        """A teacher."""
        found = next(each["teacher_hash"] for each in self.training_set.teachers if each["teacher_id"] == teacher_id)
        return prov_name("teacher", teacher_id, of=found)

    def prompt_name(self, prompt_id: int) -> str:
        """A prompt."""
        found = next(each["prompt_hash"] for each in self.training_set.teachers if each["prompt_id"] == prompt_id)
        return prov_name("prompt", prompt_id, of=found)

    def retraction_name(self, retraction_id: int) -> str:
        """A retraction."""
        found = next(each for each in self.training_set.retractions if each["retraction_id"] == retraction_id)
        mark = f"{found['kind']} {found['target']}\n{in_utc(found['created_at'])}"
        return prov_name("retraction", retraction_id, of=mark)


def prov_name(kind: str, *numbers: int, of: bytes | str) -> str:
    """A record's name in the namespace of this project; see `words.identifier`."""
    return f"rebase:{identifier(kind, *numbers, of=of)}"


def example_name(making: Making) -> str:
    """An example."""
    return prov_name("example", making.example_id, of=making.example_hash)


def call_name(generation_id: int, making: Making) -> str:
    """A call with the prompt of this making: what is used again is, by key, an answer to the same rendered prompt."""
    return prov_name("call", generation_id, of=making.rendered_hash)
