import pytest
import torch
from fair_esm_reference import load_esm2, make_esm1b, states, tokenize

from fragmodel.embeddings import alphabet
from fragmodel.embeddings.encoders import load_encoder
from fragmodel.embeddings.forward import PackedEncoder

IN_ALPHABET = ["MKTAYIAKQRQISFVKSHFSRQ", "LAGVSERTIDPKQNFYMHWCXBUZO.-", "M", "-.OZUBX", "PPGFSPFRLLWWKD" * 40]


@pytest.mark.parametrize("layer", [0, 1, 2, 3, -1])
def test_every_layer_equals_fair_esm(layer, encoder_file) -> None:
    reference = states(load_esm2(encoder_file), tokenize(IN_ALPHABET), layer % 4)
    for ours, expected in zip(
        PackedEncoder(load_encoder(encoder_file), layer)(IN_ALPHABET), reference, strict=True
    ):
        assert (ours - expected[: len(ours)]).abs().max() < 1e-5


@pytest.mark.parametrize("before", [True, False])
def test_esm1b_equals_fair_esm(before, tmp_path) -> None:
    reference = states(make_esm1b(tmp_path / "esm1b.pt", before=before), tokenize(IN_ALPHABET), 2)
    ours = PackedEncoder(load_encoder(tmp_path / "esm1b.pt"))(IN_ALPHABET)
    for rows, expected in zip(ours, reference, strict=True):
        assert (rows - expected[: len(rows)]).abs().max() < 1e-5


def test_bfloat16_stays_close_to_fair_esm(encoder_file) -> None:
    reference = states(load_esm2(encoder_file), tokenize(IN_ALPHABET), 3)
    ours = PackedEncoder(load_encoder(encoder_file, dtype=torch.bfloat16))(IN_ALPHABET)
    for rows, expected in zip(ours, reference, strict=True):
        cosine = torch.cosine_similarity(rows.float(), expected[: len(rows)], dim=1)
        assert cosine.min() > 0.9995


def test_packing_equals_the_model_that_trains_in_loop(encoder_file, sequences) -> None:
    model = load_encoder(encoder_file)
    tokens = alphabet.encode(sequences)
    padded = model(tokens, attention_mask=alphabet.attention_mask(tokens)).last_hidden_state
    for sequence, ours, expected in zip(sequences, PackedEncoder(model)(sequences), padded, strict=True):
        assert len(ours) == len(sequence) + 2
        assert (ours - expected[: len(ours)]).abs().max() < 1e-5
