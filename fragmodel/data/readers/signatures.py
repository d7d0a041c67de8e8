"""Matches of signatures, and which signature of an InterPro entry stands for it.

An entry integrates signatures of several libraries, which see more or less of the same thing: a profile or a hidden
Markov model covers a domain, a fingerprint has short pieces of it, a pattern a dozen conserved residues. One signature
stands for the entry in a protein and nothing is merged; which one depends on what the entry's type means.
"""

import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import NamedTuple

# Names as InterProScan 5 writes them in TSV, in the order in which models of a whole domain are preferred.
_MODELS = (
    *(
        "ProSiteProfiles",
        "SMART",
        "Pfam",
        "CDD",
        "NCBIfam",
        "TIGRFAM",
        "Hamap",
        "SFLD",
        "PIRSF",
        "PANTHER",
        "ProDom",
    ),
    *("AntiFam", "Gene3D", "SUPERFAMILY"),
)
_FINGERPRINTS = ("PRINTS",)
_PATTERNS = ("ProSitePatterns",)
UNINTEGRATED = frozenset(
    {"Coils", "MobiDBLite", "Phobius", "TMHMM", "DeepTMHMM", "TMbed", "ELM", "PIRSR", "FunFam", "SignalP_EUK"}
    | {"SignalP_PROK", "SignalP_GRAM_POSITIVE", "SignalP_GRAM_NEGATIVE"}
)
"""Libraries whose signatures never belong to an InterPro entry."""
_OTHER_SPELLINGS = {
    "CATHGENE3D": "Gene3D",
    "CATHFUNFAM": "FunFam",
    "TIGRFAMS": "TIGRFAM",
    "PROFILE": "ProSiteProfiles",
    "PROSITE": "ProSitePatterns",
    "SSF": "SUPERFAMILY",
}


class Match(NamedTuple):
    """One match of a signature."""

    library: str  # in one spelling, see :func:`library_name`
    signature: str
    signature_name: str
    spans: tuple[
        tuple[int, int], ...
    ]  # 1-based with inclusive ends; several where the domain is discontinuous
    entry: str
    entry_name: str
    entry_type: str  # `DOMAIN`, `ACTIVE_SITE`, …; "" where the file does not say
    record: int  # row of the match, 0 for that of the protein


@cache
def library_name(written: str) -> str:
    """A library in InterProScan 5's spelling: `PROSITE_PROFILES` and `PROSITE profiles` are `ProSiteProfiles`.

    An unknown one is warned of once and keeps its spelling.
    """
    key = _key(written)
    if name := _OTHER_SPELLINGS.get(key) or _BY_KEY.get(key):
        return name
    warnings.warn(
        f"InterProScan library '{written}' is unknown: it is taken for models of whole domains, after all others",
        stacklevel=2,
    )
    return written


def standing_for(signatures: Mapping[tuple[str, str], Sequence[Match]], entry_type: str) -> Sequence[Match]:
    """The matches of the signature that stands for an entry; ``signatures`` are by (library, accession).

    Domains, families, repeats: a model of the whole. Of the models that cover at least half of the residues of the
    widest one, that with most matches (a model may see two tandem domains as one), then in the order of `_MODELS`;
    fingerprints and patterns, which show pieces, only where there is no model. Sites: a pattern, which is the residues
    themselves, else the signature with most and shortest matches.
    """
    if "SITE" in entry_type or entry_type == "PTM":
        return signatures[min(signatures, key=lambda key: _site_rank(key, signatures[key]))]
    covered = {key: _covered(matches) for key, matches in signatures.items()}
    models = [key for key in signatures if key[0] not in (*_FINGERPRINTS, *_PATTERNS)]
    widest = max((covered[key] for key in models), default=0)
    candidates = [key for key in models if 2 * covered[key] >= widest] or list(signatures)
    return signatures[min(candidates, key=lambda key: (-len(signatures[key]), _rank(key[0]), key))]


def _site_rank(key: tuple[str, str], matches: Sequence[Match]) -> tuple[object, ...]:
    return key[0] not in _PATTERNS, -len(matches), _covered(matches) / len(matches), _rank(key[0]), key


def _covered(matches: Iterable[Match]) -> int:
    """How many residues the matches cover together."""
    covered = reach = 0
    for start, end in sorted(span for match in matches for span in match.spans):
        covered += max(0, end - max(start - 1, reach))
        reach = max(reach, end)
    return covered


def _rank(library: str) -> int:
    order = [*_MODELS, library, *_FINGERPRINTS, *_PATTERNS]
    return order.index(library)


def _key(name: str) -> str:
    return re.sub(r"[^A-Z0-9]", "", name.upper())


_BY_KEY = {_key(name): name for name in (*_MODELS, *_FINGERPRINTS, *_PATTERNS, *UNINTEGRATED)}
