"""The duties of examples and sets, against what a plain walk over the parents says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import event, text

from rebase_db.licence.duties import duties_of_examples, duties_of_set
from rebase_db.licence.duty import Duty
from rebase_db.licence.known import read_licence
from rebase_db.licence.policy import Policy, judge

if TYPE_CHECKING:
    from tests.export.shelf import Shelf

NC_SA = frozenset({Duty.NOTICE, Duty.ATTRIBUTION, Duty.SHARE_ALIKE, Duty.NON_COMMERCIAL})


def test_an_example_is_under_the_duties_of_all_rows_behind_it(shelf: Shelf) -> None:
    ids = [shelf.plain, shelf.child, shelf.poem, shelf.heir, shelf.erased, 10**9]
    statements: list[str] = []
    with shelf.engine.connect() as connection:
        event.listen(connection, "before_cursor_execute", lambda *said: statements.append(said[2]))
        found = duties_of_examples(connection, ids)
        assert len(statements) == 1
        own = {
            row.example_id: (row.licence, row.parents)
            for row in connection.execute(
                text(
                    "SELECT example_id, licence, array(SELECT parent_id FROM example_parent AS p"
                    " WHERE p.example_id = example.example_id) AS parents"
                    " FROM example JOIN retrieval_link USING (link_id) JOIN dataset USING (dataset_id)"
                )
            )
        }

    def walked(example_id: int) -> frozenset[Duty]:
        licence, parents = own[example_id]
        return read_licence(licence).duties.union(*map(walked, parents))

    assert found == {example_id: walked(example_id) for example_id in ids[:-1]}
    assert found[shelf.heir] == NC_SA | {Duty.UNKNOWN}


def test_a_set_counts_its_members_by_duty(shelf: Shelf) -> None:
    with shelf.engine.connect() as connection:
        duties = duties_of_set(connection, shelf.set_id)
    assert (duties.size, duties.free) == (4, 0)
    assert [(source.dataset, source.examples) for source in duties.sources] == [
        ("poems", 2),
        ("scraps", 2),
        ("letters", 1),
    ]
    assert list(duties.examples.items()) == [
        (Duty.NOTICE, 3),
        (Duty.ATTRIBUTION, 2),
        (Duty.SHARE_ALIKE, 2),
        (Duty.NON_COMMERCIAL, 2),
        (Duty.UNKNOWN, 2),
    ]


def test_a_policy_names_what_it_refuses_and_what_it_flags(shelf: Shelf) -> None:
    with shelf.engine.connect() as connection:
        duties = duties_of_set(connection, shelf.set_id)

    def said(policy: Policy) -> tuple[list[str], list[str]]:
        verdict = judge(policy, duties)
        return [each.source.dataset for each in verdict.forbidden], [each.source.dataset for each in verdict.flagged]

    assert said(Policy()) == ([], ["poems", "scraps"])
    assert said(Policy(unknown="allow", flag=())) == ([], [])
    assert said(Policy(forbid=("share-alike",), unknown="forbid")) == (["poems", "scraps"], [])
    # Let through by the duty or by the licence, whatever else it asks; another duty is still refused.
    assert said(Policy(forbid=("share-alike",), allow=("share-alike", "unknown"))) == ([], ["poems"])
    assert said(Policy(forbid=("share-alike",), allow=("cc-by-nc-sa",))) == ([], ["scraps"])
    assert said(Policy(forbid=("share-alike", "non-commercial"), allow=("share-alike",))) == (["poems"], ["scraps"])
