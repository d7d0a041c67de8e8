"""fair-esm's own models and forward pass, the reference of the numerical tests."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import esm
import torch


def load_esm2(path: Path) -> torch.nn.Module:
    """An ESM-2 file through fair-esm's documented loader (which needs Namespace allowed since torch 2.6)."""
    with torch.serialization.safe_globals([argparse.Namespace]):
        model, _ = esm.pretrained.load_model_and_alphabet(str(path))
    return model.eval()


def make_esm1b(path: Path, *, arch: str = "roberta_large", before: bool = True) -> torch.nn.Module:
    """A small random ESM-1b of fair-esm's own class, saved in the layout of the published file."""
    settings = dict(layers=2, embed_dim=32, ffn_embed_dim=128, attention_heads=4)
    common = dict(max_positions=1024, token_dropout=True, arch="roberta_large", emb_layer_norm_before=before)
    torch.manual_seed(3)
    alphabet = esm.Alphabet.from_architecture("ESM-1b")
    model = esm.ProteinBertModel(argparse.Namespace(**settings, **common), alphabet).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    prefix = "encoder.sentence_encoder."
    state = {
        (f"encoder.{name}" if name.startswith("lm_head.") else prefix + name): tensor
        for name, tensor in model.state_dict().items()
    }
    common.pop("emb_layer_norm_before")
    args = argparse.Namespace(**{f"encoder_{name}": value for name, value in settings.items()}, **common)
    args.arch = arch
    torch.save({"args": args, "model": state}, path)
    return model


@torch.inference_mode()
def states(model: torch.nn.Module, tokens: torch.Tensor, layer: int) -> torch.Tensor:
    """``[batch, rows, dim]`` of a layer, counted as fair-esm does."""
    return model(tokens, repr_layers=[layer])["representations"][layer]


def tokenize(sequences: Sequence[str]) -> torch.Tensor:
    """Token ids by fair-esm's batch converter; the sequences hold letters of its alphabet only."""
    converter = esm.Alphabet.from_architecture("ESM-1b").get_batch_converter()
    return converter([("", sequence) for sequence in sequences])[2]
