from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebase_db.licence.duty import Duty, in_order
from rebase_db.licence.known import is_known, read_licence
from rebase_db.licence.table import ALIASES, HUB, TABLE

BY, BY_SA, BY_NC = ["notice", "attribution"], ["notice", "attribution", "share-alike"], [
    "notice", "attribution", "non-commercial",
]  # fmt: skip


@pytest.mark.parametrize(
    ("stated", "ids", "spdx", "duties"),
    [
        ("CC0 1.0 Universal", ["cc0-1.0"], "CC0-1.0", []),
        ("Public Domain", ["public-domain"], None, []),
        ("https://creativecommons.org/publicdomain/zero/1.0/", ["cc0-1.0"], "CC0-1.0", []),
        ("mit", ["mit"], "MIT", ["notice"]),
        ("The MIT License (MIT)", ["mit"], "MIT", ["notice"]),
        ("https://opensource.org/licenses/MIT", ["mit"], "MIT", ["notice"]),
        ("Apache License, Version 2.0", ["apache-2.0"], "Apache-2.0", ["notice"]),
        ("https://www.apache.org/licenses/LICENSE-2.0.txt", ["apache-2.0"], "Apache-2.0", ["notice"]),
        ("GPLv3", ["gpl-3.0"], "GPL-3.0-only", ["notice", "share-alike"]),
        ("GPL-2.0-or-later", ["gpl-2.0"], "GPL-2.0-or-later", ["notice", "share-alike"]),
        ("cc-by-4.0", ["cc-by-4.0"], "CC-BY-4.0", BY),
        ("cc by 4", ["cc-by-4.0"], "CC-BY-4.0", BY),
        ("CC-BY-2.5-AU", ["cc-by-2.5-au"], "CC-BY-2.5-AU", BY),
        ("cc-by", ["cc-by"], None, BY),
        ("http://creativecommons.org/licenses/by-sa/3.0/legalcode", ["cc-by-sa-3.0"], "CC-BY-SA-3.0", BY_SA),
        ("Creative Commons Attribution-ShareAlike 4.0 International", ["cc-by-sa-4.0"], "CC-BY-SA-4.0", BY_SA),
        ("CC BY-NC 4.0 Deed", ["cc-by-nc-4.0"], "CC-BY-NC-4.0", BY_NC),
        ("CC-BY-NC-ND-4.0", ["cc-by-nc-nd-4.0"], "CC-BY-NC-ND-4.0", [*BY_NC, "no-derivatives"]),
        ("https://opendatacommons.org/licenses/odbl/1-0/", ["odbl"], "ODbL-1.0", BY_SA),
        ("llama3.1", ["llama3.1"], None, ["notice", "attribution", "use-limits"]),
        # Words in parentheses may take back what the name grants.
        ("cc-by-4.0 (non-commercial)", [], None, ["unknown"]),
        ("Creative Commons Attribution 4.0 (CC BY)", ["cc-by-4.0"], "CC-BY-4.0", BY),
        ("cc-by-4.0-nc", [], None, ["unknown"]),
        # All of several hold.
        ("cc-by-4.0, mit", ["cc-by-4.0", "mit"], "CC-BY-4.0 AND MIT", BY),
        ("(CC-BY-SA-4.0 AND CC-BY-NC-4.0)", ["cc-by-sa-4.0", "cc-by-nc-4.0"], "CC-BY-SA-4.0 AND CC-BY-NC-4.0",
         ["notice", "attribution", "share-alike", "non-commercial"]),
        # Of those to choose from the lightest, if there is one.
        ("MIT OR GPL-3.0-only", ["mit", "gpl-3.0"], "MIT OR GPL-3.0-only", ["notice"]),
        ("cc-by-sa-4.0 or cc-by-nc-4.0", ["cc-by-sa-4.0", "cc-by-nc-4.0"], "CC-BY-SA-4.0 OR CC-BY-NC-4.0",
         ["notice", "attribution", "share-alike", "non-commercial"]),
        ("CC-BY-NC-4.0 OR MIT AND ODC-By-1.0", ["cc-by-nc-4.0", "mit", "odc-by"],
         "CC-BY-NC-4.0 OR MIT AND ODC-By-1.0", BY),
        ("(CC-BY-NC-4.0 OR MIT) AND ODC-By-1.0", ["cc-by-nc-4.0", "mit", "odc-by"],
         "(CC-BY-NC-4.0 OR MIT) AND ODC-By-1.0", BY),
        ("mit or odc-by and cc-by-nc-4.0", ["mit", "odc-by", "cc-by-nc-4.0"],
         "(MIT OR ODC-By-1.0) AND CC-BY-NC-4.0", BY_NC),
        ("(MIT AND CC-BY-4.0) OR 0BSD", ["mit", "cc-by-4.0", "0bsd"], "MIT AND CC-BY-4.0 OR 0BSD", []),
        ("MIT or whatever you like", ["mit"], None, ["notice"]),
        # What is not understood is unknown, beside what is.
        ("cc-by-4.0, see our site", ["cc-by-4.0"], None, [*BY, "unknown"]),
        ("see our site", [], None, ["unknown"]),
        ("https://example.org/licence", [], None, ["unknown"]),
        ("cc", [], None, ["unknown"]),
        ("cc-by-ncx", [], None, ["unknown"]),
        ("other", [], None, ["unknown"]),
        ("  ", [], None, ["unknown"]),
        (None, [], None, ["unknown"]),
    ],
)  # fmt: skip
def test_what_datasets_state_is_read(stated: str | None, ids: list[str], spdx: str | None, duties: list[str]) -> None:
    licence = read_licence(stated)
    assert (list(licence.ids), licence.spdx, in_order(licence.duties)) == (ids, spdx, duties)
    assert licence.stated == (stated or "").strip()


def test_spdx_identifiers_are_of_its_list_and_read_back() -> None:
    from cyclonedx.spdx import is_supported_id

    for name, (spdx, duties) in TABLE.items():
        assert read_licence(name).duties == duties, name
        if spdx is not None:
            assert is_supported_id(spdx), spdx
            assert (read_licence(spdx).ids, read_licence(spdx).duties) == ((name,), duties)
    assert set(ALIASES.values()) <= set(TABLE)
    # The hub's list, as its documentation has it, is read whole.
    assert all(read_licence(name).ids == (name,) for name in HUB)


@given(st.lists(st.sampled_from([*TABLE, "cc-by-nc-4.0", "cc-by-sa-3.0", "nobody knows"]), min_size=1, max_size=4))
def test_duties_of_several_licences_are_their_union(names: list[str]) -> None:
    together = read_licence(", ".join(names)).duties
    assert together == frozenset[Duty]().union(*(read_licence(name).duties for name in names))


@given(st.text(max_size=60))
def test_any_text_is_read_as_something(stated: str) -> None:
    licence = read_licence(stated)
    assert bool(licence.ids) or licence.duties == {Duty.UNKNOWN}


@given(st.text("()[], mitorand&", max_size=60))
def test_any_expression_is_read_as_something(stated: str) -> None:
    licence = read_licence(stated)
    assert bool(licence.ids) or licence.duties == {Duty.UNKNOWN}


def test_a_licence_is_let_through_with_all_that_hold_beside_it() -> None:
    both = read_licence("cc-by-4.0, cc-by-nc-4.0")
    assert not both.is_within(["cc-by-4.0"])
    assert both.is_within(["cc-by", "cc-by-nc-4.0"])
    assert not read_licence("mit, see our site").is_within(["mit"])
    assert not read_licence("other").is_within(["mit"])
    assert read_licence("other").is_within(["Other"])


def test_names_in_a_policy_stand_for_versions_and_duties() -> None:
    licence = read_licence("CC-BY-NC-4.0")
    for name in ("non-commercial", "cc-by-nc", "CC BY-NC 4.0", "cc-by-nc-4.0"):
        assert is_known(name)
        assert licence.covers(name), name
    for name in ("cc-by-nc-3.0", "cc-by", "cc-by-nc-sa", "share-alike"):
        assert is_known(name)
        assert not licence.covers(name), name
    assert not is_known("noncommercial use")
