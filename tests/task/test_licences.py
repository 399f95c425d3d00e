from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from rebase_db.errors import TaskError
from rebase_db.licence.policy import Policy
from rebase_db.task.load import load_task

if TYPE_CHECKING:
    from pathlib import Path

PLAIN = """\
name: animals
instruction: Name the animal.
examples:
  - {input: It barks., output: dog}
"""


def test_licences_are_a_setting_and_no_part_of_the_version(tmp_path: Path) -> None:
    path = tmp_path / "task.yaml"
    path.write_text(PLAIN)
    plain = load_task(path)
    assert plain.licences.policy() == Policy()
    path.write_text(f"{PLAIN}licences: {{forbid: [cc-by-nc, share-alike], flag: [], unknown: forbid}}\n")
    strict = load_task(path)
    assert strict.definition() == plain.definition()
    assert strict.licences.policy() == Policy(("cc-by-nc", "share-alike"), (), "forbid")
    # What a file does not say is not stored, so that a later default reaches it.
    assert "licences" not in plain.model_dump(mode="json", exclude_unset=True)


def test_a_name_that_nobody_knows_is_refused_at_its_line(tmp_path: Path) -> None:
    path = tmp_path / "task.yaml"
    path.write_text(f"{PLAIN}licences:\n  forbid:\n    - mit\n    - noncommercial\n")
    with pytest.raises(TaskError, match=r":8: licences\.forbid\[1\]: 'noncommercial' is neither") as caught:
        load_task(path)
    assert "Did you mean non-commercial" in caught.value.hint
