"""YAML read as text: every scalar stays as it is written, every node keeps its line.

YAML 1.1 turns `no` into false, `1.10` into 1.1 and `1e-5` into a string. In a task file `no` is a label, `1.10` is an
answer and `1e-5` is a learning rate, so nothing is guessed here: the models know which is which.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

_NULL = "tag:yaml.org,2002:null"
_TEXT = "tag:yaml.org,2002:str"
_MOST_NODES = 200_000  # aliases of aliases can spell a document that no memory holds


class YamlFault(Exception):  # noqa: N818 - a place and a reason, which the caller turns into the user's error
    """Why and where (1-based line and column, 0 where unknown) a text is not YAML we take."""

    def __init__(self, reason: str, line: int = 0, column: int = 0) -> None:
        super().__init__(reason)
        self.reason, self.line, self.column = reason, line, column


class _Loader(yaml.BaseLoader):
    pass


_Loader.add_implicit_resolver(_NULL, re.compile(r"(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""])


@dataclass(frozen=True)
class Tree:
    """Plain dicts, lists, strings and None, and the 1-based line of everything by its path."""

    value: Any
    lines: dict[tuple[str | int, ...], int] = field(default_factory=dict)


def parse(text: str) -> Tree:
    """Read one YAML document; duplicate keys, foreign tags and several documents are refused.

    Raises:
        YamlFault: With the place, and never with the text found there.
    """
    try:
        root = yaml.compose(text, Loader=_Loader)
        tree = Tree(None) if root is None else Tree({})
        return tree if root is None else Tree(_plain(root, (), tree.lines, set()), tree.lines)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        if mark and mark.index >= len(text) and error.context_mark:  # what is open at the end began elsewhere
            mark = error.context_mark
        reason = ", ".join(part for part in (error.context, error.problem) if part)
        raise YamlFault(reason, mark.line + 1 if mark else 0, mark.column + 1 if mark else 0) from None
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        column = error.position - before.rfind("\n")
        raise YamlFault(f"{error.reason} (U+{ord(text[error.position]):04X})", before.count("\n") + 1, column) from None
    except RecursionError:
        raise YamlFault("it is nested too deeply") from None


def _plain(
    node: yaml.Node, path: tuple[str | int, ...], lines: dict[tuple[str | int, ...], int], above: set[int]
) -> Any:
    line, column = node.start_mark.line + 1, node.start_mark.column + 1
    lines.setdefault(path, line)
    if len(lines) > _MOST_NODES:
        raise YamlFault(f"it has more than {_MOST_NODES:,} values", line, column)
    if id(node) in above:
        raise YamlFault("an alias contains itself", line, column)
    above = above | {id(node)}
    if isinstance(node, yaml.MappingNode) and node.tag == "tag:yaml.org,2002:map":
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            at = key_node.start_mark
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag != _TEXT:
                raise YamlFault("a key is not plain text", at.line + 1, at.column + 1)
            key = key_node.value
            if key in result:
                raise YamlFault(f"the key {key!r} stands here a second time", at.line + 1, at.column + 1)
            lines[(*path, key)] = at.line + 1
            result[key] = _plain(value_node, (*path, key), lines, above)
        return result
    if isinstance(node, yaml.SequenceNode) and node.tag == "tag:yaml.org,2002:seq":
        return [_plain(item, (*path, index), lines, above) for index, item in enumerate(node.value)]
    if isinstance(node, yaml.ScalarNode) and node.tag in {_TEXT, _NULL}:
        return None if node.tag == _NULL else node.value
    raise YamlFault(f"the tag {node.tag} is not supported", line, column)
