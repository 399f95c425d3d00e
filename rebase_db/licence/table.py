"""The licences that are known: identifiers, duties and other spellings. Those of Creative Commons are read by rule."""

from __future__ import annotations

from rebase_db.licence.duty import Duty

_N, _A, _S, _U = Duty.NOTICE, Duty.ATTRIBUTION, Duty.SHARE_ALIKE, Duty.USE_LIMITS
_C, _R = Duty.NON_COMMERCIAL, Duty.RESEARCH_ONLY

_FREE: dict[str, str | None] = {
    "cc0-1.0": "CC0-1.0", "pddl": "PDDL-1.0", "unlicense": "Unlicense", "wtfpl": "WTFPL", "0bsd": "0BSD",
    "mit-0": "MIT-0", "public-domain": None, "cc-pdm-1.0": "CC-PDM-1.0", "cc-pddc": "CC-PDDC",
    "dl-de-zero-2.0": "DL-DE-ZERO-2.0",
}  # fmt: skip
_NOTICE: dict[str, str | None] = {
    "apache-2.0": "Apache-2.0", "mit": "MIT", "afl-3.0": "AFL-3.0", "artistic-2.0": "Artistic-2.0",
    "bsl-1.0": "BSL-1.0", "bsd": None, "bsd-2-clause": "BSD-2-Clause", "bsd-3-clause": "BSD-3-Clause",
    "bsd-3-clause-clear": "BSD-3-Clause-Clear", "cdla-permissive-1.0": "CDLA-Permissive-1.0",
    "cdla-permissive-2.0": "CDLA-Permissive-2.0", "ecl-2.0": "ECL-2.0", "isc": "ISC",
    "ncsa": "NCSA", "postgresql": "PostgreSQL", "zlib": "Zlib", "openmdw-1.0": "OpenMDW-1.0",
    "lppl-1.3c": "LPPL-1.3c", "apple-ascl": None,
}  # fmt: skip
_ATTRIBUTION: dict[str, str | None] = {
    "odc-by": "ODC-By-1.0", "etalab-2.0": "etalab-2.0", "dl-de-by-2.0": "DL-DE-BY-2.0", "nlod-1.0": "NLOD-1.0",
    "nlod-2.0": "NLOD-2.0", "ogl-uk-1.0": "OGL-UK-1.0", "ogl-uk-2.0": "OGL-UK-2.0", "ogl-uk-3.0": "OGL-UK-3.0",
    "ogl-canada-2.0": "OGL-Canada-2.0",
}  # fmt: skip
_SHARE_ALIKE: dict[str, str | None] = {
    "agpl-3.0": "AGPL-3.0-only", "cdla-sharing-1.0": "CDLA-Sharing-1.0", "epl-1.0": "EPL-1.0", "epl-2.0": "EPL-2.0",
    "eupl-1.1": "EUPL-1.1", "eupl-1.2": "EUPL-1.2", "gpl": None, "gpl-2.0": "GPL-2.0-only",
    "gpl-3.0": "GPL-3.0-only", "lgpl": None, "lgpl-2.1": "LGPL-2.1-only", "lgpl-3.0": "LGPL-3.0-only",
    "mpl-2.0": "MPL-2.0", "ofl-1.1": "OFL-1.1", "osl-3.0": "OSL-3.0", "ms-pl": "MS-PL", "lgpl-lr": "LGPLLR",
}  # fmt: skip
_USE_LIMITS = (
    "openrail", "openrail++", "bigscience-openrail-m", "creativeml-openrail-m", "bigscience-bloom-rail-1.0",
    "bigcode-openrail-m", "llama2", "gemma", "grok2-community",
)  # fmt: skip
# "Built with Llama" is to be shown.
_USE_LIMITS_WITH_NAME = ("llama3", "llama3.1", "llama3.2", "llama3.3", "llama4")

_COPYLEFT_WITH_AUTHORS: dict[str, str | None] = {
    "odbl": "ODbL-1.0", "gfdl": None, "gfdl-1.1": "GFDL-1.1-only", "gfdl-1.2": "GFDL-1.2-only",
    "gfdl-1.3": "GFDL-1.3-only",
}  # fmt: skip
TABLE: dict[str, tuple[str | None, frozenset[Duty]]] = {
    **{name: (spdx, frozenset()) for name, spdx in _FREE.items()},
    **{name: (spdx, frozenset({_N})) for name, spdx in _NOTICE.items()},
    **{name: (spdx, frozenset({_N, _A})) for name, spdx in _ATTRIBUTION.items()},
    **{name: (spdx, frozenset({_N, _S})) for name, spdx in _SHARE_ALIKE.items()},
    **{name: (None, frozenset({_N, _U})) for name in _USE_LIMITS},
    **{name: (None, frozenset({_N, _A, _U})) for name in _USE_LIMITS_WITH_NAME},
    **{name: (spdx, frozenset({_N, _A, _S})) for name, spdx in _COPYLEFT_WITH_AUTHORS.items()},
    "c-uda": ("C-UDA-1.0", frozenset({_N, _A, _U})),
    "deepfloyd-if-license": (None, frozenset({_N, _U, _C, _R})),
    "fair-noncommercial-research-license": (None, frozenset({_N, _C, _R})),
    "intel-research": (None, frozenset({_N, _C, _R})),
    "h-research": (None, frozenset({_N, _C, _R})),
    "apple-amlr": (None, frozenset({_N, _C, _R})),
}
"""By the hub's identifier: the SPDX identifier, and the duties."""

ALIASES = {
    **{spdx.casefold(): name for name, (spdx, _) in TABLE.items() if spdx is not None},
    "cc0": "cc0-1.0", "cc-0": "cc0-1.0", "cc-zero": "cc0-1.0", "cc-zero-1.0": "cc0-1.0", "cc0-1.0-universal": "cc0-1.0",
    "cc-zero-1.0-universal": "cc0-1.0", "publicdomain-zero-1.0": "cc0-1.0", "publicdomain-mark-1.0": "cc-pdm-1.0",
    "pd": "public-domain", "publicdomain": "public-domain", "the-unlicense": "unlicense",
    "apache": "apache-2.0", "apache2": "apache-2.0", "apache2.0": "apache-2.0", "apache-2": "apache-2.0",
    "apache-software-2.0": "apache-2.0", "asl-2.0": "apache-2.0", "expat": "mit", "x11": "mit",
    "bsd-2": "bsd-2-clause", "bsd-3": "bsd-3-clause", "new-bsd": "bsd-3-clause",
    "bsd-3-clause-new-or-revised": "bsd-3-clause", "bsd-2-clause-simplified": "bsd-2-clause",
    "simplified-bsd": "bsd-2-clause",
    "2-clause-bsd": "bsd-2-clause", "3-clause-bsd": "bsd-3-clause",
    "gplv2": "gpl-2.0", "gplv3": "gpl-3.0", "lgplv3": "lgpl-3.0", "agplv3": "agpl-3.0", "gnu-gpl": "gpl",
    "gnu-general-public": "gpl", "gnu-general-public-3.0": "gpl-3.0", "gnu-general-public-2.0": "gpl-2.0",
    "gnu-free-documentation": "gfdl", "gnu-fdl": "gfdl",
    "odc-by-1.0": "odc-by", "open-data-commons-attribution": "odc-by", "open-data-commons-attribution-1.0": "odc-by",
    "odbl-1.0": "odbl", "open-database": "odbl", "open-data-commons-open-database": "odbl",
    "open-data-commons-open-database-1.0": "odbl", "pddl-1.0": "pddl",
    "open-data-commons-public-domain-dedication-and": "pddl",
    "etalab": "etalab-2.0", "ogl": "ogl-uk-3.0", "open-government": "ogl-uk-3.0", "open-government-3.0": "ogl-uk-3.0",
    "cdla-permissive": "cdla-permissive-2.0", "cdla-sharing": "cdla-sharing-1.0",
    "community-data-agreement-permissive-2.0": "cdla-permissive-2.0",
    "community-data-agreement-permissive-1.0": "cdla-permissive-1.0",
    "community-data-agreement-sharing-1.0": "cdla-sharing-1.0",
    "computational-use-of-data-agreement": "c-uda", "llama-2": "llama2", "llama-3": "llama3", "llama-3.1": "llama3.1",
}  # fmt: skip
"""Other spellings, after `_plain`."""

HUB = frozenset(TABLE) - {
    "0bsd", "mit-0", "public-domain", "cc-pdm-1.0", "cc-pddc", "dl-de-zero-2.0", "dl-de-by-2.0", "nlod-1.0", "nlod-2.0",
    "ogl-uk-1.0", "ogl-uk-2.0", "ogl-uk-3.0", "ogl-canada-2.0", "gfdl-1.1", "gfdl-1.2", "gfdl-1.3",
} | {
    "cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "cc-by-nc-2.0", "cc-by-nc-3.0",
    "cc-by-nc-4.0", "cc-by-nd-4.0", "cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0", "cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0",
    "cc-by-nc-sa-4.0",
}  # fmt: skip
"""What the model hub takes as `license` of a card; any other is `other` there."""
