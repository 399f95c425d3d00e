"""What has to be asked for a batch: equal prompts once, and nothing that is answered already."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from rebase_db.task.teachers import TemplateTeacherSpec
from rebase_db.transform.batch import plan_batch
from rebase_db.transform.rows import RowReader
from rebase_db.transform.template import TemplateTeacher
from tests.transform.asked_before import Asking, add_twins
from tests.transform.budgeted import Budgeted, begin

if TYPE_CHECKING:
    from sqlalchemy import Engine


@pytest.fixture
def task(engine: Engine) -> Budgeted:
    """A task with six links that wait."""
    return begin(engine, 6)


def test_different_prompts_are_all_asked(task: Budgeted) -> None:
    batch = Asking(task).plan(task.links)
    assert sorted(each.link_id for each in batch.ask) == sorted(task.links)
    assert (batch.stored, batch.same) == ([], {})


def test_of_equal_prompts_one_is_asked(task: Budgeted) -> None:
    twins = add_twins(task, 3)
    batch = Asking(task).plan([*task.links, *twins])
    (followers,) = batch.same.values()
    leader = next(each for each in batch.ask if each.link_id in twins)
    assert {leader.link_id, *(each.link_id for each in followers)} == set(twins)
    assert set(batch.same) == {leader.prompt_hash}
    assert len(batch.ask) == len(task.links) + 1
    assert batch.most.keys() == {each.link_id for each in batch.ask}  # nothing is set aside for the followers


def test_what_is_stored_is_neither_asked_nor_followed(task: Budgeted) -> None:
    twins = add_twins(task, 3)
    asking = Asking(task)
    made = asking.ask(twins[:1])
    batch = asking.plan([*task.links, *twins])
    assert {each.link_id: each.reused_from for each in batch.stored} == dict.fromkeys(twins, made[twins[0]])
    assert {each.link_id for each in batch.ask} == set(task.links)
    assert batch.same == {}


def test_every_link_is_planned_for_once(task: Budgeted) -> None:
    links = [*task.links, *add_twins(task, 3)]
    asking = Asking(task)
    asking.ask(task.links[:1])
    batch = asking.plan(links)
    planned = [each.link_id for each in batch.stored] + [each.link_id for each in batch.ask]
    planned += [each.link_id for others in batch.same.values() for each in others]
    assert sorted(planned) == sorted(links)


def test_a_teacher_that_costs_nothing_is_asked_for_each_row(task: Budgeted) -> None:
    twins = add_twins(task, 3)
    rule = {"columns": ["letter"], "input": "{{ letter }}", "output": "yes"}
    teacher = TemplateTeacher(TemplateTeacherSpec.model_validate({"provider": "template", "rules": [rule]}))
    with task.engine.connect() as connection:
        batch = plan_batch(connection, RowReader(), teacher, 1, twins)
    assert sorted(each.link_id for each in batch.ask) == twins
