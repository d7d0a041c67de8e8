"""The search for related sequences, by MMseqs2 or, where it is not installed, by Biopython.

Both report local alignments with an E-value up to a limit, by default :data:`MAX_E_VALUE`. Beside them a sequence is
always a hit of itself, with identity 1, whatever the search says (its filters pass over short and repetitive
sequences).
"""

import heapq
import logging
import math
import re
import shutil
import subprocess
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import takewhile
from pathlib import Path
from typing import Any, NamedTuple

from fragmodel.errors import UserError
from fragmodel.files import temporary_folder
from fragmodel.processes import end_with_parent

logger = logging.getLogger(__name__)

MMSEQS = "mmseqs2"
BIOPYTHON = "biopython"
MAX_E_VALUE = 1e-3
MIN_COVERAGE = 0.5  # of the shorter of two relatives

_ALIGNED = 1000  # targets that MMseqs2's prefilter lets through to the alignment, for each query
_FIELDS = "query,target,fident,bits,evalue,qcov,tcov"
_PATH_FIELDS = "qstart,tstart,cigar"
_WORD = 4  # length of the words by which the fallback picks its candidates
_CANDIDATES = 20  # that the fallback aligns, for each query
# Gap costs as BLAST names them: existence 11, extension 1, so that k residues cost 11 + k. The statistics that
# belong to them and BLOSUM62 are in blast_stat.c of the NCBI toolkit; BLAST prints them below its hits.
_GAP_EXISTENCE, _GAP_EXTENSION = 11, 1
_LAMBDA, _K = 0.267, 0.041


class Block(NamedTuple):
    """A run of aligned residues without a gap; starts count from 0."""

    query_start: int
    target_start: int
    length: int


class Hit(NamedTuple):
    """A local alignment of two sequences, which are named by their places in the lists that were searched."""

    query: int
    target: int
    identity: float
    """Identical residues as a part of the alignment's columns, gaps included, 0 to 1."""
    bits: float
    e_value: float
    query_coverage: float
    """Part of the query from the first to the last aligned residue, 0 to 1."""
    target_coverage: float
    blocks: tuple[Block, ...] | None = None
    """The aligned residues in order; ``None`` where the search was not asked for them."""


def tool() -> str:
    """The search that will be used: :data:`MMSEQS` or :data:`BIOPYTHON`."""
    return MMSEQS if shutil.which("mmseqs") else BIOPYTHON


def relatives(
    queries: Sequence[str], targets: Sequence[str], *, blocks: bool = False, threads: int = 1
) -> Iterator[Hit]:
    """The hits of :func:`search` whose alignment covers at least half of the shorter sequence."""
    for hit in search(queries, targets, blocks=blocks, threads=threads):
        # An alignment covers more of the shorter sequence than of the longer one.
        if max(hit.query_coverage, hit.target_coverage) >= MIN_COVERAGE:
            yield hit


def search(
    queries: Sequence[str],
    targets: Sequence[str],
    *,
    best: int | None = None,
    blocks: bool = False,
    max_e_value: float = MAX_E_VALUE,
    threads: int = 1,
) -> Iterator[Hit]:
    """Hits query by query, in the order of ``queries``; those of a query by falling bits, then by target.

    A pair comes at most once. No more than the hits of one query are held at a time, and only ``best`` of them
    where that is given. The temporary files go when the iterator is exhausted or closed.

    Args:
        queries: amino acid sequences, upper case.
        targets: the same, each only once.
        best: hits of a query to keep, all by default.
        blocks: whether the hits name the aligned residues.
        max_e_value: hits that are less certain are left out.
        threads: threads of MMseqs2; the fallback has one.

    Raises:
        UserError: MMseqs2 failed.
        ValueError: a target comes twice.
    """
    place = {sequence: target for target, sequence in enumerate(targets)}
    if len(place) < len(targets):
        raise ValueError("targets: a sequence comes twice")
    if not queries or not targets:
        return
    run = _mmseqs if tool() == MMSEQS else _biopython
    for query, found in enumerate(run(queries, targets, blocks, max_e_value, threads)):
        if (same := place.get(queries[query])) is not None:
            found = _with_itself(found, query, targets, same, blocks)
        yield from heapq.nsmallest(best, found, key=_rank) if best is not None else sorted(found, key=_rank)


def _rank(hit: Hit) -> tuple[float, int]:
    return -hit.bits, hit.target


def _with_itself(
    hits: Iterable[Hit], query: int, targets: Sequence[str], same: int, blocks: bool
) -> Iterator[Hit]:
    """The hits of a query, and in any case one of the target with the same sequence, aligned from end to end."""
    length = len(targets[same])
    whole = (Block(0, 0, length),) if blocks else None
    seen = False
    for hit in hits:
        if hit.target == same:
            seen = True
            hit = hit._replace(identity=1.0, query_coverage=1.0, target_coverage=1.0, blocks=whole)
        yield hit
    if not seen:
        matrix = _aligner().substitution_matrix
        bits = _bits(sum(matrix[letter, letter] for letter in _standard(targets[same])))
        yield Hit(query, same, 1.0, bits, _e_value(bits, length, sum(map(len, targets))), 1.0, 1.0, whole)


def _mmseqs(
    queries: Sequence[str], targets: Sequence[str], blocks: bool, max_e_value: float, threads: int
) -> Iterator[Iterator[Hit]]:
    """MMseqs2 (Steinegger & Söding 2017) at its highest usual sensitivity."""
    with temporary_folder() as folder:
        for file, sequences in (("queries", queries), ("targets", targets)):
            with (folder / f"{file}.fasta").open("w") as fasta:
                fasta.writelines(f">{index}\n{sequence}\n" for index, sequence in enumerate(sequences))
        command = [
            "mmseqs", "easy-search", "queries.fasta", "targets.fasta", "hits.tsv", "tmp",
            "--format-output", f"{_FIELDS},{_PATH_FIELDS}" if blocks else _FIELDS,
            "--dbtype", "1",  # else it takes sequences of A, C, G and T for nucleotides
            "--alignment-mode", "3", "-s", "7.5", "-e", str(max_e_value), "--max-seqs", str(_ALIGNED),
            "--threads", str(threads), "-v", "1",
        ]  # fmt: skip
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, check=False, preexec_fn=end_with_parent
        )
        if done.returncode and "No k-mer could be extracted" in done.stdout + done.stderr:
            # All targets are too short or of low complexity: nothing can be found in them.
            (folder / "hits.tsv").write_text("")
        elif done.returncode:
            lines = (done.stderr or done.stdout).strip().splitlines() or ["no message"]
            raise UserError(f"mmseqs easy-search failed with status {done.returncode}: {lines[-1]}")
        yield from _read_hits(folder / "hits.tsv", len(queries))


def _read_hits(path: Path, queries: int) -> Iterator[Iterator[Hit]]:
    """The hits of each query, to be read before those of the next.

    The lines of a query stand together, but the queries come in an order that depends on the threads, so the
    first pass notes where each begins.
    """
    starts: dict[bytes, int] = {}
    with path.open("rb") as lines:
        position = 0
        for line in lines:
            starts.setdefault(line[: line.index(b"\t")], position)
            position += len(line)
        for query in range(queries):
            name = str(query).encode()
            if name not in starts:
                yield iter(())
                continue
            lines.seek(starts[name])
            prefix = name + b"\t"
            yield (_parse(line) for line in takewhile(lambda line, own=prefix: line.startswith(own), lines))


def _parse(line: bytes) -> Hit:
    query, target, identity, bits, e_value, query_coverage, target_coverage, *path = line.split()
    return Hit(
        int(query),
        int(target),
        float(identity),
        float(bits),
        float(e_value),
        float(query_coverage),
        float(target_coverage),
        tuple(_blocks(int(path[0]) - 1, int(path[1]) - 1, path[2].decode())) if path else None,
    )


def _blocks(query: int, target: int, cigar: str) -> Iterator[Block]:
    """The gapless runs of an alignment that begins at these residues: M aligned, I only query, D only target."""
    for count, letter in re.findall(r"(\d+)([MID])", cigar):
        length = int(count)
        if letter == "M":
            yield Block(query, target, length)
        query += length if letter != "D" else 0
        target += length if letter != "I" else 0


def _biopython(
    queries: Sequence[str], targets: Sequence[str], blocks: bool, max_e_value: float, threads: int
) -> Iterator[Iterator[Hit]]:
    """Smith-Waterman (BLOSUM62) against the targets that share most words with the query."""
    del threads
    logger.warning("mmseqs is not on PATH: relatives are searched with Biopython, slower and less sensitive")
    residues = sum(map(len, targets))
    index: dict[str, list[int]] = defaultdict(list)
    for target, sequence in enumerate(targets):
        for word in _words(sequence):
            index[word].append(target)
    for query, sequence in enumerate(queries):
        shared = Counter(target for word in _words(sequence) for target in index.get(word, ()))
        candidates = heapq.nsmallest(_CANDIDATES, shared, key=lambda target: (-shared[target], target))
        found = _align(query, sequence, {target: targets[target] for target in candidates}, residues, blocks)
        yield (hit for hit in found if hit.e_value <= max_e_value)


def _align(
    query: int, sequence: str, candidates: Mapping[int, str], residues: int, blocks: bool
) -> Iterator[Hit]:
    aligner, ours = _aligner(), _standard(sequence)
    for target, other in candidates.items():
        theirs = _standard(other)
        bits = _bits(aligner.score(ours, theirs))
        e_value = _e_value(bits, len(ours), residues)
        alignment = aligner.align(ours, theirs)[0]
        runs = zip(*alignment.aligned.tolist(), strict=True)
        path = [Block(start, other_start, end - start) for (start, end), (other_start, _) in runs]
        same = sum(sequence[i + k] == other[j + k] for i, j, length in path for k in range(length))
        wide, other_wide = (int(ends[-1] - ends[0]) for ends in alignment.coordinates)
        columns = wide + other_wide - sum(block.length for block in path)
        yield Hit(
            query,
            target,
            same / columns,
            bits,
            e_value,
            wide / len(ours),
            other_wide / len(theirs),
            tuple(path) if blocks else None,
        )


def _words(sequence: str) -> set[str]:
    """Distinct words with at least three different residues; the others are of low complexity."""
    words = {sequence[i : i + _WORD] for i in range(len(sequence) - _WORD + 1)}
    return {word for word in words if len(set(word)) >= 3}


def _bits(score: float) -> float:
    """Karlin & Altschul 1990."""
    return round((_LAMBDA * score - math.log(_K)) / math.log(2), 3)


def _e_value(bits: float, query_length: int, residues: int) -> float:
    return query_length * residues * 2.0**-bits


@cache
def _aligner() -> Any:
    from Bio.Align import PairwiseAligner, substitution_matrices

    return PairwiseAligner(
        mode="local",
        substitution_matrix=substitution_matrices.load("BLOSUM62"),
        open_gap_score=-(_GAP_EXISTENCE + _GAP_EXTENSION),  # Biopython's is the first residue's whole cost
        extend_gap_score=-_GAP_EXTENSION,
    )


def _standard(sequence: str) -> str:
    """Letters that the matrix does not know (U, O, J) as X."""
    known = _aligner().substitution_matrix.alphabet
    return "".join(letter if letter in known else "X" for letter in sequence)
