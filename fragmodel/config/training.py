"""Sections of training."""

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from fragmodel.config.section import Fraction, Positive, Section
from fragmodel.vocabulary import ALL_LINEAR, LINEAR_LAYERS, LORA_STARTS


class LearningConfig(Section):
    """What the stages that train share: how long, how fast, and on which machines."""

    seed: int | None = None
    """Seed of what is learnt: first weights, order of the records, dropout; the run's `seed` unless given."""
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
    perceiver_dim: Annotated[int, Field(ge=0)] = 512
    """Width of the fragment adapter's layers, at most the decoder's, whose width 0 means."""


class LoraConfig(Section):
    """Low-rank adaptation of the decoder."""

    rank: Positive = 32
    """Rank of the update."""
    alpha: Positive = 64
    """Scale: the update is multiplied by alpha / rank."""
    dropout: Fraction = 0.1
    """Dropout on the input of the update."""
    target_modules: list[str] = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    """Linear layers of the decoder that get an update; `[all-linear]` for all."""
    use_dora: bool = False
    """DoRA: the update turns each row of a weight, and a trained factor gives its size. Slower."""
    use_rslora: bool = False
    """rsLoRA: the update is multiplied by alpha / √rank."""
    init_lora_weights: Annotated[str, Field(json_schema_extra={"pattern": f"^({LORA_STARTS})$"})] = "default"
    """How the update begins: `default`, `gaussian` and `orthogonal` as no change; `pissa`, `pissa_niter_N` (N rounds \
of a fast approximation) and `olora` as a part of the weights that is taken out of them. What is saved of these is \
LoRA of twice the rank on the weights as they were."""
    loraplus_lr_ratio: Annotated[float, Field(ge=1)] | None = None
    """LoRA+: the second factor of the update learns so many times faster."""

    @field_validator("target_modules")
    @classmethod
    def _all_linear(cls, value: list[str]) -> list[str]:
        return list(LINEAR_LAYERS) if value == [ALL_LINEAR] else value


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
loss. 0: 1024 on a CPU; on a GPU as many as its memory holds by `fragmodel plan`, at most 16384."""
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    """Number format of the forward pass (mixed precision); float16 needs a GPU."""
    optimizer: Literal["adamw_torch_fused", "adamw_bnb_8bit", "paged_adamw_32bit", "paged_adamw_8bit"] = (
        "adamw_torch_fused"
    )
    """AdamW of torch, or of bitsandbytes (not with `parallel: fsdp`): moments of 8 bits take a quarter, and those of \
a `paged` one (on a GPU) move to the host's memory when the card's is needed."""
    decoder_bits: Literal[8, 4] | None = None
    """Hold the frozen linear layers of the decoder in 8 or 4 bits, for less memory (needs bitsandbytes; with \
`parallel: fsdp` 4)."""
    parallel: Literal["ddp", "fsdp"] = "ddp"
    """Among several processes: `ddp` keeps the whole model on each, `fsdp` a shard of every weight (and no probe)."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, more time."""
    workers: Annotated[int, Field(ge=0)] = 0
    """Data loading processes for each training process."""
    checkpoint_steps: Positive = 200
    """Steps between checkpoints; each is validated."""
    select: Literal["last", "loss", "score"] = "loss"
    """Which checkpoint becomes the model: the `last`, or the one with the best validation `loss`, or with the best \
mean `score` of its valid answers to `probe_records` (each task by the metric that decides it)."""
    patience: Annotated[int, Field(ge=0)] = 0
    """End training after so many validations that were no better than the best before; 0: never."""
    validation_records: Annotated[int, Field(ge=0)] = 1000
    """Validation records of each validation, spread evenly over all; 0: all of them."""
    log_steps: Positive = 5
    """Steps between log entries."""
    report_to: list[Literal["tensorboard", "wandb", "mlflow"]] = ["tensorboard"]
    """Trackers that get the log entries while training runs; `[]` for none."""
    probe_records: Annotated[int, Field(ge=0)] = 8
    """Validation records that are answered at each checkpoint; the report draws how many answers have their form, and \
their score. For `select: score` take 50 or more: of few, chance decides."""
    max_text_tokens: Positive = 512
    """Longest answer in tokens; longer ones are cut and counted."""

    @model_validator(mode="after")
    def _can_be_sharded(self) -> "TrainingConfig":
        if self.decoder_bits == 8 and self.parallel == "fsdp":
            raise ValueError("decoder_bits: 8 cannot be sharded; take 4, or set parallel: ddp")
        if self.select == "score" and (self.parallel == "fsdp" or not self.probe_records):
            raise ValueError("select: score needs probe_records, and parallel: ddp; or choose select: loss")
        if self.optimizer != "adamw_torch_fused" and self.parallel == "fsdp":
            raise ValueError("optimizer: bitsandbytes' cannot be sharded; leave it out, or set parallel: ddp")
        return self
