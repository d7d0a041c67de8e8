"""The README of a folder of trained weights, in the place of peft's empty form: what it holds and how it is used."""

from pathlib import Path

from fragmodel.files import write_text
from fragmodel.model.answer_forms import Forms
from fragmodel.vocabulary import CARD_FILE

_CARD = """---
library_name: peft
tags: [protein, esm2, llama, lora, fragmodel]
---
# A fragmodel model

LoRA of rank {rank} (alpha {alpha}), the modality adapter and the fragment adapter, to be put on

- encoder: `{encoder}`
- decoder: `{decoder}`

In this folder:

```python
from fragmodel import FragModel

model = FragModel.load(".")
print(model.annotate("MKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQAPILSRVGDG").annotations)
```

Trained on:

{data}

The metrics of the run are in `metrics.json` of its results, the page in `report.html`. To share the model:
`fragmodel export --model . --metrics METRICS.json --output NEW` writes a folder with these parts, the digests of the
data, the results and the limits.
"""


def write_card(
    folder: Path, *, encoder: str, decoder: str, rank: int, alpha: int, forms: Forms | None
) -> None:
    """Write the README; ``forms`` tell the data sets (:mod:`fragmodel.model.answer_forms`)."""
    lines = [
        f"- {name}: {len(form['classes'])} classes"
        + (f"; may answer `none` in {', '.join(form['none'])}" if form["none"] else "")
        for name, form in (forms or {}).items()
    ]
    data = "\n".join(lines or ["- data that this folder does not tell"])
    text = _CARD.format(encoder=encoder, decoder=decoder, rank=rank, alpha=alpha, data=data)
    write_text(folder / CARD_FILE, text)
