"""While training runs: does the model already answer in the right form, and how well?"""

from collections.abc import Sequence

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from fragmodel.batching.answering import answer_prompts
from fragmodel.batching.dataset import FragRefDataset
from fragmodel.data.grammar import Place, read_places, says_none
from fragmodel.evidence.block import resolved
from fragmodel.model.answer_forms import Constraints, forms_of
from fragmodel.model.chat import ChatEncoder
from fragmodel.model.decoding import Answered
from fragmodel.model.token_loss import IGNORED
from fragmodel.tables import Record
from fragmodel.vocabulary import DESCRIBING_TASKS

MAX_NEW_TOKENS = 48


class Probe:
    """Asks the same few validation records each time, greedily: freely, and for the score by what is valid alone.

    An answer is well formed when it states at least one interval and all of them stand between markers and lie in
    the window, or when it says that there is none (grounding), or when it is one of the training classes
    (classification). Descriptions have no form. The score is :func:`fragmodel.evaluation.judge.mean_score`.
    """

    def __init__(
        self,
        train: Sequence[FragRefDataset],
        valid: Sequence[FragRefDataset],
        tokenizer: PreTrainedTokenizerBase,
        chat: ChatEncoder,
        count: int,
        *,
        scored: bool,
    ) -> None:
        """Choose ``count`` records, spread evenly over ``valid``: those with a form, or all where it is ``scored``."""
        self.tokenizer, self.chat, self.scored = tokenizer, chat, scored
        answers = [d.records["answer"] for d in train if _task(d) == "referring_class"]
        self.classes = {answer for column in answers for answer in column.to_pylist()}
        asked = [dataset for dataset in valid if scored or _task(dataset) not in DESCRIBING_TASKS]
        places = [(dataset, index) for dataset in asked for index in range(len(dataset))]
        chosen = places if len(places) <= count else [places[n * len(places) // count] for n in range(count)]
        self.items = [dataset[index] for dataset, index in chosen]
        self.records = [_resolved(dataset.record(index)) for dataset, index in chosen]
        bounds = Constraints(tokenizer, forms_of(dataset.records for dataset in train) if scored else {})
        self.constraints = [
            bounds.of(r.task_type, len(r.sequence), (r.data_name,), r.conversation[-1]["content"])
            for r in (self.records if scored else ())
        ]

    def __call__(self, model: PreTrainedModel) -> dict[str, float]:
        """``well_formed`` where a record has a form, and ``score`` where it is asked for, each 0 to 1.

        The model is left in the mode in which it came.
        """
        prompts = [
            item | {"input_ids": item["input_ids"][: item["labels"].count(IGNORED)]} for item in self.items
        ]
        for prompt in prompts:
            prompt.pop("labels")
        was_training = model.training
        model.eval()
        end = self.tokenizer.eos_token_id
        answers = answer_prompts(model, prompts, end=end, max_new_tokens=MAX_NEW_TOKENS)
        valid = answers
        if any(self.constraints):
            limits = {"max_new_tokens": MAX_NEW_TOKENS, "constraints": self.constraints, "place_draws": 0}
            valid = answer_prompts(model, prompts, end=end, **limits)
        model.train(was_training)
        pairs = zip(self.records, self._texts(answers), strict=True)
        formed = [self._is_formed(r, text) for r, text in pairs if r.task_type not in DESCRIBING_TASKS]
        found = {"well_formed": sum(formed) / len(formed)} if formed else {}
        if self.scored:
            from fragmodel.evaluation.judge import mean_score

            found["score"] = mean_score(self.records, self._texts(valid), self.classes)
        return found

    def _texts(self, answers: Sequence[Answered]) -> list[str]:
        return [
            resolved(self.chat.decode(answer.tokens), record.conversation[-1]["content"])
            for record, answer in zip(self.records, answers, strict=True)
        ]

    def _is_formed(self, record: Record, text: str) -> bool:
        if record.task_type == "referring_class":
            return text.strip() in self.classes
        places = read_places(text)
        inside = all(_is_place_in(len(record.sequence), place) for place in places)
        return inside if places else says_none(text)


def _is_place_in(length: int, place: Place) -> bool:
    return place.markers == 2 and 0 <= place.span.start < place.span.end <= length


def _resolved(record: Record) -> Record:
    return record._replace(answer=resolved(record.answer, record.conversation[-1]["content"]))


def _task(dataset: FragRefDataset) -> str:
    return dataset.records["task_type"][0].as_py() if len(dataset) else ""
