"""The model card of a run, written from its lineage into its folder: again whenever the lineage knows more."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import text

from rebase_db.distill.model_card import CardFacts, ScoreFact, SourceFact, render_model_card
from rebase_db.distill.student import CARD
from rebase_db.sql import named

if TYPE_CHECKING:
    from sqlalchemy import Connection


def card_facts(connection: Connection, training_run_id: int) -> tuple[CardFacts, Path]:
    """What the database knows of a finished run, and its folder."""
    run_id = {"training_run_id": training_run_id}
    run = dict(connection.execute(text(named("run_card")), run_id).mappings().one())
    folder = Path(run.pop("artifact_path"))
    sources = [SourceFact(*row) for row in connection.execute(text(named("run_sources")), run_id)]
    teachers = connection.execute(text(named("run_teachers")), run_id).all()
    scores = [ScoreFact(*row) for row in connection.execute(text(named("run_scores")), run_id)]
    names = dict.fromkeys(" ".join(filter(None, (row.provider, row.model))) for row in teachers)
    # A template teacher's prompt is its rules, which are named with the teacher.
    prompts = [row.prompt_hash for row in teachers if row.provider != "template"]
    facts = CardFacts(
        **run, sources=sources, teacher=", ".join(names), prompt_hash=prompts[0] if prompts else None, scores=scores
    )
    return facts, folder


def write_model_card(connection: Connection, training_run_id: int) -> Path:
    """Write the card beside the weights; it is not part of what the artifact's hash is over."""
    facts, folder = card_facts(connection, training_run_id)
    path = folder / CARD
    path.write_text(render_model_card(facts), encoding="utf-8")
    return path
