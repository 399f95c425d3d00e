"""The types that Hugging Face `datasets` adds to a schema: label names, and what is an image or a sound.

They come as the JSON form of `datasets.Features`, which `datasets` also writes into the schema of the Parquet files it
makes; none of it needs that package. See `Features.to_dict` and `Features.from_arrow_schema` there.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

Feature = dict[str, Any] | list[Any]
"""A node: `{"_type": "ClassLabel", "names": […]}`, `{"_type": "List", "feature": node}`, or fields by name."""

_LISTS = {"List", "LargeList", "Sequence"}
_TEXT = _LISTS | {"Value", "ClassLabel", "Json", "Translation", "TranslationVariableLanguages"}
_ARRAYS = {"Array2D", "Array3D", "Array4D", "Array5D"}


def features_of(schema: pa.Schema) -> dict[str, Any]:
    """The features that the metadata of an Arrow schema states; empty where it states none."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, TypeError, ValueError):
        return {}
    return features if isinstance(features, dict) else {}


def kind(feature: Feature | None) -> str | None:
    """The name of the feature's class; None for plain fields."""
    found = feature.get("_type") if isinstance(feature, dict) else None
    return found if isinstance(found, str) else None


def type_name(feature: Feature | None) -> str | None:
    """The name of a type that Arrow's own does not tell; None where it does."""
    found = kind(feature)
    return found if found in _ARRAYS | {"ClassLabel", "Json"} else None


def is_media(feature: Feature | None) -> bool:
    """Whether the values are images, sounds, documents or other files rather than text or numbers."""
    found = kind(feature)
    return found is not None and found not in _TEXT | _ARRAYS


def field_of(feature: Feature | None, name: str) -> Feature | None:
    """The node of a struct's field. A sequence of structs is stored as a struct of lists, and so are its fields."""
    inner = _inner(feature)
    if isinstance(inner, dict) and kind(inner) is None and inner.get(name) is not None:
        return {"_type": "List", "feature": inner[name]}
    if isinstance(feature, dict) and kind(feature) is None:
        return feature.get(name)
    return None


def item_of(feature: Feature | None) -> Feature | None:
    """The node of a list's items."""
    return _inner(feature)


def label_names(feature: Feature | None) -> list[str] | None:
    """The names of a ClassLabel, by number; None for anything else."""
    names = feature.get("names") if isinstance(feature, dict) and kind(feature) == "ClassLabel" else None
    return [str(name) for name in names] if isinstance(names, list) else None


def _inner(feature: Feature | None) -> Feature | None:
    if isinstance(feature, list):
        return feature[0] if len(feature) == 1 else None
    if isinstance(feature, dict) and kind(feature) in _LISTS:
        return feature.get("feature")
    return None
