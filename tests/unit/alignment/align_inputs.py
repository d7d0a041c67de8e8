"""Records of both kinds from a few real proteins, with both stores filled, and runs on them."""

from pathlib import Path

from tiny_models import HEADS, TinyModels, build_tiny_models

from fragmodel.alignment.program import launch_alignment
from fragmodel.alignment.texts import embed_texts
from fragmodel.alignment.train import AlignmentRun
from fragmodel.config.alignment import AlignmentConfig
from fragmodel.config.training import AdapterConfig
from fragmodel.data.ingest import ingest
from fragmodel.embeddings.extract import embed_sequences
from fragmodel.tables import RECORDS, read_rows

REPOSITORY = Path(__file__).parents[3]
ADAPTER = AdapterConfig(intermediate_dim=32, num_perceiver_heads=HEADS)


class Inputs:
    """Records of both kinds, and both stores filled from them."""

    def __init__(self, folder: Path) -> None:
        self.models: TinyModels = build_tiny_models(folder / "models")
        self.folder = folder
        raw = {
            "referring_desc": REPOSITORY / "data/sample/VenusX_Motif/train.json",
            "function": REPOSITORY / "data/sample/Function/valid.csv",
        }
        self.records = []
        for task, source in raw.items():
            output = folder / f"{task}.parquet"
            ingest(
                [source], task=task, data_name="Mine_Motif", output=output, rejects=folder / "rejects.parquet"
            )
            self.records.append(output)
        rows = [row for path in self.records for row in read_rows(path, RECORDS)]
        self.fingerprint = embed_sequences(
            [row["sequence"] for row in rows], encoder=self.models.encoder, store=folder / "store"
        ).fingerprint
        self.texts = embed_texts(
            [row["answer"] for row in rows], decoder=self.models.untied, store=folder / "texts"
        )

    def config(self, **changes: object) -> AlignmentConfig:
        settings = {
            "enabled": True,
            "store": str(self.folder / "texts"),
            "max_steps": 12,
            "batch_size": 16,
            "learning_rate": 1e-3,
            "checkpoint_steps": 4,
        }
        return AlignmentConfig(**{**settings, **changes})

    def run(self, config: AlignmentConfig) -> AlignmentRun:
        return AlignmentRun(
            encoder=self.models.encoder,
            decoder=self.models.untied,
            train=self.records,
            valid=self.records[:1],
            store=self.folder / "store",
            fingerprint=self.fingerprint,
            texts=self.folder / "texts",
            texts_fingerprint=self.texts,
            adapter=ADAPTER,
            alignment=config,
            seed=3,
        )

    def align(self, output: Path, **changes: object) -> None:
        launch_alignment(
            encoder=self.models.encoder,
            decoder=self.models.untied,
            train=self.records,
            valid=self.records[:1],
            store=self.folder / "store",
            fingerprint=self.fingerprint,
            texts_fingerprint=self.texts,
            checkpoints=output / "checkpoints",
            model=output / "model",
            log=output / "log.jsonl",
            adapter=ADAPTER,
            alignment=self.config(**changes),
            seed=3,
            code="1",
            anew=False,
        )
