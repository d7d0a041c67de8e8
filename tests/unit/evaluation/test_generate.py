"""Predictions: every record once, whatever the number of shards and the form of the model's folder."""

import pytest
from tiny_models import build_model, grounding_record, referring_record

from fragmodel.embeddings.extract import embed_sequences
from fragmodel.errors import UserError
from fragmodel.evaluation.calibrate import calibrate
from fragmodel.evaluation.generate import generate
from fragmodel.model.sources import make_encoder
from fragmodel.model.trained import save_trained
from fragmodel.prediction.export import export_model
from fragmodel.prediction.merged_model import merge
from fragmodel.tables import PREDICTIONS, RECORDS, read_rows, write_table

ROWS = [make(number) for number in range(5) for make in (referring_record, grounding_record)]
TASKS = ("referring_class", "grounding_single")


@pytest.fixture(scope="module")
def trained(tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "model"
    model, tokenizer = build_model(tiny.spec())
    save_trained(model, tokenizer, tiny.spec(), folder)
    return folder


@pytest.fixture
def ask(trained, tiny, tmp_path):
    """Generates; returns rows without the wall time, which differs from run to run."""
    write_table(tmp_path / "records.parquet", RECORDS, ROWS)
    embedded = embed_sequences(
        [row["sequence"] for row in ROWS], encoder=tiny.encoder, store=tmp_path / "store"
    )

    def run(model=trained, **options):
        options = {"store": tmp_path / "store", "fingerprint": embedded.fingerprint} | options
        output = tmp_path / "predictions.parquet"
        generate(model, [tmp_path / "records.parquet"], output, max_new_tokens=6, batch_size=2, **options)
        rows = read_rows(output, PREDICTIONS)
        assert all(row.pop("seconds") > 0 for row in rows)
        return rows

    return run


def test_each_record_once_in_order_and_the_same_again(ask):
    rows = ask()
    assert [row["record_id"] for row in rows] == [row["record_id"] for row in ROWS]
    assert [row["reference"] for row in rows] == [row["answer"] for row in ROWS]
    assert all(row["prompt"] for row in rows) and any(row["text"] for row in rows)
    assert ask() == rows


def test_some_records_are_spread_evenly_and_none_may_be_there(ask, tmp_path):
    some = ask(at_most=3)
    of_task = [[row["record_id"] for row in ROWS if row["task_type"] == task] for task in TASKS]
    assert {row["record_id"] for row in some} == {ids[n] for ids in of_task for n in (0, 2, 4)}
    everything = {row["record_id"]: row["text"] for row in ask()}
    assert all(everything[row["record_id"]] == row["text"] for row in some)
    write_table(tmp_path / "records.parquet", RECORDS, [])
    assert ask(at_most=3) == []
    made = calibrate(tmp_path / "predictions.parquet", [tmp_path / "records.parquet"], tmp_path / "c.json")
    assert made.curves == {}


@pytest.mark.parametrize("shards", [2, 3, 7])  # with 7 there are fewer batches than shards
def test_shards_share_the_records_and_change_no_answer(ask, shards):
    parts = [ask(shard=shard, shards=shards) for shard in range(shards)]
    together = {row["record_id"]: row for part in parts for row in part}
    assert sum(map(len, parts)) == len(together) == len(ROWS)
    assert [together[row["record_id"]] for row in ROWS] == ask()


def test_exported_and_merged_models_answer_as_the_trained_one(ask, trained, tmp_path):
    merge(trained, tmp_path / "merged")
    export_model(trained, tmp_path / "exported")
    texts = [row["text"] for row in ask()]
    for folder in ("merged", "exported"):
        assert [row["text"] for row in ask(tmp_path / folder)] == texts
        in_loop = ask(tmp_path / folder, store=None, fingerprint=None)
        assert [row["record_id"] for row in in_loop] == [row["record_id"] for row in ROWS]


def test_a_model_of_another_encoder_is_refused(ask, tiny, tmp_path):
    make_encoder("stand-in", tmp_path / "other", layers=2, dim=48, heads=4, seed=6)
    assert ask(encoder=tiny.encoder)
    with pytest.raises(UserError, match=r"another encoder than .*other; set models\.encoder"):
        ask(encoder=tmp_path / "other")
