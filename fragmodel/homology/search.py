"""Local alignments of test against training windows, by MMseqs2 or, where it is missing, Biopython."""

import logging
import math
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fragmodel.errors import UserError

logger = logging.getLogger(__name__)

MMSEQS = "MMseqs2 easy-search"
BIOPYTHON = "Biopython PairwiseAligner (fallback)"
MAX_E_VALUE = 1e-3
_KEEP = 50  # hits of a query
_FIELDS = "query,target,evalue,bits,qstart,tstart,qaln,taln"
_WORD = 4  # length of the words by which the fallback picks its candidates
_CANDIDATES = 20


@dataclass(frozen=True, slots=True)
class Hit:
    """A local alignment: the aligned residues as (target residue, query residue), both from 0, in order."""

    target: int
    bits: float
    pairs: list[tuple[int, int]]


def tool() -> str:
    """The search that will be used."""
    return MMSEQS if shutil.which("mmseqs") else BIOPYTHON


def search(queries: Sequence[str], targets: Sequence[str], threads: int = 1) -> list[list[Hit]]:
    """Hits of each query with an E-value up to 0.001, the best first."""
    if tool() == MMSEQS:
        hits = _mmseqs(queries, targets, threads)
    else:
        logger.warning("mmseqs is not on PATH: baseline alignment uses Biopython, slower and less sensitive")
        hits = _biopython(queries, targets)
    return [sorted(found, key=lambda hit: (-hit.bits, hit.target))[:_KEEP] for found in hits]


def _mmseqs(queries: Sequence[str], targets: Sequence[str], threads: int) -> list[list[Hit]]:
    """MMseqs2 (Steinegger & Söding 2017) at its highest usual sensitivity."""
    hits: list[list[Hit]] = [[] for _ in queries]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, sequences in (("query", queries), ("target", targets)):
            lines = (f">{index}\n{sequence}\n" for index, sequence in enumerate(sequences))
            (folder / f"{file}.fasta").write_text("".join(lines))
        command = ["mmseqs", "easy-search", "query.fasta", "target.fasta", "hits.tsv", "tmp"]
        command += ["-s", "7.5", "-e", str(MAX_E_VALUE), "--threads", str(threads), "-v", "1"]
        run = subprocess.run(
            [*command, "--format-output", _FIELDS], cwd=folder, capture_output=True, text=True, check=False
        )
        if "No k-mer could be extracted" in run.stdout + run.stderr:
            return hits  # all targets are too short or of low complexity
        if run.returncode:
            raise UserError(f"mmseqs easy-search failed: {(run.stderr or run.stdout).strip()[-500:]}")
        for line in (folder / "hits.tsv").read_text().splitlines():
            query, target, _, bits, query_start, target_start, query_row, target_row = line.split("\t")
            pairs = list(_columns(int(query_start) - 1, int(target_start) - 1, query_row, target_row))
            hits[int(query)].append(Hit(int(target), float(bits), pairs))
    return hits


def _columns(query: int, target: int, query_row: str, target_row: str) -> Iterator[tuple[int, int]]:
    for ours, theirs in zip(query_row, target_row, strict=True):
        if ours != "-" and theirs != "-":
            yield target, query
        query += ours != "-"
        target += theirs != "-"


def _biopython(queries: Sequence[str], targets: Sequence[str]) -> list[list[Hit]]:
    """Smith-Waterman (BLOSUM62, gaps 11 and 1) against the targets that share most words with the query."""
    aligner = _aligner()
    plain_targets = [_standard(sequence, aligner) for sequence in targets]
    words = [_words(sequence) for sequence in targets]
    residues = sum(map(len, targets))
    hits: list[list[Hit]] = []
    for query in queries:
        shared = Counter({index: len(_words(query) & found) for index, found in enumerate(words)})
        candidates = [index for index, count in shared.most_common(_CANDIDATES) if count]
        found = []
        for index in candidates:
            alignments = aligner.align(plain_targets[index], _standard(query, aligner))
            # Karlin & Altschul 1990; lambda and K of BLOSUM62 with these gaps, as NCBI BLAST prints them.
            bits = (0.267 * alignments.score - math.log(0.041)) / math.log(2)
            if alignments.score > 0 and len(query) * residues * 2.0**-bits <= MAX_E_VALUE:
                blocks = zip(*alignments[0].aligned, strict=True)
                pairs = [
                    pair for ours, theirs in blocks for pair in zip(range(*ours), range(*theirs), strict=True)
                ]
                found.append(Hit(index, round(bits, 3), pairs))
        hits.append(found)
    return hits


def _aligner() -> Any:
    from Bio.Align import PairwiseAligner, substitution_matrices

    aligner = PairwiseAligner(mode="local", open_gap_score=-12, extend_gap_score=-1)
    aligner.substitution_matrix = substitution_matrices.load("BLOSUM62")
    return aligner


def _standard(sequence: str, aligner: Any) -> str:
    """Letters that the matrix does not know (U, O, J) as X."""
    known = set(aligner.substitution_matrix.alphabet)
    return "".join(letter if letter in known else "X" for letter in sequence)


def _words(sequence: str) -> set[str]:
    return {sequence[i : i + _WORD] for i in range(len(sequence) - _WORD + 1)}
