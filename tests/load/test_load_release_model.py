"""Any releases one after the other, against the matching written down in plain Python."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rebase_db.errors import SourceError
from rebase_db.ingest.load import load_dataset
from rebase_db.verify.run import Tally, verify
from tests.load.sources import dataset_of, fetch, split_of

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from sqlalchemy import Engine

    from tests.load.sources import Row

Place = tuple[int, int]
"""What a row is known by: its load and its index."""


@dataclass(frozen=True)
class Arriving:
    """A row of a release."""

    key: str | None
    content: tuple[tuple[str, str], ...]

    @property
    def row(self) -> Row:
        return dict(self.content)


class RefusedError(Exception):
    """The release is refused."""


@dataclass
class Model:
    """Rows by their place, which of them stand, and which was which before."""

    load: int = 0
    live: dict[Place, Arriving] = field(default_factory=dict)
    removed: dict[Place, int] = field(default_factory=dict)
    previous: dict[Place, Place] = field(default_factory=dict)

    def take(self, release: list[Arriving], asked: str | None) -> Counter[str]:
        by = asked
        if by is None:
            keyed = _unique([row.key for row in self.live.values()]) and _unique([row.key for row in release])
            by = "key:__row_id" if keyed else "content"
        if not self.live:
            pairs: dict[int, Place] = {}
        elif by == "content":
            pairs = self._same_content(release)
            if asked is None and not pairs and not self._kin(release):
                raise RefusedError
            self._same_place(release, pairs)
        else:
            key_of: Callable[[int, Arriving], Hashable] = {
                "index": lambda index, _: index,
                "key:__row_id": lambda _, row: row.key,
                "key:a": lambda _, row: row.row.get("a"),
            }[by]
            here = [key_of(index, row) for index, row in enumerate(release)]
            there = {place: key_of(place[1], row) for place, row in self.live.items()}
            if not _unique(here) or not _unique(list(there.values())):
                raise RefusedError
            places = {key: place for place, key in there.items()}
            pairs = {index: places[key] for index, key in enumerate(here) if key in places}
            if asked is None and not pairs:
                raise RefusedError
        return self._settle(release, pairs)

    def _same_content(self, release: list[Arriving]) -> dict[int, Place]:
        free: dict[tuple[tuple[str, str], ...], list[Place]] = defaultdict(list)
        for place, row in sorted(self.live.items()):
            free[row.content].append(place)
        pairs: dict[int, Place] = {}
        for index, row in enumerate(release):
            # The oldest of those that stand there.
            here = next((place for place in free[row.content] if place[1] == index), None)
            if here is not None:
                pairs[index] = here
                free[row.content].remove(here)
        for index, row in enumerate(release):
            if index not in pairs and free[row.content]:
                pairs[index] = min(free[row.content], key=lambda place: (place[1], place[0]))
                free[row.content].remove(pairs[index])
        return pairs

    def _same_place(self, release: list[Arriving], pairs: dict[int, Place]) -> None:
        for index in range(len(release)):
            left = [place for place in self.live if place[1] == index and place not in pairs.values()]
            if index not in pairs and left:
                pairs[index] = max(left)

    def _kin(self, release: list[Arriving]) -> bool:
        texts = {place: {text for _, text in row.content} for place, row in self.live.items()}
        return any(
            cell in row.content and not any(cell[1] in texts[other] for other in self.live if other != place)
            for place, row in self.live.items()
            if place[1] < len(release)
            for cell in release[place[1]].content
        )

    def _settle(self, release: list[Arriving], pairs: dict[int, Place]) -> Counter[str]:
        same = {index for index, place in pairs.items() if self.live[place].content == release[index].content}
        stay = {pairs[index] for index in same}
        gone = self.live.keys() - stay
        new = [index for index in range(len(release)) if index not in same]
        changed = [index for index in new if index in pairs]
        if new or gone:
            self.load += 1
        self.previous |= {(self.load, index): pairs[index] for index in changed}
        self.removed |= dict.fromkeys(gone, self.load)
        self.live = {place: row for place, row in self.live.items() if place in stay}
        self.live |= {(self.load, index): release[index] for index in new}
        return Counter(
            added=len(new) - len(changed), changed=len(changed), removed=len(gone) - len(changed), unchanged=len(same)
        )


def _unique(keys: list[Hashable]) -> bool:
    return None not in keys and len(set(keys)) == len(keys)


rows = st.builds(
    Arriving,
    st.none() | st.sampled_from("pqrst"),
    st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xyz")), min_size=1, max_size=2, unique_by=lambda c: c[0])
    .map(sorted)
    .map(tuple),
)
keyed = st.lists(rows, min_size=1, max_size=6).map(
    lambda found: [Arriving("pqrstu"[(place * 5 + len(found)) % 6], row.content) for place, row in enumerate(found)]
)
releases = st.lists(
    st.tuples(
        st.lists(rows, min_size=1, max_size=6) | keyed,
        st.sampled_from([None, None, "content", "index", "key:__row_id", "key:a"]),
    ),
    min_size=2,
    max_size=5,
)
_number = count()

STORED = """
SELECT
    source_row.ingest_id, source_index, source_key, content, removed_row.ingest_id, removed_at IS NULL, previous_row_id
FROM source_row
JOIN dataset USING (dataset_id)
LEFT JOIN removed_row USING (dataset_id, row_id)
LEFT JOIN changed_row USING (dataset_id, row_id)
WHERE name = :name
"""
PLACES = "SELECT row_id, ingest_id, source_index FROM source_row JOIN dataset USING (dataset_id) WHERE name = :name"


def compare(engine: Engine, name: str, model: Model) -> None:
    """What is stored is what the model says."""
    places = {row_id: (load, index) for row_id, load, index in fetch(engine, PLACES, name=name)}
    stored = {(row[0], row[1]): row[2:] for row in fetch(engine, STORED, name=name)}
    assert len(stored) == len(places)
    found = {place: Arriving(row[0], tuple(sorted(row[1].items()))) for place, row in stored.items() if row[3]}
    # A row that stays keeps the key that it came with.
    assert found == model.live
    assert {place: row[2] for place, row in stored.items() if row[2] is not None} == model.removed
    assert {place: places[row[4]] for place, row in stored.items() if row[4] is not None} == model.previous


# One database serves all examples: each has a dataset of its own.
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(releases)
def check_releases(engine: Engine, sequence: list[tuple[list[Arriving], str | None]]) -> None:
    name, model = f"dataset {next(_number)}", Model()
    for step, (release, match) in enumerate(sequence):
        split = split_of([row.row for row in release], keys=[row.key for row in release], revision=str(step))
        said: Counter[str] | None = None
        try:
            receipt = load_dataset(engine, dataset_of(name, split), match=match)
        except SourceError:
            pass
        else:
            said = Counter(
                added=receipt.rows_added,
                changed=receipt.rows_changed,
                removed=receipt.rows_removed,
                unchanged=receipt.rows_unchanged,
            )
        try:
            expected = model.take(release, match)
        except RefusedError:
            assert said is None
            continue
        assert said == expected
        # A load of which only the columns are new is on record too.
        model.load = max(model.load, receipt.ingest_id)
        compare(engine, name, model)


def test_any_releases(engine: Engine) -> None:
    check_releases(engine)
    assert [str(lie) for lie in verify(engine, Tally())] == []
