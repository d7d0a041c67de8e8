"""Planted families: a seeded protein and copies of it with residues exchanged, never inserted or left out."""

import random

from small_tables import grounding_record, record

from fragmodel.tables import RECORDS, write_table

RESIDUES = "ACDEFGHIKLMNPQRSTVWY"
SPAN = (60, 110)


def protein(seed, length=180):
    """A random sequence."""
    return "".join(random.Random(seed).choices(RESIDUES, k=length))


def relative(sequence, identity, seed):
    """The sequence with all but ``identity`` of its residues exchanged for others, evenly spread."""
    draw = random.Random(seed)
    changed = set(draw.sample(range(len(sequence)), round((1 - identity) * len(sequence))))
    return "".join(
        draw.choice(RESIDUES.replace(letter, "")) if place in changed else letter
        for place, letter in enumerate(sequence)
    )


def records(uid, sequence, name="Kinase", span=SPAN, description="Transfers phosphate."):
    """The records of one protein, one for each task about fragments."""
    common = {"classes": [name], "sequence": sequence, "data": "VenusX_Dom"}
    return {
        "referring_class": record(
            f"{uid}:class", uid, "referring_class", answer=name, ref=list(span), **common
        ),
        "referring_desc": record(
            f"{uid}:desc", uid, "referring_desc", answer=description, ref=list(span), **common
        ),
        "grounding_single": grounding_record(
            f"{uid}:single", uid, {name: [span]}, "grounding_single", sequence, "VenusX_Dom"
        ),
        "grounding_group": grounding_record(
            f"{uid}:group", uid, {name: [span]}, "grounding_group", sequence, "VenusX_Dom"
        ),
    }


def write(folder, split, *proteins):
    """Tables of a split, one a task; returns them by task."""
    tables = {}
    for task in proteins[0]:
        path = folder / "data" / task / f"{split}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_table(path, RECORDS, [each[task] for each in proteins])
        tables[task] = path
    return tables
