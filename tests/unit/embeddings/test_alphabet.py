import esm
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import EsmTokenizer

from fragmodel.embeddings import alphabet

LETTERS = st.text(alphabet=alphabet.LETTERS, min_size=1, max_size=30)


@given(st.lists(LETTERS, min_size=1, max_size=5))
def test_tokens_are_those_of_fair_esm(sequences: list[str]) -> None:
    converter = esm.Alphabet.from_architecture("ESM-1b").get_batch_converter()
    _, _, expected = converter([("", sequence) for sequence in sequences])
    assert torch.equal(alphabet.encode(sequences), expected)


def test_tokens_are_those_of_transformers(tmp_path, sequences) -> None:
    vocabulary = tmp_path / "vocab.txt"
    vocabulary.write_text("\n".join(esm.Alphabet.from_architecture("ESM-1b").all_toks))
    tokenizer = EsmTokenizer(str(vocabulary))
    expected = tokenizer(sequences, padding=True, return_tensors="pt")
    # The tokenizer joins a run of unknown letters into one token; the other sequences must agree.
    kept = [row for row, sequence in enumerate(sequences) if sequence != "ACDJ*acX1"]
    tokens = alphabet.encode(sequences)
    assert torch.equal(tokens[kept], expected["input_ids"][kept])
    assert torch.equal(alphabet.attention_mask(tokens)[kept], expected["attention_mask"][kept])


def test_unknown_letters_keep_their_place() -> None:
    tokens = alphabet.encode(["AJé*aC"])[0].tolist()
    assert tokens == [alphabet.BOS, 5, *[alphabet.UNKNOWN] * 4, 23, alphabet.EOS]


@given(st.lists(st.text(max_size=12), min_size=1, max_size=5))
def test_packed_tokens_are_the_padded_ones_without_padding(sequences: list[str]) -> None:
    tokens = alphabet.encode(sequences)
    assert torch.equal(alphabet.encode_packed(sequences), tokens[alphabet.attention_mask(tokens).bool()])
