"""Encoders beside ESM-1b and ESM-2, held to their own forward pass on what their own tokenizer makes of a sequence."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from sentencepiece import SentencePieceTrainer
from tiny_models import TinyModels, grounding_record, make_dataset, referring_record
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    AutoTokenizer,
    BertConfig,
    BertModel,
    EsmcConfig,
    EsmcModel,
    EsmConfig,
    EsmModel,
    EsmTokenizer,
    PreTrainedTokenizerFast,
    T5Config,
    T5EncoderModel,
    T5ForConditionalGeneration,
)

from fragmodel.batching.packing import PackedCollator
from fragmodel.config.models import ModelsConfig
from fragmodel.embeddings.encoders import encoder_fingerprint, load_encoder, save_encoder
from fragmodel.embeddings.extract import embed_sequences
from fragmodel.embeddings.forward import encoder_pass
from fragmodel.embeddings.kinds import token_ids
from fragmodel.embeddings.store import EmbeddingStore
from fragmodel.errors import UserError
from fragmodel.planning.shapes import encoder_shape

SEQUENCES = ["MKTAYIAKQRQISFVKSHFSRQ", "LAGVSERTIDPKQNFYMHWCXBUZO", "M", "PPGFSPFRLLWWKD" * 5]
DIM, HEADS, LAYERS = 32, 4, 3
STRUCTURES = "pynwrqhgdlvtmfsaeikc#"


def esmc(folder: Path) -> None:
    config = EsmcConfig(
        hidden_size=DIM, intermediate_size=48, num_hidden_layers=LAYERS, num_attention_heads=HEADS
    )
    shaken(EsmcModel, config).save_pretrained(folder)


def saprot(folder: Path) -> None:
    pairs = [residue + structure for residue in "ACDEFGHIKLMNPQRSTVWY#" for structure in STRUCTURES]
    words = ["<cls>", "<pad>", "<eos>", "<unk>", "<mask>", *pairs]
    folder.mkdir(parents=True)
    (folder / "vocab.txt").write_text("\n".join(words))
    EsmTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    config = EsmConfig(
        **{"vocab_size": len(words), "mask_token_id": 4, "pad_token_id": 1, "hidden_size": DIM},
        **{"num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "intermediate_size": 64},
        **{"position_embedding_type": "rotary", "token_dropout": True, "emb_layer_norm_before": False},
    )
    shaken(EsmModel, config, add_pooling_layer=False).save_pretrained(folder)


def t5(folder: Path, spelling: str, *extra: str, whole: bool = False) -> None:
    letters = [spelling.format(letter) for letter in "ALGVSRETDIPKFQNYMHWCXBOUZ"]
    words = ["<pad>", "</s>", "<unk>", *letters, "▁", *extra]
    backend = Tokenizer(models.Unigram([(word, -2.0) for word in words], unk_id=2))
    backend.pre_tokenizer = pre_tokenizers.Metaspace() if spelling != "{}" else None
    backend.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    PreTrainedTokenizerFast(
        tokenizer_object=backend,
        **{"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"},
        additional_special_tokens=list(extra),
    ).save_pretrained(folder)
    config = T5Config(
        **{"vocab_size": len(words), "d_model": DIM, "d_kv": 8, "d_ff": 48, "num_layers": LAYERS},
        **{"num_heads": HEADS, "relative_attention_max_distance": 20, "decoder_start_token_id": 0},
        feed_forward_proj="relu" if spelling != "{}" else "gated-gelu",  # ProtT5's, Ankh's
    )
    shaken(T5ForConditionalGeneration if whole else T5EncoderModel, config).save_pretrained(folder)


def shaken(kind: Any, config: Any, **options: Any) -> Any:
    """A seeded model whose norms and biases are no ones and zeros."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = kind(config, **options)
        with torch.no_grad():
            for weight in model.parameters():
                weight += 0.1 * torch.randn(weight.shape)
    return model


MAKE = {
    "esmc": esmc,
    "saprot": saprot,
    "prott5": lambda folder: t5(folder, "▁{}"),
    "prott5, with its decoder": lambda folder: t5(folder, "▁{}", whole=True),
    "prostt5": lambda folder: t5(folder, "▁{}", "<fold2AA>", "<AA2fold>"),
    "ankh": lambda folder: t5(folder, "{}"),
}
# What each one's authors give to its tokenizer.
AS_TEXT = {
    "esmc": lambda sequence: sequence,
    "saprot": lambda sequence: "".join(
        f"{residue if residue not in 'XBUZO' else '#'}#" for residue in sequence
    ),
    "prott5": lambda sequence: " ".join(re.sub("[UZOB]", "X", sequence)),
    "prostt5": lambda sequence: "<AA2fold> " + " ".join(re.sub("[UZOB]", "X", sequence)),
    "ankh": lambda sequence: sequence,
}


@pytest.fixture(scope="module", params=MAKE)
def encoder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    folder = tmp_path_factory.mktemp("encoder") / "model"
    MAKE[request.param](folder)
    return request.param.partition(",")[0], folder


def own_tokenizer(name: str, folder: Path) -> Any:
    if name != "esmc":
        return AutoTokenizer.from_pretrained(folder)
    from transformers import EsmcTokenizer

    return EsmcTokenizer()


@torch.no_grad()
def reference(name: str, folder: Path, sequence: str, layer: int) -> torch.Tensor:
    """States of one sequence, alone, by the encoder's own tokenizer and model."""
    kind = {"esmc": EsmcModel, "saprot": EsmModel}.get(name, T5EncoderModel)
    model = kind.from_pretrained(folder, attn_implementation="eager").eval()
    ids = own_tokenizer(name, folder)(AS_TEXT[name](sequence), return_tensors="pt")["input_ids"]
    return model(input_ids=ids, output_hidden_states=True).hidden_states[layer][0]


@pytest.mark.parametrize("layer", [0, 1, LAYERS])
def test_states_are_those_of_its_own_forward_pass(encoder: tuple[str, Path], layer: int) -> None:
    name, folder = encoder
    found = encoder_pass(load_encoder(folder), layer)(SEQUENCES)
    for sequence, states in zip(SEQUENCES, found, strict=True):
        expected = reference(name, folder, sequence, layer)
        assert states.shape == (len(sequence) + 2, DIM)
        if name in ("prott5", "ankh"):
            assert not states[0].any()  # no token stands before the residues
            states = states[1:]
        torch.testing.assert_close(states, expected, rtol=1e-5, atol=1e-5)


def test_a_saved_encoder_needs_no_tokenizer_and_is_the_same(
    encoder: tuple[str, Path], tmp_path: Path
) -> None:
    _, folder = encoder
    save_encoder(load_encoder(folder), tmp_path / "saved")
    assert not list((tmp_path / "saved").glob("tok*")) + list((tmp_path / "saved").glob("vocab*"))
    first, second = (encoder_fingerprint(path, -1, "int8") for path in (folder, tmp_path / "saved"))
    assert first == second
    before, after = (encoder_pass(load_encoder(path))(SEQUENCES) for path in (folder, tmp_path / "saved"))
    assert all(map(torch.equal, before, after))
    assert encoder_shape(ModelsConfig(encoder=str(folder))).hidden_size == DIM


def test_training_reads_its_states_from_the_store(
    encoder: tuple[str, Path], tiny: TinyModels, tmp_path: Path
) -> None:
    _, folder = encoder
    rows = [referring_record(0), grounding_record(1)]
    summary = embed_sequences(
        [row["sequence"] for row in rows], encoder=folder, store=tmp_path / "store", dtype="float32"
    )
    spec = tiny.spec(esm_path=str(folder))
    model, tokenizer = spec.build(include_encoder=False)
    store = EmbeddingStore(tmp_path / "store", summary.fingerprint)
    dataset = make_dataset(rows, tokenizer, store=store)
    batch = PackedCollator()([dataset[number] for number in range(2)])
    expected = encoder_pass(load_encoder(folder))([row["sequence"] for row in rows])
    torch.testing.assert_close(batch["protein_hidden_states"], torch.cat(expected))
    loss = model(**batch).loss
    loss.backward()
    assert torch.isfinite(loss)
    with pytest.raises(UserError, match="is not joined with a decoder into one model; train on its "):
        spec.build(include_encoder=True)


def test_a_tokenizer_of_sentencepiece_is_read(tmp_path: Path) -> None:
    """As ProtT5's, which has no other file."""
    t5(tmp_path, "▁{}")
    expected = load_encoder(tmp_path).config.residue_tokens
    for path in tmp_path.glob("tok*"):
        path.unlink()
    with (tmp_path / "spiece.model").open("wb") as file:
        SentencePieceTrainer.train(
            sentence_iterator=iter(["A L G V S R E T D I P K F Q N Y M H W C X B O U Z"]),
            model_writer=file,
            **{"model_type": "word", "vocab_size": 28, "hard_vocab_limit": False, "minloglevel": 2},
            **{"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1},
        )
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "T5Tokenizer", "extra_ids": 0}')
    config = load_encoder(tmp_path).config
    assert config.residue_tokens["letters"].keys() == expected["letters"].keys()
    ids = AutoTokenizer.from_pretrained(tmp_path)("M K X T")["input_ids"]
    assert token_ids("MKOT", config).tolist() == ids


def test_another_kind_is_refused_by_its_config(tmp_path: Path) -> None:
    BertConfig().save_pretrained(tmp_path)
    with pytest.raises(UserError, match="holds a 'bert' model; expected an encoder of esm, esmc, t5"):
        load_encoder(tmp_path)
    assert BertModel  # the kind exists; its weights are not looked for


def test_a_tokenizer_without_residues_is_refused(tmp_path: Path) -> None:
    t5(tmp_path, "{}")
    backend = Tokenizer(models.Unigram([("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("A", 0.0)], unk_id=2))
    PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="</s>").save_pretrained(tmp_path)
    with pytest.raises(UserError, match="its tokenizer knows no token 'C' for a residue"):
        load_encoder(tmp_path)
