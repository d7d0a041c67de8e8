"""The run's configuration: one typed model.

It gives the defaults, the JSON schema for editors (``fragmodel config schema``), the reference page of the
documentation and the error messages. Unknown keys are errors.
"""

from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from pydantic import ValidationError, field_validator, model_validator

from fragmodel.config.alignment import AlignmentConfig
from fragmodel.config.datasets import DatasetConfig, IngestConfig
from fragmodel.config.duplicates import refuse_duplicates
from fragmodel.config.evaluation import EvaluationConfig, ReportConfig
from fragmodel.config.evidence import EvidenceConfig
from fragmodel.config.experiment import ExperimentConfig
from fragmodel.config.faults import explain
from fragmodel.config.models import EmbeddingsConfig, ModelsConfig
from fragmodel.config.section import Folder, Section, is_plain_path, with_texts
from fragmodel.config.training import AdapterConfig, LoraConfig, TrainingConfig
from fragmodel.errors import UserError
from fragmodel.files import check_regular
from fragmodel.vocabulary import DESCRIBING_TASKS, FAMILIES, lora_fault, told_family

SectionType = TypeVar("SectionType", bound=Section)


class RunConfig(Section):
    """A whole run: `config.yaml`."""

    results: Folder = "results"
    """Folder of everything that the run makes."""
    shared: Folder | None = None
    """Folder in which runs share the stages that do not depend on what is trained: each is made once for all that \
have the same settings for it. Without it all lies in `results`."""
    seed: int = 1
    """Seed of every random choice."""
    packages: Literal["report", "rerun"] = "report"
    """What another version of a package that decides a stage's numbers (torch, transformers, MMseqs2 …) does: \
`report` tells of it in the report and in `fragmodel doctor`, `rerun` repeats the stages that it concerns."""
    container: str | None = None
    """Image of all rules for `snakemake --sdm apptainer`: a file (`fragmodel.sif`) or an address (`docker://…`)."""
    datasets: dict[str, DatasetConfig]
    """Data sets by name; a word in the name tells the family (`VenusX_Dom`, `VenusX_Res_Act_MF50`, …)."""
    models: ModelsConfig = ModelsConfig()
    """Encoder and decoder."""
    ingest: IngestConfig = IngestConfig()
    """Validation and windows."""
    evidence: EvidenceConfig = EvidenceConfig()
    """Evidence from annotated relatives."""
    embeddings: EmbeddingsConfig = EmbeddingsConfig()
    """Encoder states."""
    alignment: AlignmentConfig = AlignmentConfig()
    """Alignment before training."""
    adapter: AdapterConfig = AdapterConfig()
    """Modality and fragment adapter."""
    lora: LoraConfig = LoraConfig()
    """LoRA."""
    training: TrainingConfig = TrainingConfig()
    """Training."""
    evaluation: EvaluationConfig = EvaluationConfig()
    """Evaluation."""
    report: ReportConfig = ReportConfig()
    """Report."""
    experiment: ExperimentConfig = ExperimentConfig()
    """Variants of the run, each with several seeds."""

    @model_validator(mode="before")
    @classmethod
    def _stores_in_results(cls, values: Any) -> Any:
        """Stores that are not named lie in the run's folder, or in that of all runs."""
        folder = isinstance(values, dict) and (values.get("shared") or values.get("results", "results"))
        if not is_plain_path(folder):
            return values  # faults that the fields' own checks tell
        values = dict(values)
        for section, name in (("embeddings", "store"), ("alignment", "texts")):
            given = values.get(section, {})
            if isinstance(given, dict) and given.get("store") is None:
                values[section] = {**given, "store": f"{folder}/{name}"}
        return values

    @model_validator(mode="before")
    @classmethod
    def _one_seed(cls, values: Any) -> Any:
        """Without a seed of their own, alignment and training take that of the run."""
        if not isinstance(values, dict):
            return values
        values = dict(values)
        for section in ("alignment", "training"):
            given = values.get(section, {})
            if isinstance(given, dict) and given.get("seed") is None:
                values[section] = {**given, "seed": values.get("seed", 1)}
        return values

    @field_validator("datasets")
    @classmethod
    def _plain_names(cls, value: dict[str, DatasetConfig]) -> dict[str, DatasetConfig]:
        if not value:
            raise ValueError("name at least one data set")
        for name in value:
            # Data names become file names: no separators, no leading dot.
            if not all(char.isalnum() or char in "_-" for char in name):
                raise ValueError(f"data name {name!r} may hold letters, digits, '_' and '-' only")
        for name, dataset in value.items():
            if set(dataset.tasks) != {"function"} and not (dataset.family or told_family(name)):
                known = ", ".join(dict.fromkeys(FAMILIES.values()))
                raise ValueError(
                    f"neither the name {name!r} nor its key family tells what the fragments are: set family, one of "
                    f"{known}"
                )
        return value

    @model_validator(mode="after")
    def _alignment_has_pairs(self) -> "RunConfig":
        if self.alignment.enabled:
            tasks = {task for dataset in self.datasets.values() for task in dataset.tasks}
            if not tasks.intersection(DESCRIBING_TASKS):
                raise ValueError(
                    "alignment.enabled needs pairs: a data set with the task function or referring_desc"
                )
            if self.embeddings.mode != "store":
                raise ValueError("alignment.enabled needs embeddings.mode: store")
        return self

    @model_validator(mode="after")
    def _loop_has_the_last_layer(self) -> "RunConfig":
        if self.embeddings.mode == "in_loop" and self.embeddings.layer != -1:
            raise ValueError(
                "embeddings.layer needs embeddings.mode: store; the encoder in the loop gives the last"
            )
        return self

    @model_validator(mode="after")
    def _lora_can_be_had(self) -> "RunConfig":
        lora = self.lora
        bits = self.training.decoder_bits
        if fault := lora_fault(
            lora.init_lora_weights, rank=lora.rank, use_dora=lora.use_dora, decoder_bits=bits
        ):
            raise ValueError(f"lora.{fault}")
        return self

    @model_validator(mode="after")
    def _heads_divide(self) -> "RunConfig":
        stand_in = self.models.stand_in
        for part in ("encoder", "decoder"):
            dim, heads = getattr(stand_in, f"{part}_dim"), getattr(stand_in, f"{part}_heads")
            if dim % (2 * heads):
                raise ValueError(
                    f"models.stand_in.{part}_dim ({dim}) must be an even multiple of {part}_heads ({heads})"
                )
        return self


def parse_config(values: dict[str, Any], source: str = "config") -> RunConfig:
    """Check plain values (from YAML or Snakemake). Raises :class:`UserError` listing every fault by key path."""
    try:
        return RunConfig.model_validate(values)
    except ValidationError as error:
        lines = [f"  {explain(fault, RunConfig)}" for fault in error.errors()]
        raise UserError("\n".join([f"{source} is not valid:", *lines])) from None


def parse_section(model: type[SectionType], values: Any, name: str) -> SectionType:
    """Check the plain values of one section. Raises :class:`UserError` listing every fault by key path."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        lines = [f"  {name}.{explain(fault, model)}" for fault in error.errors()]
        raise UserError("\n".join([f"{name} is not valid:", *lines])) from None


def load_config(path: str | Path) -> RunConfig:
    """Read and check a YAML file."""
    return parse_config(read_yaml(path), str(path))


def read_yaml(path: str | Path) -> dict[str, Any]:
    """The plain values of a YAML file."""
    check_regular(path)
    try:
        text = Path(path).read_text(encoding="utf-8")
        values = yaml.safe_load(text)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (yaml.YAMLError, ValueError) as error:  # the latter: no text, or a number of thousands of digits
        raise UserError(f"{path}: not valid YAML: {error}") from None
    if not isinstance(values, dict):
        raise UserError(f"{path}: expected keys and values at the top level")
    refuse_duplicates(Path(path), text)
    return values


def config_schema() -> dict[str, Any]:
    """The JSON schema of the configuration for editors; `fragmodel/config.schema.json` is its copy."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return _with_texts({**schema, **RunConfig.model_json_schema()})


def _with_texts(schema: Any) -> Any:
    """The schema with the texts that stand for numbers and truth values."""
    if not isinstance(schema, dict):
        return schema
    parts = {key: _with_texts(value) for key, value in schema.items() if key != "properties"}
    if properties := schema.get("properties"):
        parts["properties"] = {key: with_texts(value) for key, value in properties.items()}
    return parts
