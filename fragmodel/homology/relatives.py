"""Related sequences: a search with MMseqs2, or with a built-in fallback where it is not installed.

Two sequences are relatives when a local alignment covers at least half of the shorter one; their identity is
the fraction of identical residues in that alignment. Identical sequences count as relatives of identity 1
whatever a search says of them (its filters may skip short or repetitive ones).
"""

import shutil
import subprocess
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from fragmodel.errors import UserError

MIN_COVERAGE = 0.5  # of the shorter sequence
MAX_E_VALUE = 1e-3
_KMER = 5
_SHARED_KMERS = 3  # distinct k-mers that a candidate of the fallback has in common
_CANDIDATES = 8  # that the fallback aligns for each query


class Hit(NamedTuple):
    """A related pair."""

    query: str
    target: str
    identity: float


def method() -> str:
    """Name of the search that :func:`search` will use: "mmseqs2" or "built-in"."""
    return "mmseqs2" if shutil.which("mmseqs") else "built-in"


def search(
    queries: Mapping[str, str], targets: Mapping[str, str], *, method: str, threads: int = 1
) -> Iterator[Hit]:
    """Related pairs of two sets of named sequences; a pair may come more than once.

    Raises :class:`UserError` when MMseqs2 fails.
    """
    if not queries or not targets:
        return
    by_sequence = defaultdict(list)
    for name, sequence in targets.items():
        by_sequence[sequence].append(name)
    for name, sequence in queries.items():
        for target in by_sequence.get(sequence, ()):
            yield Hit(name, target, 1.0)
    yield from (_mmseqs(queries, targets, threads) if method == "mmseqs2" else _built_in(queries, targets))


def _mmseqs(queries: Mapping[str, str], targets: Mapping[str, str], threads: int) -> Iterator[Hit]:
    with tempfile.TemporaryDirectory(prefix="fragmodel-mmseqs-") as folder:
        work = Path(folder)
        query_names = _write_fasta(work / "queries.fasta", queries)
        target_names = _write_fasta(work / "targets.fasta", targets)
        command = [
            "mmseqs", "easy-search", "queries.fasta", "targets.fasta", "hits.tsv", "tmp",
            "--format-output", "query,target,fident,qcov,tcov",
            "--alignment-mode", "3", "-s", "7.5", "-e", str(MAX_E_VALUE), "--max-seqs", "1000",
            "--threads", str(threads), "-v", "1",
        ]  # fmt: skip
        done = subprocess.run(command, cwd=work, capture_output=True, text=True, check=False)
        if done.returncode:
            lines = (done.stderr or done.stdout).strip().splitlines() or ["no message"]
            raise UserError(f"mmseqs easy-search failed with status {done.returncode}: {lines[-1]}")
        with (work / "hits.tsv").open() as hits:
            for line in hits:
                query, target, identity, query_cover, target_cover = line.split("\t")
                # An alignment covers more of the shorter sequence than of the longer one.
                if max(float(query_cover), float(target_cover)) >= MIN_COVERAGE:
                    yield Hit(query_names[int(query)], target_names[int(target)], float(identity))


def _write_fasta(path: Path, sequences: Mapping[str, str]) -> list[str]:
    """Write the sequences under their numbers; names may hold characters that FASTA headers cannot."""
    with path.open("w") as handle:
        for number, sequence in enumerate(sequences.values()):
            handle.write(f">{number}\n{sequence}\n")
    return list(sequences)


def _built_in(queries: Mapping[str, str], targets: Mapping[str, str]) -> Iterator[Hit]:
    """Shared 5-mers choose candidates, a local alignment (BLOSUM62, gaps 11/1) measures them."""
    from Bio.Align import PairwiseAligner, substitution_matrices

    matrix = substitution_matrices.load("BLOSUM62")
    aligner = PairwiseAligner(
        mode="local", substitution_matrix=matrix, open_gap_score=-11, extend_gap_score=-1
    )
    index: dict[str, list[str]] = defaultdict(list)
    for name, sequence in targets.items():
        for kmer in _kmers(sequence):
            index[kmer].append(name)
    known = str.maketrans("UO", "CK")  # letters that BLOSUM62 lacks
    for name, sequence in queries.items():
        shared = Counter(target for kmer in sorted(_kmers(sequence)) for target in index.get(kmer, ()))
        best = sorted(shared.items(), key=lambda item: (-item[1], str(item[0])))[:_CANDIDATES]
        for target, count in best:
            if count < _SHARED_KMERS:
                continue
            alignment = aligner.align(sequence.translate(known), targets[target].translate(known))[0]
            counts = alignment.counts()
            pairs = counts.identities + counts.mismatches
            if pairs >= MIN_COVERAGE * min(len(sequence), len(targets[target])):
                yield Hit(name, target, counts.identities / (pairs + counts.gaps))


def _kmers(sequence: str) -> set[str]:
    """Distinct k-mers with at least three different residues; the others are low-complexity."""
    kmers = {sequence[i : i + _KMER] for i in range(len(sequence) - _KMER + 1)}
    return {kmer for kmer in kmers if len(set(kmer)) >= 3}
