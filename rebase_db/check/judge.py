"""A language model as judge: asked once about each example that nothing else keeps out, within the task's budget."""

from __future__ import annotations

import logging
import threading
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert, select

from rebase_db.check.example import Result, verdict_of
from rebase_db.check.store import register_checks, write_results
from rebase_db.check.verdict import CheckDefinition, Finding
from rebase_db.database import failures
from rebase_db.errors import TeacherError
from rebase_db.hashing import canonical_json
from rebase_db.outcomes import backoff_seconds
from rebase_db.retract.lock import hold_still
from rebase_db.schema import Example
from rebase_db.schema import Judgement as JudgementTable
from rebase_db.transform.judge_prompt import SCHEMA, Judgement, messages, read_judgement, template
from rebase_db.transform.prompt import prompt_hash
from rebase_db.transform.provider import Request, Usage
from rebase_db.transform.reservation import Spent, lock_task, reserve, settle, spent_on
from rebase_db.transform.store import call_values, register_teacher

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection, Engine

    from rebase_db.check.current import CurrentExample
    from rebase_db.check.passing import Pass
    from rebase_db.check.run import Tools
    from rebase_db.task.checks import Judge
    from rebase_db.transform.provider import Messages, Provider, Reply
    from rebase_db.transform.teacher import Rejection

# What of a model's section shapes no answer.
_SHAPELESS = {
    "api_key_env", "concurrency", "timeout_seconds", "max_retries", "requests_per_minute", "tokens_per_minute", "batch",
    "input_price", "output_price", "gpu_memory_utilization", "tensor_parallel_size", "enforce_eager", "device",
}  # fmt: skip
log = logging.getLogger(__name__)

COMMIT_TRIES = 8
"""Over about a minute: a server that restarts is back by then."""
_ROUNDS = 4
"""Rounds of requests between two commits: what a crash can lose sight of."""


@dataclass(frozen=True, slots=True)
class _Question:
    example: CurrentExample
    messages: Messages
    prompt_hash: bytes


def judge_definition(settings: Judge) -> CheckDefinition:
    """What a judge is called in the database: the line it draws, and all of the model that shapes its answers."""
    return CheckDefinition(
        "judge",
        {
            "action": settings.action,
            "points": settings.points,
            "model": settings.model.model_dump(mode="json", exclude=_SHAPELESS),
            "prompt": template().content_hash.hex(),
            "version": 1,
        },
    )


def judge_examples(
    engine: Engine,
    worker_id: int,
    made: Pass,
    settings: Judge,
    tools: Tools,
    taken: set[int],
) -> bool:
    """Have a judge give points to examples that have none, as far as the task's budget goes.

    Points are stored as judgements, apart from the line that is drawn across them, so moving that asks nobody again. An
    example without an answer keeps its place, and is asked about again next time.

    Args:
        engine: The database.
        worker_id: On whose account calls are set aside.
        made: The pass.
        settings: The judge.
        tools: Makes the model, if one is needed, and says when to stop.
        taken: Examples this pass has taken up before; those taken up now are added.

    Returns:
        Whether any was taken up: then others may stand that did not before, and want a judgement too.

    Raises:
        TeacherError: The judge cannot be had here, or refuses to serve.
    """
    definition = judge_definition(settings)
    # Not by what another judge said, or this one under another line: that is what is asked anew.
    besides = frozenset({definition.name})
    missing = [
        each for each in made.without(definition) if each.example_id not in taken and not made.fails(each, besides)
    ]
    if not missing:
        return False
    taken.update(each.example_id for each in missing)
    provider = tools.provider(settings.model)
    with engine.begin() as connection:
        teacher_id, prompt_id = register_teacher(connection, provider.identity, template())
    questions = [_ask_about(made, each) for each in missing]
    asking = _Asking(engine, worker_id, made, definition, provider, teacher_id, prompt_id)
    waiting = asking.answered_before(questions)
    step = provider.limits.in_flight * _ROUNDS
    while waiting and not tools.stopping.is_set():
        paid = asking.ask(waiting[:step])
        if not paid:
            break
        # What was set aside for a call is more than it takes: there may be room for the others now.
        waiting[:step] = [each for each in waiting[:step] if each.example.link_id not in paid]
    return True


def _erased(connection: Connection, example_ids: Sequence[int]) -> frozenset[int]:
    query = select(Example.example_id).where(Example.example_id.in_(example_ids), Example.erased_by.is_not(None))
    return frozenset(connection.execute(query).scalars())


def _ask_about(made: Pass, example: CurrentExample) -> _Question:
    asked = messages(made.file, example.input, example.output, example.rationale)
    return _Question(example, asked, prompt_hash(asked, SCHEMA))


@dataclass(frozen=True, slots=True)
class _Asking:
    engine: Engine
    worker_id: int
    made: Pass
    definition: CheckDefinition
    provider: Provider
    teacher_id: int
    prompt_id: int

    def answered_before(self, questions: Sequence[_Question]) -> list[_Question]:
        """Take the points that are stored; the questions that are left."""
        with self.engine.connect() as connection:
            found = connection.execute(
                select(
                    JudgementTable.example_id,
                    JudgementTable.prompt_hash,
                    JudgementTable.judgement_id,
                    JudgementTable.points,
                    JudgementTable.reason,
                )
                .where(
                    JudgementTable.example_id.in_([each.example.example_id for each in questions]),
                    JudgementTable.teacher_id == self.teacher_id,
                    # One that could not be read would be no other if it were paid for again.
                    JudgementTable.outcome != "error",
                )
                .order_by(JudgementTable.judgement_id)
            )
            stored = {(row.example_id, bytes(row.prompt_hash)): row for row in found}
        left = []
        for each in questions:
            row = stored.get((each.example.example_id, each.prompt_hash))
            if row is None:
                left.append(each)
            elif row.points is not None:
                self._add(each, Judgement(row.points, row.reason), row.judgement_id)
        return left

    def ask(self, questions: Sequence[_Question]) -> frozenset[int]:
        """Ask those that the budget suffices for, and write what came of it; the links of those."""
        limits = self.provider.limits
        by_link = {each.example.link_id: each for each in questions}
        # Some servers spell the schema out in the prompt, and bill it; a token is a byte or more.
        schema_tokens = len(canonical_json(SCHEMA).encode())
        most = {
            link_id: limits.usage(self.provider.most_tokens(each.messages) + schema_tokens, limits.answer_tokens)
            for link_id, each in by_link.items()
        }
        with self.engine.begin() as connection:
            paid = reserve(connection, self.made.lane[0], self.worker_id, most)
        requests = [Request(link_id, by_link[link_id].messages) for link_id in paid]
        replies: list[Reply] = []
        silence: Usage | None = None
        try:
            with closing(self.provider.ask(requests, SCHEMA, "judgement")) as given:  # type: ignore[type-var]
                replies.extend(given)
        except TeacherError:
            silence = Usage(0, 0)  # what is without a reply was refused, and is not billed
            raise
        finally:
            silent = set(paid) - {reply.key for reply in replies}
            spent = [Spent(reply.key, None, spent_on(reply)) for reply in replies]
            spent += [Spent(link_id, None, silence) for link_id in silent]
            self._commit([(by_link[reply.key], reply) for reply in replies], spent)
        return frozenset(paid)

    def _commit(self, answered: Sequence[tuple[_Question, Reply]], spent: Sequence[Spent]) -> None:
        """Write answers, which are paid for, as soon as the database is there to take them."""
        for attempt in range(1, COMMIT_TRIES + 1):
            try:
                found = self._write(answered, spent)
            except failures.AWAY as error:
                if attempt == COMMIT_TRIES:
                    raise
                log.warning("Judgements could not be committed (try %d): %s", attempt, failures.cause(error))
                threading.Event().wait(backoff_seconds(attempt) / 2)
            else:
                for question, said, judgement_id in found:
                    self._add(question, said, judgement_id, written=True)
                return

    def _write(
        self, answered: Sequence[tuple[_Question, Reply]], spent: Sequence[Spent]
    ) -> list[tuple[_Question, Judgement, int]]:
        """Judgements with their verdicts, so that neither is without the other, and what they took; what was judged."""
        found: list[tuple[_Question, Judgement, int]] = []
        with self.engine.begin() as connection:
            hold_still(connection)
            lock_task(connection, self.made.lane[0])
            erased = _erased(connection, [question.example.example_id for question, _ in answered])
            for question, reply in answered:
                said = None if reply.error is not None else read_judgement(reply)
                wordless = question.example.example_id in erased
                judgement_id = self._insert(connection, question, reply, said, wordless=wordless)
                if isinstance(said, Judgement):
                    found.append((question, said, judgement_id))
            settle(connection, self.made.lane[0], self.worker_id, spent)
            results = {
                question.example.example_id: [self._result(said, judgement_id)]
                for question, said, judgement_id in found
            }
            write_results(connection, register_checks(connection, [self.definition]), results)
        return found

    def _insert(
        self,
        connection: Connection,
        question: _Question,
        reply: Reply,
        said: Judgement | Rejection | None,
        *,
        wordless: bool,
    ) -> int:
        points, outcome, reason = None, "error", reply.error
        if isinstance(said, Judgement):
            points, outcome, reason = said.points, "judged", said.reason
        elif said is not None:
            outcome, reason = "rejected", str(said)
        values: dict[str, Any] = call_values(reply, question.prompt_hash) | {
            "example_id": question.example.example_id,
            "teacher_id": self.teacher_id,
            "prompt_id": self.prompt_id,
            "worker_id": self.worker_id,
            "points": points,
            "outcome": outcome,
            "reason": reason,
        }
        if wordless:
            # The call was made and paid; what was said of an erased example is not kept.
            values |= {"raw_answer": None, "reason": None if outcome == "judged" else "erased", "failures": []}
        return connection.execute(
            insert(JudgementTable).values(values).returning(JudgementTable.judgement_id)
        ).scalar_one()

    def _result(self, said: Judgement, judgement_id: int) -> Result:
        finding = self._finding(said)
        return Result(self.definition, verdict_of(self.definition, finding), finding, judgement_id)

    def _finding(self, said: Judgement) -> Finding:
        needed = self.definition.parameters["points"]
        return Finding(said.points < needed, float(said.points), {"points": said.points, "reason": said.reason})

    def _add(self, question: _Question, said: Judgement, judgement_id: int, *, written: bool = False) -> None:
        example_id = question.example.example_id
        self.made.add(self.definition, example_id, self._finding(said), judgement_id, written=written)
