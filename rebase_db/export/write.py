"""Writing an export: the form that was asked for, to where it was asked for, held against the licence policy first."""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rebase_db.errors import RebaseError
from rebase_db.export.facts import find_subject, need_run
from rebase_db.export.records import EXAMPLES, SOURCES, write_records
from rebase_db.licence.policy import judge
from rebase_db.licence.verdict import policy_of_set

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from openlineage.client.event_v2 import RunEvent
    from sqlalchemy import Connection, Engine

    from rebase_db.export.facts import RunFacts, SetFacts, Subject
    from rebase_db.licence.policy import Verdict

FORMS = {
    "prov": "prov.json",
    "prov-n": "prov.provn",
    "openlineage": "openlineage.ndjson",
    "croissant": "croissant.json",
    "ml-bom": "ml-bom.cdx.json",
    "dataset-card": "README.md",
    "model-card": "README.md",
}
"""The forms, and the file each goes by in a folder."""

WITH_RECORDS = ("croissant", "dataset-card")
"""The forms that records can stand beside."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where an export goes: a file, a folder with that file in it, or nowhere but to who asked."""

    file: Path | None
    folder: Path | None

    @classmethod
    def of(cls, form: str, output: str | None) -> Target:
        """What `--output` means: a folder where it is one, ends in a slash or has no suffix; else a file.

        Raises:
            RebaseError: It is empty.
        """
        if output is None:
            return cls(None, None)
        if not output.strip():
            raise RebaseError("--output names nothing.", hint="Name a file or a folder; `.` is the folder you are in.")
        path = Path(output)
        if path.is_dir() or output.endswith(("/", os.sep)) or not path.suffix:
            return cls(path / FORMS[form], path)
        return cls(path, None)

    def refuse_if_there(self, records: bool) -> None:
        """Raise if something would be written over.

        Raises:
            RebaseError: Naming it.
        """
        names = [self.file] if self.file else []
        if self.folder and records:
            names += [self.folder / EXAMPLES, self.folder / SOURCES]
        for name in names:
            if name.exists():
                raise RebaseError(
                    f"{name} is there already.", hint="Name another place, or write over it with --force."
                )


@contextmanager
def snapshot(engine: Engine) -> Iterator[Connection]:
    """A connection that sees one state of the database throughout, and cannot change it."""
    with engine.connect() as connection:
        yield connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)


@dataclass(frozen=True, slots=True)
class Exported:
    """What came of an export: its text, the files written, the verdict on its licences, and its subject."""

    text: str
    files: Sequence[Path]
    verdict: Verdict
    subject: Subject


def export(
    connection: Connection,
    reference: str,
    form: str,
    target: Target,
    *,
    records: bool = True,
    force: bool = False,
    forbid: Sequence[str] = (),
    allow: Sequence[str] = (),
) -> Exported:
    """Write a set or a run in a form; nothing is written unless all of it can be.

    Args:
        connection: One that sees one state of the database throughout.
        reference: `set:NAME` or `run:NUMBER`.
        form: One of `FORMS`.
        target: Where to.
        records: Of PROV whether rows and examples are named, of Croissant and the dataset card whether the records are
            written beside them; the latter only into a folder.
        force: Write over what is there.
        forbid: Duties and licences that are refused beside those of the task's policy.
        allow: Those that are let through.

    Raises:
        LicenceError: The policy forbids a licence behind the set.
        UnknownNameError: There is no such set or run, or no such duty or licence.
        RebaseError: The form is not one for this subject, a library is missing, or a file would be written over.
    """
    subject = find_subject(connection, reference)
    training_set = subject.training_set
    policy = policy_of_set(connection, training_set.training_set_id).but(forbid=forbid, allow=allow)
    verdict = judge(policy, subject.learned.duties)
    verdict.refuse(training_set.name)
    beside = records and form in WITH_RECORDS and target.folder is not None
    if not force:
        target.refuse_if_there(beside)
    if target.file is None:
        return Exported(_text(connection, subject, form, records=records, folder=None), [], verdict, subject)
    try:
        target.file.parent.mkdir(parents=True, exist_ok=True)
        # All in a folder of its own first, so that a fault on the way leaves what is there as it was.
        with tempfile.TemporaryDirectory(dir=target.file.parent, prefix=".export-") as scratch:
            made = Path(scratch)
            text = _text(connection, subject, form, records=records, folder=made if beside else None)
            (made / target.file.name).write_text(text, encoding="utf-8")
            files = [path.replace(target.file.parent / path.name) for path in sorted(made.iterdir())]
    except OSError as error:
        raise RebaseError(
            f"{target.file} cannot be written: {error.strerror or error}.", hint="Name another place with --output."
        ) from error
    return Exported(text, files, verdict, subject)


def events(connection: Connection, subject: Subject) -> list[RunEvent]:
    """The OpenLineage events of a subject, to be sent."""
    from rebase_db.export.openlineage_events import openlineage_events

    return openlineage_events(connection, subject)


def _text(connection: Connection, subject: Subject, form: str, *, records: bool, folder: Path | None) -> str:
    """The document of a form; its records are written into `folder`, if there is one."""
    match form:
        case "prov" | "prov-n":
            from rebase_db.export.prov_document import prov_document

            document = prov_document(connection, subject, records=records)
            return f"{document.get_provn() if form == 'prov-n' else document.serialize(format='json', indent=1)}\n"
        case "openlineage":
            from rebase_db.export.openlineage_events import as_json

            return "".join(f"{as_json(event)}\n" for event in events(connection, subject))
        case "croissant" | "dataset-card":
            return _data(connection, subject.training_set, form, records=records, folder=folder)
        case _:
            return _model(subject.learned, need_run(connection, subject, form), form)


def _data(connection: Connection, training_set: SetFacts, form: str, *, records: bool, folder: Path | None) -> str:
    from rebase_db.export.croissant import croissant
    from rebase_db.export.dataset_card import dataset_card

    if form == "dataset-card":
        if folder:
            write_records(connection, training_set.training_set_id, folder)
        return dataset_card(training_set, records=folder is not None)
    # Without a folder the document still describes, and hashes, the records that a folder would have.
    files = write_records(connection, training_set.training_set_id, folder) if records else []
    return _json(croissant(training_set, files))


def _model(training_set: SetFacts, run: RunFacts, form: str) -> str:
    from rebase_db.export.ml_bom import ml_bom
    from rebase_db.export.model_card import model_card

    return _json(ml_bom(training_set, run)) if form == "ml-bom" else model_card(training_set, run)


def _json(value: object) -> str:
    return f"{json.dumps(value, indent=2, ensure_ascii=False)}\n"
