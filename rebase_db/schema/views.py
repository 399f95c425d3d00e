"""Views of the schema: rules that several queries share."""

from __future__ import annotations

from sqlalchemy import column, event, table
from sqlalchemy.schema import DDL

from rebase_db.schema.base import Base

# Which links of a task workers and people look at: those of its newest version with a retrieval, under the encoder of
# its newest one. Answers for older ones would be paid for and not used.
LIVE_RANKING = """\
CREATE VIEW live_ranking AS
SELECT DISTINCT ON (task.task_id)
    task.task_id,
    task.name AS task,
    task.priority,
    task.paused_at,
    retrieval.task_version_id,
    retrieval.encoder_id
FROM task
INNER JOIN task_version USING (task_id)
INNER JOIN retrieval USING (task_version_id)
WHERE retrieval.state = 'done'
ORDER BY task.task_id, task_version.version DESC, retrieval.retrieval_id DESC"""

live_ranking = table("live_ranking", column("task_id"), column("task"), column("task_version_id"), column("encoder_id"))


def attach() -> None:
    """Hang the views on the metadata, so that a schema created from it has them too."""
    event.listen(Base.metadata, "after_create", DDL(LIVE_RANKING))  # type: ignore[no-untyped-call]
