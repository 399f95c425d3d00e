"""Queries and snippets of the pages run on the seeded database, and answer what the pages say they do."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from sqlalchemy import text

from cli.lineage import _lines
from rebase_db.lineage.why import why
from rebase_db.retrieve.rank import Candidates, rank_rows
from scripts.generate_docs import DOCS

if TYPE_CHECKING:
    from sqlalchemy import Engine

PARAMETERS: dict[str, Any] = {
    "run": 1,
    "dataset": "tickets",
    "config": "default",
    "split": "train",
    "source_index": 1,
    "first": "triage-first",
    "second": "triage-second",
    "text": "the courier never came with my parcel",
    "task": "triage",
    "example": 3,
    "link": 5,
    "publication": "triage-paper",
    "top_n": 4,
}
OTHERS: dict[str, dict[str, Any]] = {
    "Which examples do checks keep out?": {"task": "urgency"},
    "What was the teacher asked, and what did it answer?": {"example": 10},
    "Which datasets trained a run?": {"run": 2},
    "Which calls count without an answer?": {"task": "urgency"},
}
"""Parameters of queries, by heading, that ask about something else."""
SOME = object()
"""Equal to nothing; stands for a value that is another at each run, such as a time or a path."""


def queries() -> dict[str, str]:
    """The SQL that the pages mark as run, by the heading it stands under."""
    found: dict[str, str] = {}
    for path in sorted(DOCS.glob("*.md")):
        heading = ""
        for title, sql in re.findall(
            r"^#+ ([^\n]+)$|^```sql run\n(.*?)^```", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
        ):
            if title:
                heading = title
            else:
                assert heading not in found, f"two queries under {heading!r}"
                found[heading] = sql
    return found


QUERIES = queries()
LIFT = '{"input": "the lift is stuck and I am in it", "output": "now"}'

EXPECTED: dict[str, list[tuple[Any, ...]]] = {
    "What is kept, and how": [
        ("recipes", "default", "train", "photo", "binary values (binary) are no text"),
    ],
    "A newer release": [
        ("calls", 1, "default", "train", None, 4, 0, 0, 0),
        ("chats", 1, "default", "train", None, 2, 0, 0, 0),
        ("chats", 2, "default", "later", None, 3, 0, 0, 0),
        ("recipes", 1, "default", "train", None, 1, 0, 0, 0),
        ("tickets", 1, "default", "train", None, 4, 0, 0, 0),
        ("tickets-copy", 1, "default", "train", None, 1, 0, 0, 0),
    ],
    "Leaving faulty rows out: `--on-error skip`": [
        ("tickets", "default", "train", 3, 4, None, "is broken JSON (Expecting ',' delimiter, character 61)"),
    ],
    "What a set records of its choice": [
        ("triage-first", SOME, SOME),
        ("triage-second", SOME, SOME),
    ],
    "Students that go on": [(1, 1, "triage-first", 5), (2, 2, "triage-second", 6)],
    "Which rows does an example come from?": [
        ("own", 0, "tickets", "default", "train", 1, "CC-BY-4.0", SOME),
    ],
    "What was the teacher asked, and what did it answer?": [
        (SOME, 1, "rewriter", "rewrite-v2", "parsed", None, "strict", None, LIFT, 11, None, 10),
    ],
    "Where did an example go?": [
        ("triage-first", 3, 1, "done", "held-out", "accuracy", 0.5),
    ],
    "Which rows trained a run?": [
        (1, "chats", "default", "train", 0, SOME, SOME, 1),
        (2, "chats", "default", "train", 1, SOME, SOME, 2),
        (3, "tickets", "default", "train", 1, SOME, SOME, 3),
        (4, "tickets", "default", "train", 0, SOME, SOME, 4),
        (5, "tickets", "default", "train", 4, SOME, SOME, 5),
    ],
    "Which datasets trained a run?": [
        ("chats", "unknown", 5, Decimal("83.3"), 5, 1),  # of another run, which learned from what was withdrawn later
        ("tickets", "CC-BY-4.0", 1, Decimal("16.7"), 1, 0),
    ],
    "Under which licences did a run learn?": [
        ("CC-BY-4.0", 1, 3, 60),
        ("unknown", 1, 2, 40),
    ],
    "Who made the examples of a run, with what?": [
        ("template", "jinja", "template-rules-v1", SOME, 5),
    ],
    "What did the examples of a run cost?": [
        ("answer", 5, 0, 0, 0, 0, Decimal(0)),
    ],
    "Is a benchmark item among a run's training data?": [
        ("held-out", "a", 3, "example"),
        ("held-out", "a", 3, "source row"),
    ],
    "Which benchmark items did a run get wrong?": [
        ("held-out", "b", "the van drove past my house", "delivery", "billing"),
    ],
    "How do two training sets differ?": [
        (3, 3, None),  # by then the benchmark was known
        (5, 5, None),
        (6, None, 1),
        (7, None, 2),
        (8, None, 4),
    ],
    "What did a row reach?": [
        ("call", "call:3"),
        ("evaluation", "evaluation:1"),
        ("example", "example:3"),
        ("link", "link:3"),
        ("run", "run:1"),
        ("set", "set:triage-first"),
    ],
    "Which runs contain a dataset?": [
        (1, "triage-first", 3, 5, Decimal("60.0"), SOME),
        (2, "triage-second", 1, 6, Decimal("16.7"), SOME),
    ],
    "Which runs learned from rows of unknown licence?": [
        (1, "triage-first", 2, 5, 1),
        (2, "triage-second", 5, 6, 1),
    ],
    "Which rows of a dataset stand elsewhere too?": [("default", "train", 0, "tickets-copy", 0, "CC0-1.0")],
    "What was withdrawn, why, and who has learned from it?": [
        (1, "row", "chats:default/later:1", "its writer asked for it", True, 1, 2, "triage-second", 1, Decimal("16.7")),
    ],
    "Has anything been changed since?": [],
    "Where may a published example come from?": [
        (1, "tickets", 0, False, "stated", 1.0, "CC-BY-4.0"),
        (2, "tickets", 1, True, "words", 0.75, "CC-BY-4.0"),
    ],
    "Where does a text stand, and what was made of it?": [
        ("tickets", 0, "text", [4], [1, 2]),
        ("tickets-copy", 0, "text", None, None),
    ],
    "Which mirrors did the rankings of a task leave out?": [
        (1, "tickets-copy", 1, "tickets", 1),  # and in the second ranking it would not have made the cut
    ],
    "Which answers were rejected, and why?": [
        ("recipes", "no_rule_fits", 1, "no_rule_fits: recipes has the columns title, steps"),
        ("tickets", "label_not_mapped", 1, "label_not_mapped: 'praise'"),
    ],
    "What did the calls of a task cost?": [
        ("template", "jinja", "parsed", 8, 0, 0, Decimal(0), 0, 0),
        ("template", "jinja", "rejected", 2, 0, 0, Decimal(0), 0, 0),
    ],
    "What happened to a link?": [
        (SOME, "claim", "retrieved", "transforming", 1, 1, None),
        (SOME, "done", "transforming", "transformed", 1, 1, None),
        (SOME, "distil", "transformed", "distilled", 1, None, None),
    ],
    "What do checks say of an example?": [
        ("contaminated_example", "fail", 1.0, SOME, None, SOME, SOME),
        ("contaminated_source", "fail", 1.0, SOME, None, SOME, SOME),
        ("copied_example", "pass", 0.5, {}, None, SOME, SOME),
        ("copied_source", "warn", 1.0, SOME, None, {"action": "warn", "similarity": 0.95, "version": 1}, SOME),
        ("duplicate", "pass", 0.0, {}, None, SOME, SOME),
        ("duplicate_elsewhere", "pass", 0.0, {}, None, SOME, SOME),
        ("label", "pass", 0.0, {}, None, SOME, SOME),
        ("language", "pass", 0.0, SOME, None, SOME, SOME),
        ("leftovers", "pass", 0.0, {}, None, SOME, SOME),
        ("length", "pass", 0.0, {}, None, SOME, SOME),
        ("near_duplicate", "pass", 0.0, {}, None, SOME, SOME),
    ],
    "Which examples do checks keep out?": [
        ("duplicate", 10, "calls", "the lift is stuck and I am in it", SOME),
        ("judge", 11, "calls", "when is the lift looked after next", SOME),
    ],
    "Which runs trained on an example that is kept out now?": [
        (1, "triage-first", 3, 3, "contaminated_example: the example failed this check"),
    ],
    "Where does a task stand with its budget?": [
        ("urgency", Decimal("0.02"), 50_000, None, Decimal("0.005247"), 5097, 0, 0, None),
    ],
    "Which calls count without an answer?": [
        (17, 1, 1, 2863, Decimal("0.002963"), "no answer"),
    ],
    "Which loads brought a dataset's rows?": [
        (1, "default", "train", SOME, 4, 0, 1, SOME, SOME),
    ],
    "The share of each dataset in the top N": [
        ("chats", 4, Decimal("66.7"), 2),
        ("tickets", 2, Decimal("33.3"), 6),
    ],
    "Which retractions stand?": [
        (1, "row", "chats:default/later:1", "its writer asked for it", "support", 1, False),
    ],
    "Which sets have members that are retracted by now?": [("triage-second", 1, 6, None)],
    "What enters, leaves and stays, dataset by dataset": [
        ("chats", 0, 4, 0, 0),
        ("tickets", 2, 0, 2, 1),
    ],
}
COMPUTED = {
    "The ranking as it stands",
    "Another ranking: other weights, and a cap on each dataset",
    "The rank-based scorings",
}


def ask(engine: Engine, heading: str) -> list[tuple[Any, ...]]:
    """What a query answers; in a transaction that may only read, since that is all an auditor needs."""
    statement, known = text(QUERIES[heading]), PARAMETERS | OTHERS.get(heading, {})
    names = statement.compile().params
    with engine.connect().execution_options(postgresql_readonly=True) as connection:
        return [tuple(row) for row in connection.execute(statement, {name: known[name] for name in names})]


def test_every_query_that_is_run_has_its_answer_checked() -> None:
    assert QUERIES.keys() == EXPECTED.keys() | COMPUTED


@pytest.mark.parametrize("heading", EXPECTED)
def test_a_query_answers_its_question(heading: str, seeded: Engine) -> None:
    answer = ask(seeded, heading)
    expected = EXPECTED[heading]
    assert len(answer) == len(expected)
    for row, wanted in zip(answer, expected, strict=True):
        assert (
            tuple(SOME if want is SOME and got is not None else got for got, want in zip(row, wanted, strict=True))
            == wanted
        )


def parts(engine: Engine) -> dict[tuple[str, str, int], tuple[float, float, float]]:
    rows = ask(engine, "The ranking as it stands")
    return {row[2:5]: (row[5], row[7], row[9]) for row in rows}


def test_the_ranking_as_it_stands(seeded: Engine) -> None:
    rows = ask(seeded, "The ranking as it stands")
    assert [row[0] for row in rows] == list(range(2, 8)), "the first was retracted since"
    assert ("chats", "later", 1) not in [row[2:5] for row in rows]
    assert [float(row[1]) for row in rows] == pytest.approx(
        [sum(part) / 3 for part in parts(seeded).values()], abs=1e-4
    )


def test_another_ranking_weighs_and_caps_as_it_says(seeded: Engine) -> None:
    rows = ask(seeded, "Another ranking: other weights, and a cap on each dataset")
    assert [rank for rank, *_ in rows] == [1, 2, 3, 4]
    assert [dataset for _, dataset, *_ in rows].count("chats") == 2  # without the cap there would be more
    known = parts(seeded)
    weighed = {
        row: (input_score + 2 * output_score + 0.5 * dataset_score) / 3.5
        for row, (input_score, output_score, dataset_score) in known.items()
    }
    answered = {row[1:4]: float(row[4]) for row in rows if row[1:4] in known}
    assert len(answered) >= 3
    assert answered == pytest.approx({row: weighed[row] for row in answered}, abs=1e-4)
    assert list(answered.values()) == sorted(answered.values(), reverse=True)
    assert sum(score > min(answered.values()) for (dataset, *_), score in weighed.items() if dataset == "chats") > 2


@pytest.mark.parametrize(("scoring", "column"), [("average-rank", 3), ("max-rank", 4)])
def test_the_rank_based_scorings_agree_with_the_code(scoring: str, column: int, seeded: Engine) -> None:
    with seeded.connect() as connection:
        stored = connection.execute(
            text(
                "SELECT row_score.* FROM row_score JOIN task_version USING (task_version_id)"
                " JOIN task USING (task_id) WHERE task.name = :task ORDER BY dataset_id"
            ),
            {"task": PARAMETERS["task"]},
        ).all()
        places = connection.execute(
            text(
                "SELECT dataset_id, row_id, dataset.name, dataset_split.split, source_index FROM source_row"
                " JOIN dataset USING (dataset_id) JOIN dataset_split USING (dataset_id, split_id)"
            )
        )
        place_of = {(dataset_id, row_id): tuple(place) for dataset_id, row_id, *place in places}
    lengths = [len(row.row_ids) for row in stored]

    def joined(part: str) -> Any:
        return np.concatenate([getattr(row, part) for row in stored])

    rows = Candidates(
        dataset_ids=np.repeat([row.dataset_id for row in stored], lengths),
        row_ids=joined("row_ids"),
        input_scores=joined("input_scores").astype(np.float32),
        output_scores=joined("output_scores").astype(np.float32),
        input_columns=joined("input_columns"),
        output_columns=joined("output_columns"),
        dataset_scores=np.repeat([row.dataset_score for row in stored], lengths).astype(np.float32),
        mirror_groups=np.zeros(sum(lengths), np.int64),
    )
    ranking = rank_rows(rows, top_n=sum(lengths), scoring=scoring, excluded=set(), drop_mirrors=False)
    by_code = sorted(
        (*place_of[int(rows.dataset_ids[place]), int(rows.row_ids[place])], score)
        for place, score in zip(ranking.chosen, ranking.scores, strict=True)
    )
    by_query = sorted((*row[:3], float(row[column])) for row in ask(seeded, "The rank-based scorings"))
    assert by_query == by_code


def test_snippets_of_python_hold(seeded: Engine) -> None:
    page = (DOCS / "schema.md").read_text(encoding="utf-8")
    (snippet,) = re.findall(r"^```python run\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    with seeded.connect() as connection:
        exec(compile(snippet, "docs/schema.md", "exec"), {"connection": connection})  # noqa: S102 - our own page
        for table in re.findall(r"FROM (\w+)", snippet):
            assert connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one() > 0, table  # noqa: S608


def test_the_printed_chain_of_the_page_is_that_of_the_command(seeded: Engine) -> None:
    page = (DOCS / "lineage.md").read_text(encoding="utf-8")
    shown = re.findall(r"^```text\n(.*?)^```", page, re.MULTILINE | re.DOTALL)[0].splitlines()
    with seeded.connect() as connection:
        lines = [f"{label} {value}" for label, value in _lines(why(connection, 3))]
    assert [comparable(line) for line in shown] == [comparable(line) for line in lines]


def comparable(line: str) -> str:
    line = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d", "TIME", line)
    return " ".join(re.sub(r"file://\S+/", "file:///", line).split())


def test_every_line_of_the_chain_is_explained(seeded: Engine) -> None:
    page = (DOCS / "lineage.md").read_text(encoding="utf-8").partition("line by line\n")[2].partition("\n## ")[0]
    explained = {
        label for cell in re.findall(r"^\| (`.+?) \|", page, re.MULTILINE) for label in re.findall(r"`([^`]+)`", cell)
    }
    with seeded.connect() as connection:
        mirrored = why(connection, 4)
        labels = {label.strip() for label, _ in _lines(mirrored | {"rationale": "because"})}
    assert labels - mirrored["content"].keys() <= explained
    assert "mirrored by" in labels
