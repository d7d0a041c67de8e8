"""The words that every part of the package uses, each defined once: tasks, splits, families, names, spans."""

import re
from typing import Literal, NamedTuple, get_args

TaskType = Literal["referring_desc", "referring_class", "grounding_single", "grounding_group", "function"]
TASK_TYPES: tuple[TaskType, ...] = get_args(TaskType)
REFERRING_TASKS = ("referring_desc", "referring_class")
GROUNDING_TASKS = ("grounding_single", "grounding_group")
DESCRIBING_TASKS = ("function", "referring_desc")  # whose answers describe a protein or a fragment

Split = Literal["train", "valid", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)

Family = Literal["domain", "active site", "binding site", "conserved site", "motif", "epitope", "fragment"]
"""What the fragments of a data set are; `fragment` stands for any of them."""

# The word in a data set's name that tells its family: those of the published collection, and `all`.
FAMILIES: dict[str, Family] = {
    "dom": "domain",
    "act": "active site",
    "bindi": "binding site",  # of InterPro
    "bindb": "binding site",  # of BioLiP
    "evo": "conserved site",
    "motif": "motif",
    "epi": "epitope",
    "all": "fragment",
}

LINEAR_LAYERS = (
    "q_proj",
    "k_proj",
    "v_proj",
    "o_proj",
    "gate_proj",
    "up_proj",
    "down_proj",
)  # of a decoder's layer
ALL_LINEAR = "all-linear"  # in the place of all of these names, as peft has it
# How LoRA's two factors begin, by peft's names; "default" is its own: no change, in random directions.
LORA_STARTS = r"default|gaussian|orthogonal|olora|pissa|pissa_niter_[1-9]\d*"
STAND_IN = "stand-in"  # in the place of a model's name: a small seeded one
MODEL_TYPE = "esm2_llama_instruct"  # of the joined model, as transformers calls it
MODEL = "model"  # the system that is evaluated, among the names of the baselines
WITHOUT_EVIDENCE = "model_without_evidence"  # the same, asked without evidence
ALL_DATA_SETS = "all data sets"  # beside their names in metrics.json; no name has a space
OURS = {MODEL, WITHOUT_EVIDENCE}  # all other systems are baselines
ENCODER_TYPES = (
    "esm",
    "esmc",
    "t5",
)  # what `model_type` may be in an encoder's config.json, first the default
DECODER_TYPES = ("llama", "mistral", "qwen2", "qwen3", "gemma3_text")
MODEL_TYPE = "esm2_llama_instruct"  # of the joined model
SPEC_FILE = "fragmodel.json"  # in a folder of trained weights: how they go together
RUN_LOCK = ".lock"  # in the folder of a run: the Snakemake at work there holds it
SOURCE_FILE = "fragmodel_source.json"  # in a folder of weights: where they come from
CARD_FILE = "README.md"  # in a model's folder: what it is, for people
RELATIVES_FILE = "relatives.parquet"  # in a model's folder: the training proteins that evidence comes from
LONGEST_WINDOW = (
    1021  # residues of a window unless set otherwise; as published, with BOS and EOS it fits ESM-1b's 1024
)
LEAST_VISIBLE = 0.5  # part of a fragment that a window shows at least, for it to be asked for there
MOST_REJECTED = 1.0  # part of a file's fragments that may be at fault: a lower limit is for who sets it
MANY_REJECTED = 0.05  # part from which on the user is warned


class Span(NamedTuple):
    """Residues ``start`` (included) to ``end`` (excluded), counted from 0."""

    start: int
    end: int

    @property
    def length(self) -> int:
        """Number of residues."""
        return self.end - self.start


def told_family(data_name: str) -> Family | None:
    """The family whose word stands in a data set's name (`VenusX_Res_Act_MF50`); None for no word or contrary ones."""
    told = {FAMILIES[word] for word in re.split(r"[\W_]", data_name.lower()) if word in FAMILIES}
    return told.pop() if len(told) == 1 else None


def family_of(data_name: str) -> Family:
    """Noun for the fragments of a data set by its name: "fragment" where that tells no family."""
    return told_family(data_name) or "fragment"


def moves_base(init_lora_weights: str) -> bool:
    """Whether LoRA begins as a part of the frozen weights, which is taken out of them."""
    return init_lora_weights.startswith(("pissa", "olora"))


def lora_fault(init_lora_weights: str, *, rank: int, use_dora: bool, decoder_bits: int | None) -> str | None:
    """Why LoRA cannot be had in this way; None where it can."""
    if not re.fullmatch(LORA_STARTS, init_lora_weights):
        known = "default, gaussian, orthogonal, olora, pissa or pissa_niter_N"
        return f"init_lora_weights {init_lora_weights}: not known; choose {known}"
    if moves_base(init_lora_weights) and use_dora:
        return f"init_lora_weights {init_lora_weights} changes the base weights whose size use_dora keeps; choose one"
    if moves_base(init_lora_weights) and decoder_bits:
        return f"init_lora_weights {init_lora_weights} changes the base weights, which decoder_bits rounds; choose one"
    if init_lora_weights == "orthogonal" and rank % 2:
        return f"init_lora_weights orthogonal needs an even rank, not {rank}"
    return None
