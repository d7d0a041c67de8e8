"""Small InterProScan results in each of its formats."""

import hashlib

from raw_files import run_files

RESIDUES = (
    "MYKNTARICGENSIPVEWIAHQKGPGDFYYRFFAAHHGGLMHVHGHPLANQGFKDMLYWAYMDLNLSMGSSGCKANPAVQNPWARCGYHEIRNTNTKREWNL"
)
OTHER = RESIDUES[::-1]


def md5(sequence):
    return hashlib.md5(sequence.encode()).hexdigest()


def tsv(*rows, name="p1", sequence=RESIDUES):
    """Rows of (library, signature, start, end, entry, entry name)."""
    return "".join(
        f"{name}\t{md5(sequence)}\t{len(sequence)}\t{library}\t{signature}\tabout\t{start}\t{end}\t1e-9\tT\t01-02-2026\t"
        f"{entry}\t{entry_name}\n"
        for library, signature, start, end, entry, entry_name in rows
    )


def fasta(**sequences):
    return "".join(f">{name} note\n{sequence}\n" for name, sequence in sequences.items())


def run_table(
    folder, table, sequences, data_name="X_Dom", name="scan.tsv", task="grounding_single", **options
):
    (folder / name).write_text(table)
    (folder / "scan.faa").write_text(sequences)
    return run_files([folder / name, folder / "scan.faa"], folder, task, data_name, **options)


def result(*matches, sequence=RESIDUES, names=("p1",), **changes):
    """A result of JSON; matches of (library, signature, entry, type, spans)."""
    found = [
        {
            "signature": {
                "accession": signature,
                "signatureLibraryRelease": {"library": library},
                "entry": entry
                and {"accession": entry, "name": entry, "description": f"About {entry}", "type": kind},
            },
            "locations": [{"start": start, "end": end} for start, end in spans],
        }
        for library, signature, entry, kind, spans in matches
    ]
    xref = [{"id": name, "name": f"{name} note"} for name in names]
    return {"sequence": sequence, "md5": md5(sequence), "matches": found, "xref": xref, **changes}


SH2 = ("PFAM", "PF00017", "IPR000980", "DOMAIN", [(25, 99)])


def places(rows):
    return sorted((row["uid"], row["class_ids"][0], row["position_grd"][0]) for row in rows)


def gff3(*matches, sequence=RESIDUES, name="p1", own_fasta=True):
    lines = ["##gff-version 3", f"##sequence-region {name} 1 {len(sequence)}"]
    lines.append(f"{name}\t.\tpolypeptide\t1\t{len(sequence)}\t.\t+\t.\tID={name};md5={md5(sequence)}")
    for library, signature, start, end, entry in matches:
        dbxref = f';Dbxref="InterPro:{entry}","GO:0005515"' if entry else ""
        lines.append(
            f"{name}\t{library}\tprotein_match\t{start}\t{end}\t1e-9\t+\t.\tTarget={name} {start} {end};"
            f"ID=match$1_{start}_{end};signature_desc=About%20it;Name={signature};status=T{dbxref}"
        )
    if own_fasta:
        lines += ["##FASTA", f">{name}", sequence[:60], sequence[60:], ">match$1_5_50", sequence[4:50]]
    return "\n".join(lines) + "\n"
