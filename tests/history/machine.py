"""A state machine that grows a history in Postgres and in a graph beside it, and asks both."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, TypeVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from rebase_db.control import retry, revive
from rebase_db.database.engine import engine_for
from rebase_db.distill.successor import freeze_successor
from rebase_db.distill.training_set import freeze
from rebase_db.errors import RetractionError, SourceError, TrainingError
from rebase_db.queue import TRANSFORM
from rebase_db.retract.erase import erase
from rebase_db.retract.retraction import Request, retract, undo
from rebase_db.schema import RetrievalLink
from rebase_db.verify.run import Tally, verify
from tests.conftest import _url
from tests.history.asking import ask_all, ask_impact, ask_report, ask_trace
from tests.history.doing import TASK, Doing, answer_for
from tests.history.graph import Dataset, Graph, Link, Retraction, Run, Set
from tests.schema.chain import add

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.history.graph import Row
    from tests.lending import Lending

T = TypeVar("T")
LICENCES = {"animals": "MIT", "birds": "MIT", "cats": "GPL-3.0", "dogs": ""}
NAMES = st.sampled_from(sorted(LICENCES))
WORDS = st.lists(st.integers(1, 6).map("word-{}".format), min_size=1, max_size=4)
ANSWERS = st.lists(st.sampled_from(["", "", "", " twice", "bad", "failed"]), min_size=1, max_size=4)
ANY = st.integers(0, 99)
"""One of what there is by then."""
PAIRS = st.lists(st.tuples(ANY, ANY), min_size=1, max_size=6)


def pick(some: Iterable[T], which: int) -> T:
    """One of them."""
    found = list(some)
    return found[which % len(found)]


class Machine(RuleBasedStateMachine):
    """A task's history on a database of its own."""

    lending: ClassVar[Lending]
    server: ClassVar[str]

    def __init__(self) -> None:
        super().__init__()
        self.graph = Graph()
        self.database = self.lending.lend()
        self.doing = Doing(engine_for(_url(self.server, self.database)))

    def teardown(self) -> None:
        self.doing.close()
        self.lending.take_back(self.database)

    @initialize(first=WORDS, second=WORDS, pairs=PAIRS)
    def begin(self, first: list[str], second: list[str], pairs: list[tuple[int, int]]) -> None:
        self.load("animals", first)
        self.load("cats", second)
        self.add_version()
        self.rank(0, 50, "all", set())
        self.transform(0, 6, 1, [""])
        if len(self.graph.made_for) > 1:
            self.derive(pairs)

    # The corpus.

    def dataset(self, name: str) -> int | None:
        return next((number for number, each in self.graph.datasets.items() if each.name == name), None)

    @rule(name=NAMES, words=WORDS)
    def load(self, name: str, words: list[str]) -> None:
        """A dataset comes, or its source has grown."""
        graph, known = self.graph, self.dataset(name)
        dataset = Dataset(name, LICENCES[name]) if known is None else graph.datasets[known]
        source = [*dataset.source, *words]
        standing = [each for each in graph.retractions.values() if each.standing]
        if any(known in each.datasets for each in standing) or any(
            each.kind == "licence" and each.target == (dataset.licence or "unknown") for each in standing
        ):
            with pytest.raises(SourceError):
                self.doing.load(name, dataset.licence, source)
            return
        number = self.doing.load(name, dataset.licence, source)
        graph.datasets[number] = dataset
        dataset.source = source
        here = {graph.place[row] for row in dataset.rows}
        there = {graph.texts[row] for row in dataset.rows}
        # Further copies of what is there are numbered last.
        for place, word in sorted(enumerate(source), key=lambda each: each[1] in there):
            if place not in here and word not in dataset.erased_texts:
                row = (number, len(dataset.rows) + 1)
                dataset.rows.append(row)
                graph.texts[row], graph.place[row] = word, place

    # Retrieval.

    @rule()
    @precondition(lambda self: len(self.graph.versions) < 3)
    def add_version(self) -> None:
        self.graph.versions.append(self.doing.add_version(len(self.graph.versions)))

    @rule(
        which=ANY,
        top_n=st.sampled_from([2, 4, 50, 50]),
        mirrors=st.sampled_from(["all", "first"]),
        excluded=st.sets(NAMES, max_size=1),
    )
    @precondition(lambda self: self.graph.live_rows())
    def rank(self, which: int, top_n: int, mirrors: str, excluded: set[str]) -> None:
        graph = self.graph
        version = graph.versions[which % len(graph.versions)]
        found = self.doing.rank(version, top_n=top_n, mirrors=mirrors, exclude_datasets=sorted(excluded))
        chosen = {(dataset_id, row_id) for _, dataset_id, row_id, _, present in found if present}
        candidates = {row for row in graph.live_rows() if graph.datasets[row[0]].name not in excluded}
        contents = {graph.texts[row] for row in candidates}
        assert chosen <= candidates
        assert len(chosen) == min(top_n, len(contents if mirrors == "first" else candidates))
        before = {link.row: number for number, link in graph.links.items() if link.version == version}
        assert before == {(d, r): number for number, d, r, _, _ in found if (d, r) in before}, "links stay themselves"
        for number, dataset_id, row_id, rank, present in found:
            link = graph.links.setdefault(number, Link(version, (dataset_id, row_id), rank))
            link.rank, link.present = rank, present
        graph.ranked = sorted({*graph.ranked, version})

    # Answers.

    def workable(self, version: int) -> dict[int, Link]:
        """The links of a version that somebody may work on."""
        return {
            number: link
            for number, link in self.graph.links.items()
            if link.version == version and link.present and not self.graph.is_retracted(link.row)
        }

    @rule(which=ANY, limit=st.integers(1, 6), teacher=st.integers(1, 2), answers=ANSWERS)
    @precondition(lambda self: self.graph.ranked)
    def transform(self, which: int, limit: int, teacher: int, answers: list[str]) -> None:
        graph = self.graph
        version = graph.ranked[which % len(graph.ranked)]
        waiting = [number for number, link in self.workable(version).items() if link.state == "retrieved"]
        calls = self.doing.transform(version, limit, teacher, answers)
        answered = [link for link, *_ in calls]
        assert set(answered) <= set(waiting)
        # Where a call failed, those that wait for the same answer are handed back.
        failed = {graph.texts[graph.links[link].row] for link, outcome, *_ in calls if outcome == "error"}
        back = [link for link in set(waiting) - set(answered) if graph.texts[graph.links[link].row] in failed]
        most = min(limit, len(waiting))
        assert most - len(back) <= len(answered) == len(set(answered)) <= most
        for number, outcome, example, input_, output, before in calls:
            link = graph.links[number]
            link.state = {"parsed": "transformed", "rejected": "rejected", "error": "failed"}[outcome]
            link.example = example
            if example is not None:
                assert (input_, output) in {answer_for(graph.texts[link.row], variant) for variant in ("", " twice")}
                graph.made_for[example] = number
                graph.words[example] = (input_, output)
                if before is not None:
                    assert graph.texts[graph.links[before].row] == graph.texts[link.row]
                    graph.answered_for[example] = before

    @rule(which=ANY, state=st.sampled_from(["transformed", "distilled", "rejected"]))
    @precondition(lambda self: self.graph.links)
    def ask_again(self, which: int, state: str) -> None:
        """As when the teacher has changed."""
        version = self.graph.links[pick(self.graph.links, which)].version
        again = {number: link for number, link in self.workable(version).items() if link.state == state}
        with self.doing.engine.begin() as connection:
            assert revive(connection, TRANSFORM, (state,), RetrievalLink.link_id.in_(again)) == len(again)
        for link in again.values():
            link.state = "retrieved"

    @rule()
    @precondition(lambda self: self.graph.ranked)
    def try_failed_again(self) -> None:
        live = self.graph.ranked[-1]
        failed = [link for link in self.workable(live).values() if link.state == "failed"]
        with self.doing.engine.begin() as connection:
            assert retry(connection, TASK, ["transform"]) == {"transform": len(failed)}
        for link in failed:
            link.state = "retrieved"

    @rule(pairs=PAIRS)
    @precondition(lambda self: len(self.graph.made_for) > 1)
    def derive(self, pairs: list[tuple[int, int]]) -> None:
        """As strategies to come will, that make examples from examples: before any set has them."""
        graph = self.graph
        with self.doing.engine.begin() as connection:
            for one, other in pairs:
                older, younger = sorted((pick(graph.made_for, one), pick(graph.made_for, other)))
                known = graph.parents.setdefault(younger, set())
                if graph.sets_with({younger, *graph.below(younger)}):
                    continue
                if older < younger and older not in known and not {older, younger} & graph.erased_examples:
                    add(connection, "example_parent", example_id=younger, parent_id=older)
                    known.add(older)

    # Sets and runs.

    @rule(which=ANY, name=st.sampled_from([None, None, "a", "b"]))
    @precondition(lambda self: self.graph.ranked)
    def freeze(self, which: int, name: str | None) -> None:
        graph = self.graph
        version = graph.ranked[which % len(graph.ranked)]
        expected = graph.may_enter(version)
        taken = {one.name: one for one in graph.sets.values()}
        with self.doing.engine.begin() as connection:
            lane = version, self.doing.corpus.encoder_id
            if not expected or (name in taken and not self.stands_for(taken[name], version, expected)):
                with pytest.raises(TrainingError):
                    freeze(connection, *lane, TASK, name=name)
                return
            frozen = freeze(connection, *lane, TASK, name=name)
        self.note_set(frozen.training_set_id, frozen.name, version, expected)
        self.ask()

    def says_the_same(self, one: Set, version: int, members: list[int]) -> bool:
        return one.version == version and self.graph.contents(one.members) == self.graph.contents(members)

    def stands_for(self, one: Set, version: int, members: list[int]) -> bool:
        """Whether nobody needs another set for these members."""
        return self.says_the_same(one, version, members) and not any(map(self.graph.is_withdrawn, one.members))

    def note_set(
        self, number: int, name: str, version: int, expected: list[int], successor_of: int | None = None
    ) -> None:
        graph = self.graph
        query = "SELECT example_id FROM training_set_member WHERE training_set_id = :number ORDER BY position"
        members = [example for (example,) in self.doing.read(query, number=number)]
        withdrawn = [example for example in members if graph.is_withdrawn(example)]
        assert not withdrawn, f"set {number} has examples of retracted rows: {withdrawn}"
        if number in graph.sets:
            assert graph.contents(members) == graph.contents(expected)
        else:
            assert members == expected
            graph.sets[number] = Set(name, version, tuple(members), successor_of)

    @rule(which=ANY)
    @precondition(lambda self: self.graph.sets)
    def follow(self, which: int) -> None:
        """A cleaned successor of a set."""
        graph = self.graph
        number = pick(graph.sets, which)
        before = graph.sets[number]
        kept = [example for example in before.members if not graph.is_withdrawn(example)]
        with self.doing.engine.begin() as connection:
            if not kept:
                with pytest.raises(TrainingError):
                    freeze_successor(connection, before.name)
                return
            after = freeze_successor(connection, before.name)
        assert after.left_out == len(before.members) - len(kept)
        if not after.left_out:
            assert (after.frozen.training_set_id, after.made) == (number, False)
            return
        assert after.made == (after.frozen.training_set_id not in graph.sets)
        self.note_set(after.frozen.training_set_id, after.frozen.name, before.version, kept, number)
        assert graph.sets[after.frozen.training_set_id].successor_of == number
        self.ask()

    @rule(which=ANY, seed=st.integers(1, 2), now=st.booleans())
    @precondition(lambda self: self.graph.sets)
    def ask_for_run(self, which: int, seed: int, *, now: bool) -> None:
        graph = self.graph
        number = pick(graph.sets, which)
        if any(graph.is_withdrawn(example) for example in graph.sets[number].members):
            with pytest.raises(TrainingError, match="cannot be trained on"):
                self.doing.ask_for_run(number, seed)
            return
        run = self.doing.ask_for_run(number, seed)
        if run in graph.runs:
            assert graph.runs[run].training_set == number
            if graph.runs[run].state == "failed":
                graph.runs[run].state = "waiting"
        else:
            graph.runs[run] = Run(number)
        if now and graph.runs[run].state == "waiting":
            self.end(run, well=True)

    @rule(which=ANY, well=st.sampled_from([True, True, False]))
    @precondition(lambda self: any(run.state == "waiting" for run in self.graph.runs.values()))
    def train(self, which: int, *, well: bool) -> None:
        waiting = [number for number, run in self.graph.runs.items() if run.state == "waiting"]
        self.end(pick(waiting, which), well=well)

    def end(self, number: int, *, well: bool) -> None:
        graph = self.graph
        members = graph.sets[graph.runs[number].training_set].members
        state = self.doing.train(number, well=well)
        assert (state == "refused") == any(graph.is_withdrawn(example) for example in members)
        graph.runs[number].state = "done" if state == "done" else "failed"
        if state == "done":
            for link in (graph.links[graph.made_for[example]] for example in members):
                link.state = "distilled" if link.state == "transformed" else link.state
        self.ask()

    # Retraction.

    @rule(kind=st.sampled_from(["dataset", "row", "row", "licence", "text"]), which=ANY, mirrors=st.booleans())
    def retract(self, kind: str, which: int, *, mirrors: bool) -> None:
        graph = self.graph
        targets = {
            "dataset": [each.name for each in graph.datasets.values()],
            "row": [graph.name(row) for row in graph.texts],
            "licence": sorted({each.licence or "unknown" for each in graph.datasets.values()}),
            "text": sorted(set(graph.texts.values())),
        }[kind]
        if not targets:
            return
        target = pick(targets, which)
        datasets, rows = graph.cover(kind, target, mirrors=mirrors)
        standing = [
            each
            for each in graph.retractions.values()
            if (each.kind, each.target, each.standing) == (kind, target, True)
            and (each.mirrors or not mirrors)
            and rows <= each.rows
            and datasets <= each.datasets
        ]
        with self.doing.engine.begin() as connection:
            request = Request(kind, target, "it must go", "me", mirrors)
            if standing:
                with pytest.raises(RetractionError, match="is retracted already"):
                    retract(connection, request)
                return
            report = retract(connection, request)
        assert report.rows == len(rows)
        number = report.record.retraction
        assert number is not None
        graph.retractions[number] = Retraction(kind, target, mirrors, datasets, rows)
        self.ask(number)

    @rule(which=ANY)
    @precondition(lambda self: self.graph.retractions)
    def undo(self, which: int) -> None:
        graph = self.graph
        number = pick(graph.retractions, which)
        retraction = graph.retractions[number]
        with self.doing.engine.begin() as connection:
            if retraction.erased or not retraction.standing:
                with pytest.raises(RetractionError):
                    undo(connection, number, "a mistake")
                return
            undone = undo(connection, number, "a mistake")
        retraction.standing = False
        still = sum(graph.is_retracted(row) for row in retraction.rows)
        assert (undone.rows_back, undone.rows_still_retracted) == (len(retraction.rows) - still, still)
        self.ask(number)

    @rule(which=ANY)
    @precondition(lambda self: self.graph.retractions)
    def erase(self, which: int) -> None:
        graph = self.graph
        number = pick(graph.retractions, which)
        with self.doing.engine.begin() as connection:
            if not graph.retractions[number].standing:
                with pytest.raises(RetractionError):
                    erase(connection, number)
                return
            erase(connection, number)
        if not graph.retractions[number].erased:
            graph.erase(number)
        self.ask(number)

    # Questions.

    def ask(self, retraction: int | None = None) -> None:
        """Every question."""
        graph = self.graph
        with self.doing.engine.connect() as connection:
            ask_all(connection, graph)
            for number, each in graph.datasets.items():
                ask_impact(connection, graph, f"dataset:{each.name}", graph.rows_of(number))
            if retraction is not None:
                rows: set[Row] = set(graph.retractions[retraction].rows)
                ask_impact(connection, graph, f"retraction:{retraction}", rows)
                ask_report(connection, graph, retraction)

    @rule()
    @precondition(lambda self: self.graph.made_for)
    def look_closely(self) -> None:
        """The slower questions."""
        graph = self.graph
        with self.doing.engine.connect() as connection:
            for example in list(graph.made_for)[-2:]:
                ask_trace(connection, graph, "example", example)
            for run in list(graph.runs)[-1:]:
                ask_trace(connection, graph, "run", run)
        lies = list(verify(self.doing.engine, Tally(), files=False))
        assert lies == [], lies
