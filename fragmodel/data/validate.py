"""Checks of a protein before records are made from it, and the named normalisations.

Letters: the 20 standard ones, and U, O, B, Z, X, which ESM-2 knows. J (leucine or isoleucine), which it does
not know, becomes X (`j_to_x`). Gaps and inner stops are rejected: removing them would move every position
after them.
"""

from collections.abc import Iterator
from dataclasses import replace
from string import ascii_lowercase, ascii_uppercase

from fragmodel.data.records import Fault, Fragment, Protein
from fragmodel.vocabulary import Span

NUCLEOTIDES = frozenset("ACGTUN")  # letters of residues, too
LETTERS = frozenset("ACDEFGHIKLMNPQRSTVWYUOBZX")
_CAPITALS = str.maketrans(ascii_lowercase, ascii_uppercase)  # `upper` makes two letters of "ß" and "ﬁ"
_FEWEST_NUCLEOTIDES = 20  # letters; a shorter peptide may have these four by chance
LONGEST_PROTEIN = 100_000  # residues; the longest known protein has about 45,000

REASONS = {
    "bad_record": "the record is not an object; a row has too many or too few fields, or repeats the header",
    "missing_field": "a required field is missing or empty",
    "bad_field": "a field cannot be read: another type, or not JSON",
    "empty_sequence": "the sequence has no residues",
    "bad_letter": "the sequence has a character that is no residue",
    "nucleotides": "the sequence has the letters of nucleotides only",
    "gap": "the sequence has gap characters",
    "inner_stop": "the sequence has a stop before its end",
    "too_long": f"the sequence has more than {LONGEST_PROTEIN:,} residues",
    "checksum": "the sequence does not agree with the entry's checksum",
    "no_sequence": "no sequence belongs to the protein's annotation",
    "uid_conflict": "the same uid came before with another sequence",
    "no_fragments": "the protein has no fragments",
    "other_family": "the entry has fragments of other families only",
    "same_feature": "another feature gives the same class and place",
    "inactive": "the entry has been withdrawn",
    "no_description": "the fragment has no description",
    "no_function": "the protein has no function text",
    "empty_span": "the end does not lie after the start",
    "outside": "the span does not lie inside the sequence",
    "wrong_base": "the fragment's text stands one residue beside its span",
    "text_mismatch": "the fragment's text is not what the span selects",
    "length_mismatch": "the fragment's length is not that of its span",
    "label_mismatch": "the residue labels disagree with the spans",
    "uncertain_position": "the file gives no exact position",
    "other_isoform": "the position counts along another isoform",
    "unparsable": "the entry cannot be parsed",
    "duplicate": "the same fragment or record came before",
    "no_position": "the record lacks the position that the task needs",
    "bad_conversation": "the conversation lacks a user turn or has the wrong markers",
    "no_answer": "the record has no answer",
}
"""Reason codes of the rejects table and what they mean."""

HARMLESS = frozenset({"other_family", "same_feature", "no_fragments", "no_description", "no_function"})
"""Reasons that say nothing against a file, which lacks what is asked for: `max_rejected_fraction` leaves them out."""


class Invalid(ValueError):
    """A sequence that cannot be used; holds the reason code and the sentence."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail


def clean_sequence(raw: str) -> tuple[str, tuple[str, ...]]:
    """Residues in capital letters, and the names of the normalisations that this took.

    Raises :class:`Invalid` with a reason code when no normalisation helps.
    """
    flags = []
    sequence = raw.strip()
    if sequence != raw:
        flags.append("surrounding_space")
    if LETTERS.issuperset(sequence) and 0 < len(sequence) <= LONGEST_PROTEIN:
        _refuse_nucleotides(sequence)
        return sequence, tuple(flags)  # nearly every sequence
    if sequence.endswith("*"):
        sequence = sequence.rstrip("*")
        flags.append("trailing_stop")
    if any(char.isspace() for char in sequence):
        sequence = "".join(sequence.split())
        flags.append("inner_space")
    if (capital := capitals(sequence)) != sequence:
        sequence = capital
        flags.append("lower_case")
    if "J" in sequence:
        sequence = sequence.replace("J", "X")
        flags.append("j_to_x")
    if not sequence:
        raise Invalid("empty_sequence", "field 'sequence' has no residues")
    if len(sequence) > LONGEST_PROTEIN:
        raise Invalid(
            "too_long", f"{len(sequence):,} residues; no known protein has more than {LONGEST_PROTEIN:,}"
        )
    if wrong := sorted(set(sequence) - LETTERS):
        place = min(sequence.index(char) for char in wrong)
        where = f"{sequence[place]!r} at residue {place + 1} of the sequence"
        if sequence[place] in "-.~":
            raise Invalid("gap", f"{where} is a gap; give the unaligned sequence")
        if sequence[place] == "*":
            raise Invalid("inner_stop", f"{where} is a stop before the end; give the translated protein")
        raise Invalid("bad_letter", f"{where} is no residue (20 standard letters and U, O, B, Z, X, J)")
    _refuse_nucleotides(sequence)
    return sequence, tuple(flags)


def _refuse_nucleotides(sequence: str) -> None:
    """Of A, C, G and T (or U), and N: no protein, which the letters alone do not tell, since each is a residue, too."""
    letters = set(sequence)
    if letters <= NUCLEOTIDES and len(letters - {"N"}) > 3 and len(sequence) >= _FEWEST_NUCLEOTIDES:
        raise Invalid("nucleotides", "A, C, G, T, U and N alone are nucleotides; give the translated protein")


def capitals(residues: str) -> str:
    """Residues in capital letters; what is no letter of ASCII stays, to be found."""
    return residues.translate(_CAPITALS)


def plain_residues(text: str) -> str:
    """The form in which texts of residues are compared: capitals, no space, no stop at the end, J as X."""
    return capitals("".join(text.split())).rstrip("*").replace("J", "X")


def check(protein: Protein) -> tuple[Protein, list[Fault]]:
    """Normalise and check a protein; returns what is left of it and a fault for every fragment that is not.

    A protein whose uid or sequence is unusable comes back without fragments and function. Fragments come back
    in order of place. Identical ones are faults; overlaps within a class and spans with several classes are
    flagged.
    """
    faults = list(protein.faults)
    try:
        if not protein.uid:
            raise Invalid("missing_field", "the record has no uid; give each protein an accession")
        sequence, flags = clean_sequence(protein.sequence)
    except Invalid as invalid:
        return replace(protein, fragments=[], function=""), faults + refuse(
            protein, invalid.reason, invalid.detail
        )
    kept: list[Fragment] = []
    seen: set[tuple[str, Span]] = set()
    for fragment in sorted(protein.fragments, key=lambda f: (f.span, f.class_name, f.class_id)):
        found = _span_fault(fragment, sequence)
        if found is None and (fragment.class_key, fragment.span) in seen:
            found = ("duplicate", "the same class and span stand in this protein twice; this one is left out")
        if found:
            faults.append(Fault(*found, fragment=fragment.written, record=fragment.record))
        else:
            seen.add((fragment.class_key, fragment.span))
            kept.append(fragment)
    checked = replace(
        protein,
        sequence=sequence,
        fragments=list(_flagged(kept)),
        flags=tuple(sorted({*protein.flags, *flags})),
    )
    return checked, faults


def refuse(protein: Protein, reason: str, detail: str) -> list[Fault]:
    """The same fault for every fragment of a protein, or one for the protein when it has none."""
    if not protein.fragments:
        return [] if protein.faults else [Fault(reason, detail)]
    return [Fault(reason, detail, fragment.written, fragment.record) for fragment in protein.fragments]


def _span_fault(fragment: Fragment, sequence: str) -> tuple[str, str] | None:
    """Reason and sentence, when the span, its text and its length do not agree with the sequence."""
    if not fragment.class_name:
        return "missing_field", "the fragment has no class; give its category or InterPro accession"
    start, end = fragment.span
    text = None if fragment.text is None else plain_residues(fragment.text)
    inside = 0 <= start < end <= len(sequence)
    if text and not (inside and sequence[start:end] == text):
        if shift := _shift(sequence, start, end, text):
            return (
                "wrong_base",
                f"the fragment's text stands where {shift}; see docs/formats.md for the convention",
            )
        if inside:
            return "text_mismatch", f"the text {_short(text)} is not the slice {_short(sequence[start:end])}"
    if end <= start:
        return "empty_span", f"the span {fragment.written} ends before it starts"
    if not inside:
        return "outside", f"the span {fragment.written} leaves the sequence of {len(sequence)} residues"
    if fragment.length is not None and fragment.length != end - start:
        return (
            "length_mismatch",
            f"field 'length' is {fragment.length}, but the span has {end - start} residues",
        )
    return None


def _shift(sequence: str, start: int, end: int, text: str) -> str | None:
    """How the positions must change for the slice to be ``text``; None when no small change helps."""
    for start_by, end_by, meaning in (
        (-1, -1, "both positions are 1 less: the file seems to count one base higher"),
        (1, 1, "both positions are 1 more: the file seems to count one base lower"),
        (0, -1, "the end is 1 less: the file's ends seem to be exclusive"),
        (0, 1, "the end is 1 more: the file's ends seem to be inclusive"),
        (-1, 0, "the start is 1 less: the file's starts seem to count one base higher"),
        (1, 0, "the start is 1 more: the file's starts seem to count one base lower"),
    ):
        if start + start_by >= 0 and sequence[start + start_by : end + end_by] == text:
            return meaning
    return None


def _short(text: str) -> str:
    return text if len(text) <= 12 else f"{text[:12]}… ({len(text)} residues)"


def _flagged(fragments: list[Fragment]) -> Iterator[Fragment]:
    """Add "overlap" (two of one class) and "conflicting_labels" (one span, several classes)."""
    by_span: dict[Span, int] = {}
    for fragment in fragments:
        by_span[fragment.span] = by_span.get(fragment.span, 0) + 1
    reach: dict[str, int] = {}  # class → end of its fragments so far; fragments come in order of place
    overlapping = set()
    previous: dict[str, Fragment] = {}
    for fragment in fragments:
        key = fragment.class_key
        if fragment.span.start < reach.get(key, 0):
            overlapping |= {id(fragment), id(previous[key])}
        if fragment.span.end > reach.get(key, 0):
            reach[key], previous[key] = fragment.span.end, fragment
    for fragment in fragments:
        flags = set(fragment.flags)
        if id(fragment) in overlapping:
            flags.add("overlap")
        if by_span[fragment.span] > 1:
            flags.add("conflicting_labels")
        yield replace(fragment, flags=tuple(sorted(flags))) if flags != set(fragment.flags) else fragment
