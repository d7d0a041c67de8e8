"""Options of both training programs that are ours, and our defaults of transformers' own. Imports no torch."""

from dataclasses import dataclass, field

from fragmodel.vocabulary import ALL_LINEAR, LINEAR_LAYERS, LONGEST_WINDOW, TASK_TYPES


@dataclass(kw_only=True)
class ModelArguments:
    """The two pretrained models and the adapters between them."""

    esm_path: str = field(
        metadata={"help": "ESM encoder: transformers folder, fair-esm .pt file or name, hub id"}
    )
    llama_path: str = field(metadata={"help": "decoder: transformers folder or hub id"})
    load_model_checkpoint_path: str | None = field(
        default=None,
        metadata={
            "help": "initialise modality and fragment adapter from these safetensors; LoRA and span markers start anew"
        },
    )
    load_adapter_checkpoint_dir: str | None = field(
        default=None, metadata={"help": "start from the trained weights of this checkpoint (fresh optimizer)"}
    )
    intermediate_dim: int = field(default=2048, metadata={"help": "hidden width of the modality adapter"})
    perceiver_latent_size: int = field(default=1, metadata={"help": "soft tokens that stand for a fragment"})
    num_perceiver_heads: int = field(default=16, metadata={"help": "attention heads of the fragment adapter"})
    num_perceiver_layers: int = field(default=2, metadata={"help": "layers of the fragment adapter"})
    perceiver_dim: int = field(
        default=512,
        metadata={
            "help": "width of the fragment adapter's layers, at most the decoder's; 0: the decoder's width"
        },
    )
    torch_dtype: str = field(
        default="float32",
        metadata={
            "help": "number format of the frozen weights",
            "choices": ["float32", "bfloat16", "float16"],
        },
    )
    decoder_bits: int | None = field(
        default=None,
        metadata={
            "help": "hold the frozen linear layers of the decoder in 8 or 4 bits (bitsandbytes)",
            "choices": [8, 4],
        },
    )


@dataclass(kw_only=True)
class LoraArguments:
    """Low-rank adaptation of the decoder."""

    lora_rank: int = field(default=32, metadata={"help": "rank of the update"})
    lora_alpha: int = field(default=64, metadata={"help": "the update is scaled by alpha / rank"})
    lora_dropout: float = field(default=0.1, metadata={"help": "dropout on the input of the update"})
    target_modules: list[str] = field(
        default_factory=lambda: list(LINEAR_LAYERS),
        metadata={
            "help": "linear layers of the decoder that get an update",
            "choices": (*LINEAR_LAYERS, ALL_LINEAR),
        },
    )
    use_dora: bool = field(
        default=False, metadata={"help": "DoRA: train the size of each row of a weight apart"}
    )
    use_rslora: bool = field(default=False, metadata={"help": "rsLoRA: scale by alpha / sqrt(rank)"})
    init_lora_weights: str = field(
        default="default",
        metadata={
            "help": "how the update begins: default, gaussian, orthogonal, olora, pissa or pissa_niter_N"
        },
    )
    loraplus_lr_ratio: float | None = field(
        default=None, metadata={"help": "LoRA+: the second factor learns so many times faster (1 or more)"}
    )

    def __post_init__(self) -> None:
        if ALL_LINEAR in self.target_modules:
            self.target_modules = list(LINEAR_LAYERS)


@dataclass(kw_only=True)
class DataArguments:
    """What to train on: a data folder with names and tasks, or the pipeline's Parquet files."""

    root_dir: str | None = field(default=None, metadata={"help": "folder that holds the data sets"})
    data_name: list[str] = field(default_factory=list, metadata={"help": "data set names, e.g. VenusX_Dom"})
    task_type: list[str] = field(
        default_factory=list, metadata={"help": f"tasks to train on: {', '.join(TASK_TYPES)}"}
    )
    train_files: list[str] = field(
        default_factory=list, metadata={"help": "records Parquet files, instead of --root_dir"}
    )
    eval_files: list[str] = field(
        default_factory=list, metadata={"help": "records Parquet files for validation"}
    )
    sampling_weights: list[float] = field(
        default_factory=list, metadata={"help": "a weight for each data name or train file (default 1)"}
    )
    max_sequence_length: int = field(
        default=LONGEST_WINDOW, metadata={"help": "residues of the longest window"}
    )
    max_text_tokens: int = field(default=512, metadata={"help": "longer answers are cut to this"})
    probe_records: int = field(
        default=0,
        metadata={
            "help": "validation records that are answered at each validation, to log how many answers have their form, "
            "and their score"
        },
    )
    max_eval_samples: int = field(
        default=0, metadata={"help": "validate on so many records, spread evenly over all; 0: on all"}
    )
    store: str | None = field(
        default=None,
        metadata={"help": "embedding store to read encoder states from; default: encoder in the loop"},
    )
    store_fingerprint: str | None = field(
        default=None, metadata={"help": "which encoder's states in the store"}
    )


@dataclass(kw_only=True)
class LoopArguments:
    """What is added to transformers' ``TrainingArguments``, and what has another default here."""

    report_to: None | str | list[str] = field(default="tensorboard")  # noqa: RUF036 (the parser wants None first)
    remove_unused_columns: bool = field(default=False)
    prediction_loss_only: bool = field(default=True)
    logging_nan_inf_filter: bool = field(default=False)
    include_num_input_tokens_seen: str = field(default="non_padding")
    overwrite_output_dir: bool = field(
        default=False, metadata={"help": "remove the checkpoints of an earlier run from --output_dir first"}
    )
    early_stopping_patience: int = field(
        default=0,
        metadata={
            "help": "end after so many validations that are no better than the best before, with "
            "--load_best_model_at_end; 0: never"
        },
    )
    micro_batch_tokens: int = field(
        default=0,
        metadata={
            "help": "tokens that go through the model at once; a batch of more is done in parts, which changes its "
            "memory and not its loss. 0: 1024 on a CPU; on a GPU as many as its memory holds, at most 16384"
        },
    )
