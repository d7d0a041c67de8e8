"""While training runs: does the model already answer in the right form?"""

from collections.abc import Sequence

from torch.utils.data import ConcatDataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from fragmodel.batching.answering import greedy_answers
from fragmodel.batching.dataset import FragRefDataset
from fragmodel.data.grammar import Place, read_places, says_none
from fragmodel.model.chat import ChatEncoder
from fragmodel.model.token_loss import IGNORED
from fragmodel.vocabulary import GROUNDING_TASKS

MAX_NEW_TOKENS = 48


class Probe:
    """Asks the same few validation records each time, greedily.

    An answer is well formed when it states at least one interval and all of them stand between markers and lie in
    the window, or when it says that there is none (grounding), or when it is one of the training classes
    (classification). Descriptions have no form, so their records are not asked.
    """

    def __init__(
        self,
        train: Sequence[FragRefDataset],
        valid: Sequence[FragRefDataset],
        tokenizer: PreTrainedTokenizerBase,
        chat: ChatEncoder,
        count: int,
    ) -> None:
        """Choose ``count`` records, spread evenly over ``valid``. No record with a form: nothing is asked."""
        self.tokenizer, self.chat = tokenizer, chat
        self.classes = {
            answer
            for dataset in train
            if _task(dataset) == "referring_class"
            for answer in dataset.records["answer"].to_pylist()
        }
        formed = [d for d in valid if _task(d) == "referring_class" or _task(d) in GROUNDING_TASKS]
        records = ConcatDataset(formed) if formed else []
        chosen = range(0, len(records), max(len(records) // count, 1))[:count]
        self.items = [records[index] for index in chosen]

    def __call__(self, model: PreTrainedModel) -> float:
        """Well-formed part of the answers, 0 to 1. The model is left in the mode in which it came."""
        prompts = [
            item | {"input_ids": item["input_ids"][: item["labels"].count(IGNORED)]} for item in self.items
        ]
        for prompt in prompts:
            prompt.pop("labels")
        was_training = model.training
        model.eval()
        end = self.tokenizer.eos_token_id
        answers = greedy_answers(model, prompts, end=end, max_new_tokens=MAX_NEW_TOKENS)
        model.train(was_training)
        formed = [self._is_formed(item, ids) for item, ids in zip(self.items, answers, strict=True)]
        return sum(formed) / len(formed)

    def _is_formed(self, item: dict, ids: list[int]) -> bool:
        text = self.chat.decode(ids)
        if item["position_ref"] is not None:
            return text.strip() in self.classes
        places = read_places(text)
        inside = all(_is_place_in(len(item["sequence"]), place) for place in places)
        return inside if places else says_none(text)


def _is_place_in(length: int, place: Place) -> bool:
    return place.markers == 2 and 0 <= place.span.start < place.span.end <= length


def _task(dataset: FragRefDataset) -> str:
    return dataset.records["task_type"][0].as_py() if len(dataset) else ""
