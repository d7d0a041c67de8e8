"""A model that has learnt some places and cannot learn others is surer of those that are right."""

import random
from pathlib import Path

import numpy as np
import torch
from scipy.stats import mannwhitneyu
from small_runs import small_run, write_rows
from tiny_models import TinyModels, grounding_record, make_dataset

from fragmodel.batching.answering import answer_prompts, read_answer
from fragmodel.data.grammar import grounding_answer
from fragmodel.data.prompts import conversation
from fragmodel.evaluation.answers import Sureness
from fragmodel.evaluation.judge import judge
from fragmodel.evaluation.parse import ClassNames
from fragmodel.evaluation.references import as_reference
from fragmodel.model.answer_forms import Constraints
from fragmodel.tables import record_at
from fragmodel.training import trainer
from fragmodel.training.setup import prepare
from fragmodel.vocabulary import Span

LEARNABLE, RANDOM = "kinase", "SH3 domain"


def rows(count: int, seed: int) -> list[dict]:
    """Proteins of random residues: one class lies always at one place, the other anywhere."""
    generator = random.Random(seed)
    made = []
    for number in range(count):
        length = generator.randint(40, 60)
        name = (LEARNABLE, RANDOM)[number % 2]
        start = generator.randint(0, 30)
        span = Span(2, 8) if name == LEARNABLE else Span(start, start + generator.randint(2, 7))
        groups = [(name, [span])]
        made.append(
            grounding_record()
            | {
                "record_id": f"{seed}-{number}",
                "uid": f"P{seed}{number}",
                "sequence": "".join(generator.choices("ACDEFGHIKLMNPQRSTVWY", k=length)),
                "full_length": length,
                "classes": [name],
                "class_ids": [""],
                "position_grd": [[list(span)]],
                "conversation": conversation("grounding_single", "VenusX_Dom", length, name),
                "answer": grounding_answer("grounding_single", groups),
            }
        )
    return made


def test_confidences_of_places_tell_right_from_wrong(tiny: TinyModels, tmp_path: Path) -> None:
    write_rows(tmp_path / "records.parquet", rows(40, seed=1))
    steps = ("--max_steps", "80", "--learning_rate", "0.01", "--lr_scheduler_type", "constant")
    arguments = small_run(tiny, tmp_path, *steps, "--per_device_train_batch_size", "4")
    setup = prepare(arguments)
    trainer.train(setup, arguments)
    model = setup.model.eval()
    dataset = make_dataset(rows(100, seed=2), setup.tokenizer, prompts_only=True)
    records = [record_at(dataset.records, number) for number in range(len(dataset))]
    bounds = Constraints(setup.tokenizer, {})
    with torch.inference_mode():
        answers = answer_prompts(
            model,
            [dataset[number] for number in range(len(records))],
            end=setup.tokenizer.eos_token_id,
            max_new_tokens=40,
            constraints=[bounds.of("grounding_single", len(r.sequence), (r.data_name,)) for r in records],
        )
    said = [read_answer("grounding_single", answer, dataset.chat, "") for answer in answers]
    sure = [Sureness(None, tuple(each["place_confidences"])) for each in said]
    names = ClassNames([LEARNABLE, RANDOM])
    references = [as_reference(record) for record in records]
    judged = judge("grounding_single", references, [each["text"] for each in said], names, (), sure)
    confidences, hits = (np.concatenate(parts) for parts in (judged.places, judged.place_hits))
    right = hits.astype(bool)
    assert min(right.sum(), (~right).sum()) >= 10
    test = mannwhitneyu(confidences[right], confidences[~right], alternative="greater")
    auroc = test.statistic / (right.sum() * (~right).sum())
    assert test.pvalue < 0.01, f"AUROC {auroc:.3f}, {right.sum()} right of {len(right)}"
