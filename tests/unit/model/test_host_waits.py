"""A training step waits for the device a fixed number of times, however many records and layers it has."""

from collections import Counter
from typing import Any

import pytest
import torch
from tiny_models import TinyModels, build_model, grounding_record, joined, make_packed, referring_record
from torch.utils._python_dispatch import TorchDispatchMode
from varlen_reference import use_reference

from fragmodel.embeddings import packed_attention

RECORDS = [referring_record(0), grounding_record(1), referring_record(2, (10, 20), "serine protease")]
ANSWERED_BY_THE_DEVICE = {
    "_local_scalar_dense",
    "nonzero",
    "masked_select",
    "repeat_interleave",
    "unique",
    "equal",
}


class Waits(TorchDispatchMode):
    """Counts what needs numbers of a tensor on the host, were that tensor on a device."""

    def __init__(self) -> None:
        super().__init__()
        self.found: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        name = func.overloadpacket.__name__
        masks = name in ("index", "index_put_") and any(
            i is not None and i.dtype == torch.bool for i in args[1]
        )
        self.found[name] += masks or name in ANSWERED_BY_THE_DEVICE
        return func(*args, **(kwargs or {}))


@pytest.fixture
def counted(tiny: TinyModels, monkeypatch: pytest.MonkeyPatch) -> Any:
    model, tokenizer = build_model(tiny.spec())
    use_reference(monkeypatch)
    monkeypatch.setattr(packed_attention, "varlen_attn", lambda query, *rest, **more: query.clone())

    def count(records: list[dict], layers: int) -> Counter[str]:
        whole = joined(model).llama_decoder.model.layers
        joined(model).llama_decoder.model.layers = whole[:layers]
        batch = make_packed(records, tokenizer)
        with Waits() as waits, monkeypatch.context() as patch:
            for name in ("tolist", "cpu", "numpy"):
                original = getattr(torch.Tensor, name)

                def asked(
                    tensor: torch.Tensor, *words: Any, name: str = name, original: Any = original
                ) -> Any:
                    waits.found[name] += 1
                    return original(tensor, *words)

                patch.setattr(torch.Tensor, name, asked)
            model(**batch).loss.backward()
        joined(model).llama_decoder.model.layers = whole
        return +waits.found

    return count


def test_waits_do_not_grow_with_records_nor_layers(counted: Any) -> None:
    few = counted(RECORDS, 1)
    assert counted(RECORDS * 4, 1) == few
    assert counted(RECORDS, 2) == few
    assert few.total() <= 13, "with the encoder in the loop; all of them before the decoder begins"
