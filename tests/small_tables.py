"""Small RECORDS and PREDICTIONS tables."""

from fragmodel.data.grammar import grounding_answer
from fragmodel.tables import PREDICTIONS, RECORDS, write_table
from fragmodel.vocabulary import Span


def record(
    record_id, uid, task, *, classes=(), sequence="M" * 100, answer="", ref=None, groups=None, data="D"
):
    return {
        "record_id": record_id,
        "uid": uid,
        "data_name": data,
        "task_type": task,
        "sequence": sequence,
        "start": 0,
        "full_length": len(sequence),
        "position_ref": ref,
        "position_grd": groups,
        "classes": list(classes),
        "class_ids": ["" for _ in classes],
        "conversation": [{"role": "user", "content": "?"}],
        "answer": answer,
        "flags": [],
    }


def grounding_record(record_id, uid, groups, task="grounding_group", sequence="M" * 100, data="D"):
    """``groups``: class name -> spans."""
    named = [(name, [Span(*span) for span in spans]) for name, spans in groups.items()]
    return record(
        record_id,
        uid,
        task,
        classes=list(groups),
        sequence=sequence,
        answer=grounding_answer(task, named),
        groups=[[list(span) for span in spans] for spans in groups.values()],
        data=data,
    )


def prediction(record_id, task, text, system="model", data="D"):
    return {
        "system": system,
        "record_id": record_id,
        "data_name": data,
        "task_type": task,
        "prompt": "",
        "text": text,
        "reference": "",
        "stopped": True,
        "tokens": 1,
        "seconds": 0.0,
    }


def write_records(folder, rows, name="records.parquet"):
    write_table(folder / name, RECORDS, rows)
    return folder / name


def write_predictions(folder, rows, name="predictions.parquet"):
    write_table(folder / name, PREDICTIONS, rows)
    return folder / name
