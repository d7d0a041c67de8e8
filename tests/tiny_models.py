"""Small seeded models of the true architectures, records and batches for them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
import torch.nn.functional as F
from transformers import CONFIG_MAPPING, MODEL_FOR_CAUSAL_LM_MAPPING, PreTrainedTokenizerBase

from fragmodel.batching.collator import FragDataCollator
from fragmodel.batching.dataset import FragRefDataset
from fragmodel.batching.packing import Batch, PackedCollator
from fragmodel.data.grammar import grounding_answer
from fragmodel.data.prompts import conversation
from fragmodel.model.chat import ChatEncoder
from fragmodel.model.modeling import IGNORED, Esm2LlamaInstructForCausalLM
from fragmodel.model.sources import make_encoder
from fragmodel.model.stand_ins import train_tokenizer
from fragmodel.model.trained import ModelSpec
from fragmodel.tables import RECORDS
from fragmodel.vocabulary import Span

DIM, HEADS, LAYERS, VOCAB = 48, 4, 2, 400
# As Llama 3.1's, for contexts so short that a record's rotary turns are of all three kinds: kept, mixed and slowed.
ROPE = {
    "rope_type": "llama3",
    "rope_theta": 10_000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 256,
}
TEXTS = [
    "You annotate protein sequences. Answer from the residues that you are shown.",
    "Protein of 120 residues: where is the kinase domain? It lies at (12,57).",
    "The zinc finger domain binds DNA; the active site is a serine. assistant user system",
]
SEQUENCES = ("MKTAYIAKQRQISFVKSHFSRQ", "MSTNPKPQRKTKRNTNRRPQDVKFPGG", "MALWMRLLPLLALLALWGPDPAAA")


@dataclass(frozen=True)
class TinyModels:
    """Folders of one encoder and of two decoders: with a head of its own, and with tied embeddings."""

    encoder: Path
    untied: Path
    tied: Path

    def spec(self, *, tied: bool = False, **changes: Any) -> ModelSpec:
        """A trained model's spec without dropout, so that two passes compare."""
        settings = {
            "esm_path": str(self.encoder),
            "llama_path": str(self.tied if tied else self.untied),
            "intermediate_dim": 32,
            "perceiver_latent_size": 2,
            "num_perceiver_heads": HEADS,
            "num_perceiver_layers": 2,
            "lora_rank": 4,
            "lora_alpha": 8,
            "lora_dropout": 0.0,
            "target_modules": ["q_proj", "v_proj", "down_proj"],
            "seed": 3,
        }
        return ModelSpec(**{**settings, **changes})


def build_tiny_models(folder: Path) -> TinyModels:
    """Write the three model folders."""
    models = TinyModels(folder / "encoder", folder / "untied", folder / "tied")
    make_encoder("stand-in", models.encoder, layers=LAYERS, dim=DIM, heads=HEADS, seed=5)
    for folder, tied in ((models.untied, False), (models.tied, True)):
        write_decoder(folder, rope_parameters=ROPE, tie_word_embeddings=tied)
    return models


def write_decoder(folder: Path, kind: str = "llama", **settings: Any) -> Path:
    """A decoder of a family with grouped key heads, whose tokenizer does not know the control tokens."""
    tokenizer = train_tokenizer(TEXTS, VOCAB)
    common = {
        "vocab_size": len(tokenizer),
        "hidden_size": DIM,
        "intermediate_size": 2 * DIM,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": HEADS // 2,
        "max_position_embeddings": 2048,
        "initializer_range": DIM**-0.5,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    config = CONFIG_MAPPING[kind](**{**common, **settings})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        model = MODEL_FOR_CAUSAL_LM_MAPPING[type(config)](config)
        with torch.no_grad():
            for name, weight in model.named_parameters():
                # They begin as ones or zeros: one that is left out or taken for another would not be seen.
                if "norm" in name or name.endswith("bias"):
                    weight += 0.2 * torch.randn(weight.shape)
        model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def build_model(spec: ModelSpec, *, include_encoder: bool = True) -> tuple[Any, PreTrainedTokenizerBase]:
    """A LoRA model whose trained weights are all shaken, since LoRA starts as no change at all."""
    model, tokenizer = spec.build(include_encoder=include_encoder)
    generator = torch.Generator().manual_seed(11)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter += 0.05 * torch.randn(parameter.shape, generator=generator)
    return model, tokenizer


def joined(model: Any) -> Esm2LlamaInstructForCausalLM:
    """The joined model inside a peft model."""
    return model.base_model.model


def referring_record(number: int = 0, span: tuple[int, int] = (3, 9), answer: str = "zinc finger") -> dict:
    """A row of the records table that asks for the class of a fragment."""
    return _row(number, "referring_class", answer, position_ref=list(span))


def grounding_record(number: int = 1, spans: Sequence[tuple[int, int]] = ((2, 5), (7, 11))) -> dict:
    """A row of the records table that asks where a class is."""
    group = [Span(*span) for span in spans]
    answer = grounding_answer("grounding_single", [("kinase", group)])
    return _row(number, "grounding_single", answer, position_grd=[[list(span) for span in spans]])


def _row(number: int, task: str, answer: str, **positions: Any) -> dict:
    sequence = SEQUENCES[number % len(SEQUENCES)]
    return {
        "record_id": f"P{number}:{task}",
        "uid": f"P{number}",
        "data_name": "VenusX_Dom",
        "task_type": task,
        "sequence": sequence,
        "start": 0,
        "full_length": len(sequence),
        "position_ref": None,
        "position_grd": None,
        "classes": ["kinase"],
        "class_ids": ["IPR000719"],
        "conversation": conversation(task, "VenusX_Dom", len(sequence), "kinase"),
        "answer": answer,
        "flags": [],
        **positions,
    }


def make_dataset(
    rows: Sequence[dict], tokenizer: PreTrainedTokenizerBase, latent: int = 2, **options: Any
) -> FragRefDataset:
    """The rows as examples."""
    table = pa.Table.from_pylist(list(rows), schema=RECORDS.remove_metadata())
    return FragRefDataset(table, ChatEncoder(tokenizer, latent), **options)


def make_batch(
    rows: Sequence[dict], tokenizer: PreTrainedTokenizerBase, side: str = "right", **options: Any
) -> dict[str, torch.Tensor]:
    """The rows as one padded batch."""
    dataset = make_dataset(rows, tokenizer, **options)
    return FragDataCollator(tokenizer.pad_token_id, side)([dataset[i] for i in range(len(dataset))])


def make_packed(rows: Sequence[dict], tokenizer: PreTrainedTokenizerBase, **options: Any) -> Batch:
    """The rows as one packed batch."""
    dataset = make_dataset(rows, tokenizer, **options)
    return PackedCollator()([dataset[i] for i in range(len(dataset))])


def plain_loss(model: Any, batch: dict[str, torch.Tensor], **inputs: Any) -> torch.Tensor:
    """Cross-entropy over logits of all positions of a padded batch, as a textbook has it."""
    inner = joined(model)
    states = inner.encode_protein(batch["protein_input_ids"], batch["protein_attention_mask"])
    embeddings = inner.embed_inputs(
        batch["input_ids"], states, batch["protein_attention_mask"], batch["position_ref"]
    )
    logits = inner.llama_decoder(inputs_embeds=embeddings, attention_mask=batch["attention_mask"]).logits
    return F.cross_entropy(
        logits[:, :-1].flatten(0, 1), batch["labels"][:, 1:].flatten(), ignore_index=IGNORED, **inputs
    )


def gradients(model: torch.nn.Module, loss: torch.Tensor) -> dict[str, torch.Tensor | None]:
    """Gradient of ``loss`` by the name of each trained parameter; None where it has none."""
    model.zero_grad(set_to_none=True)
    loss.backward()
    return {name: p.grad for name, p in model.named_parameters() if p.requires_grad}


def assert_same_gradients(
    ours: dict[str, torch.Tensor], reference: dict[str, torch.Tensor], tolerance: float = 1e-5
) -> None:
    """Same parameters, and each gradient within ``tolerance`` of the reference's largest value."""
    assert ours.keys() == reference.keys()
    for name, gradient in ours.items():
        scale = max(reference[name].abs().max().item(), 1e-3)
        error = (gradient - reference[name]).abs().max().item() / scale
        assert error < tolerance, f"{name}: {error}"
