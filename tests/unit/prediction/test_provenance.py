"""What a model folder tells of its training."""

import pytest
from raw_files import SAMPLE

from fragmodel.data.ingest import ingest
from fragmodel.prediction.provenance import trained_on
from fragmodel.tables import RECORDS, read_rows


@pytest.mark.parametrize("task", ["referring_class", "grounding_group"])
def test_records_are_the_rows_that_were_trained_on(tmp_path, task):
    """A grounding record asks for several fragments."""
    folder = tmp_path / "data" / "VenusX_Dom" / task
    folder.mkdir(parents=True)
    paths = {"output": folder / "train.parquet", "rejects": tmp_path / "rejects.parquet"}
    summary = ingest([SAMPLE / "VenusX_Dom" / "train.json"], task=task, data_name="VenusX_Dom", **paths)
    (entry,) = trained_on(tmp_path / "training" / "model")
    assert entry["records"] == len(read_rows(folder / "train.parquet", RECORDS))
    assert (entry["records"] < summary.accepted) == (task == "grounding_group")
