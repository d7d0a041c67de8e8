"""The column contract of every Parquet table.

Coordinates in every table are 0-based and half-open.
"""

import pyarrow as pa

SPAN = pa.list_(pa.int32())  # [start, end]
SPAN_GROUPS = pa.list_(pa.list_(SPAN))  # a group of spans for each class
IGNORED_PARTS = pa.list_(pa.struct([("class_name", pa.string()), ("start", pa.int32()), ("end", pa.int32())]))


def _schema(name: str, contract_version: int, *fields: pa.Field, maker: str = "") -> pa.Schema:
    """A contract; ``maker`` is what in the workflow makes such a table, for those who lose one."""
    about = {"contract": name, "version": str(contract_version)} | ({"maker": maker} if maker else {})
    return pa.schema(fields, metadata=about)


def _required(name: str, kind: pa.DataType) -> pa.Field:
    return pa.field(name, kind, nullable=False)


RECORDS = _schema(
    "records",
    2,
    _required("record_id", pa.string()),  # unique within data name × task; the same in every input format
    _required("uid", pa.string()),  # the protein's accession
    _required("data_name", pa.string()),
    _required("task_type", pa.string()),
    _required("sequence", pa.string()),  # the window that is shown to the model
    _required("start", pa.int32()),  # first residue of the window in the whole protein
    _required("full_length", pa.int32()),  # residues of the whole protein
    pa.field("position_ref", SPAN),  # within the window; referring tasks
    # Within the window; a group for each of `classes`; grounding tasks. Groups without a span: the classes are absent.
    pa.field("position_grd", SPAN_GROUPS),
    # Parts of fragments at the window's edge, too small to be asked for: no answer is right or wrong about them.
    pa.field("position_ignored", IGNORED_PARTS),
    _required("classes", pa.list_(pa.string())),  # class names that the record is about
    _required("class_ids", pa.list_(pa.string())),  # e.g. InterPro accessions, aligned with `classes`
    _required("conversation", pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))),
    _required("answer", pa.string()),
    _required("flags", pa.list_(pa.string())),  # named normalisations, e.g. "lower_case", "fragment_cut"
    maker="the rule ingest of its data set",
)

REJECTS = _schema(
    "rejects",
    1,
    _required("source", pa.string()),  # file that was read
    _required("record", pa.int64()),  # position of the record in that file, counted from 1
    pa.field("uid", pa.string()),
    pa.field("fragment", pa.string()),  # class and span as written in the file
    _required("reason", pa.string()),  # code, see fragmodel.data.validate
    _required("detail", pa.string()),  # a sentence that names the field and the remedy
    maker="the rule ingest of its data set",
)

WINDOWS = _schema(
    "windows",
    1,
    _required("key", pa.string()),  # fragmodel.embeddings.store.sequence_key(sequence)
    _required("sequence", pa.string()),
    _required("length", pa.int32()),
    maker="rule windows",
)

SHARD_INDEX = _schema(
    "shard_index",
    1,
    _required("key", pa.string()),
    _required("length", pa.int32()),  # residues; the block has length + 2 rows (BOS and EOS)
    _required("first_row", pa.int64()),
    _required("checksum", pa.string()),  # of the block's bytes
)

EMBEDDED = _schema(
    "embedded",
    1,
    _required("key", pa.string()),
    _required("length", pa.int32()),  # residues
    _required("fingerprint", pa.string()),  # folder of the store
    _required("file", pa.string()),  # shard in that folder
    _required("first_row", pa.int64()),
    maker="rule embed_shard",
)

RELATIVES = _schema(
    "relatives",
    1,
    _required("uid", pa.string()),
    _required("kind", pa.string()),  # of its fragments: domain, active site, …
    _required("sequence", pa.string()),  # a window of the protein
    _required(
        "fragments",  # within the window
        pa.list_(
            pa.struct(
                [
                    ("class_name", pa.string()),
                    ("start", pa.int32()),
                    ("end", pa.int32()),
                    ("description", pa.string()),
                ]
            )
        ),
    ),
    _required("function", pa.string()),  # empty where none is known
    maker="rule evidence",
)

EVIDENCE = _schema(
    "evidence",
    1,
    _required("record_id", pa.string()),
    _required("data_name", pa.string()),
    _required("task_type", pa.string()),
    _required("split", pa.string()),
    _required("rank", pa.int32()),  # of the line in the question, from 1
    _required("uid", pa.string()),  # the training protein that it comes from; empty: profiles
    _required("identity", pa.float64()),  # of the alignment's columns, 0 to 1
    _required("coverage", pa.float64()),  # part of the window that the alignment spans
    _required("e_value", pa.float64()),
    _required("text", pa.string()),  # the answer that it suggests
    # The relative's fragments at their places in the window, aligned with each other.
    _required("classes", pa.list_(pa.string())),
    _required("spans", pa.list_(SPAN)),
    pa.field(
        "overlap", pa.float64()
    ),  # IoU of the fragment that is referred to with the relative's; referring tasks
    maker="rule evidence",
)

SEQUENCES = _schema("sequences", 1, _required("sequence", pa.string()))  # what RECORDS and WINDOWS share

PREDICTIONS = _schema(
    "predictions",
    5,
    _required("system", pa.string()),  # "model" or the name of a baseline
    _required("record_id", pa.string()),
    _required("data_name", pa.string()),
    _required("task_type", pa.string()),
    _required("prompt", pa.string()),
    _required("text", pa.string()),
    _required("reference", pa.string()),  # the right answer
    _required("stopped", pa.bool_()),  # the model ended its turn itself
    _required("tokens", pa.int32()),
    _required("seconds", pa.float64()),  # share of its batch's wall time
    # How sure the system is: that the class is right, or that there is something to find; null where it does not say.
    pa.field("confidence", pa.float64()),
    pa.field("place_confidences", pa.list_(pa.float64())),  # of each place of the answer, in order
    # Probable answers, the most probable first, each once; null where they were not asked for.
    pa.field("candidates", pa.list_(pa.struct([("text", pa.string()), ("probability", pa.float64())]))),
    # Of each residue of the window, the higher the surer that it is asked for; null where a system has places only.
    pa.field("residue_scores", pa.list_(pa.float32())),
    maker="rule generate or baselines",
)

SCORED = _schema(
    "scored",
    3,
    _required("record_id", pa.string()),
    _required("uid", pa.string()),
    _required("data_name", pa.string()),
    _required("task_type", pa.string()),
    _required("system", pa.string()),  # "model" or the name of a baseline
    pa.field("prompt", pa.string()),  # the last question, where the predictions state it
    _required("reference", pa.string()),
    _required("text", pa.string()),
    _required("parse_status", pa.string()),  # "ok", or what was wrong with the answer
    pa.field("predicted_classes", pa.list_(pa.string())),
    pa.field("predicted_spans", SPAN_GROUPS),  # aligned with predicted_classes
    # As in the predictions, calibrated where there is a calibration of the system and task.
    pa.field("confidence", pa.float64()),
    pa.field(
        "place_confidences", pa.list_(pa.float64())
    ),  # of all predicted_spans in order, null where unknown
    # Which of them are right, at IoU 0.5; null where ignored. Null as a whole in tasks without places.
    pa.field("place_right", pa.list_(pa.bool_())),
    pa.field("seconds", pa.float64()),  # share of its batch's wall time, where the predictions state it
    _required("metrics", pa.map_(pa.string(), pa.float64())),  # of this record alone
    maker="rule score",
)

LEAKAGE = _schema(
    "leakage",
    2,
    _required("record_id", pa.string()),
    _required("uid", pa.string()),
    _required("data_name", pa.string()),
    _required("task_type", pa.string()),
    _required(
        "identity", pa.float64()
    ),  # highest of the window to any in training, 0 when no relative was found
    # Highest of a fragment that the record asks about to anything in training; null for a record without a fragment.
    pa.field("fragment_identity", pa.float64()),
    maker="rule audit_leakage",
)

SPLIT_ASSIGNMENT = _schema(
    "split_assignment",
    2,
    _required("data_name", pa.string()),
    _required("uid", pa.string()),
    _required("split", pa.string()),
    maker="rule assign_splits",
)
