"""Small RECORDS and PREDICTIONS tables."""

import pytest

from fragmodel.data.prompts import grounding_answer
from fragmodel.data.records import Span
from fragmodel.tables import PREDICTIONS, RECORDS, write_table


def make_record(
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


def make_grounding_record(record_id, uid, groups, task="grounding_group", sequence="M" * 100, data="D"):
    """``groups``: class name -> spans."""
    named = [(name, [Span(*span) for span in spans]) for name, spans in groups.items()]
    return make_record(
        record_id,
        uid,
        task,
        classes=list(groups),
        sequence=sequence,
        answer=grounding_answer(task, named),
        groups=[[list(span) for span in spans] for spans in groups.values()],
        data=data,
    )


def make_prediction(record_id, task, text, system="model", data="D"):
    return {
        "system": system,
        "record_id": record_id,
        "data_name": data,
        "task_type": task,
        "prompt": "",
        "text": text,
        "stopped": True,
        "tokens": 1,
        "seconds": 0.0,
    }


@pytest.fixture
def write_records(tmp_path):
    def write(rows, name="records.parquet"):
        write_table(tmp_path / name, RECORDS, rows)
        return tmp_path / name

    return write


@pytest.fixture
def write_predictions(tmp_path):
    def write(rows, name="predictions.parquet"):
        write_table(tmp_path / name, PREDICTIONS, rows)
        return tmp_path / name

    return write


@pytest.fixture
def record():
    return make_record


@pytest.fixture
def grounding_record():
    return make_grounding_record


@pytest.fixture
def prediction():
    return make_prediction
