"""The Python interface: ``FragModel.load(DIR)`` and a method for each thing to ask."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import torch

from fragmodel.batching.answering import answer_prompts, read_answer
from fragmodel.data.prompts import conversation
from fragmodel.data.validate import Invalid, clean_sequence
from fragmodel.data.windows import clip, window_for
from fragmodel.embeddings.extract import check_lengths, resolve_device
from fragmodel.embeddings.forward import encoder_pass
from fragmodel.embeddings.shards import decode_states, encode_states
from fragmodel.errors import UserError
from fragmodel.evaluation.answers import Sureness
from fragmodel.evaluation.calibration import Calibration
from fragmodel.evidence.block import with_evidence
from fragmodel.evidence.find import Line
from fragmodel.model.answer_forms import Constraints, Forms, read_forms
from fragmodel.model.chat import ChatEncoder
from fragmodel.model.loading import Parts, load_parts
from fragmodel.prediction.class_ids import ClassIds
from fragmodel.prediction.evidence import Evidence
from fragmodel.prediction.overlaps import tile
from fragmodel.prediction.provenance import (
    DATA_NAMES,
    calibration_of,
    data_names,
    families,
    window_length,
)
from fragmodel.prediction.questions import Answer, Question
from fragmodel.prediction.reading import read_places, read_reference
from fragmodel.prediction.results import Grounding, Reference
from fragmodel.vocabulary import LONGEST_WINDOW, Span, TaskType

OUT_OF_MEMORY = "out of memory: lower --batch-size, or hold the decoder in half (--dtype bfloat16)"


class FragModel:
    """A trained model that answers about proteins. Made by :meth:`load`.

    Sequences are strings of residue letters; positions are 0-based and half-open, in the whole protein. Mistakes in
    them raise :class:`fragmodel.errors.UserError`. Answers are greedy, hence repeatable.
    """

    def __init__(
        self,
        parts: Parts,
        known_families: Sequence[str],
        *,
        window: int = LONGEST_WINDOW,
        max_new_tokens: int = 256,
        batch_size: int = 8,
        stored_dtype: str = "bfloat16",
        forms: Forms | None = None,
        constrained: bool = True,
        data_names: Mapping[str, Sequence[str]] | None = None,
        relatives: Evidence | None = None,
        calibration: Calibration | None = None,
        candidates: int = 1,
    ) -> None:
        """``forms`` are what the model has learnt to answer, by the ``data_names`` of each family."""
        self._evidence = relatives
        self.calibration = calibration
        self.parts = parts
        self._bounds = Constraints(parts.tokenizer, forms or {}) if constrained else None
        self._data_names = data_names or {}
        self.class_ids = ClassIds(forms or {}, self._data_names)
        self.families = tuple(known_families)
        self.candidates = candidates
        self.window, self.max_new_tokens, self.batch_size = window, max_new_tokens, batch_size
        self.stored_dtype = stored_dtype
        self.chat = ChatEncoder(parts.tokenizer, parts.model.config.perceiver_latent_size)
        layer = parts.model.config.encoder_layer
        self._encoder = encoder_pass(parts.encoder, -1 if layer is None else layer)

    @classmethod
    def load(
        cls,
        folder: str | Path,
        *,
        device: str = "auto",
        dtype: str | None = None,
        window: int | None = None,
        max_new_tokens: int = 256,
        batch_size: int = 8,
        stored_dtype: str = "bfloat16",
        constrained: bool = True,
        candidates: int = 1,
    ) -> "FragModel":
        """Load a model folder: of a run (`results/training/model`), exported, or merged.

        Args:
            folder: The model folder.
            device: auto, cpu, cuda or cuda:N.
            dtype: Number format of the decoder, float32 or bfloat16; None: as trained.
            window: Residues of the longest window; None: as in training.
            max_new_tokens: Longest answer.
            batch_size: Questions that are answered at once.
            stored_dtype: Number format of the encoder's states, as `embeddings.dtype` of the run: the model then
                sees what it saw in training.
            constrained: Answer by what is valid alone: places of the window, classes of the training records, and
                nothing where the model has learnt to say so. Descriptions are free text in any case.
            candidates: Probable answers that are kept beside each valid answer, ranked; 1 keeps none.
        """
        target = resolve_device(device)
        model, tokenizer, encoder = load_parts(Path(folder), dtype=dtype)
        return cls(
            Parts(model.to(target), tokenizer, encoder.to(target)),
            families(Path(folder)),
            window=window_length(Path(folder)) if window is None else window,
            max_new_tokens=max_new_tokens,
            batch_size=batch_size,
            stored_dtype=stored_dtype,
            forms=read_forms(Path(folder)),
            constrained=constrained,
            data_names=data_names(Path(folder)),
            relatives=Evidence.of(Path(folder)),
            calibration=calibration_of(Path(folder)),
            candidates=candidates,
        )

    def calibrates(self, task: TaskType) -> bool:
        """Whether the confidences of a task's answers are calibrated, rather than the model's own probabilities."""
        return self.calibration is not None and self.calibration.calibrates(task)

    def describe(self, sequence: str, span: tuple[int, int], *, family: str | None = None) -> Reference:
        """A description of the fragment ``sequence[span[0]:span[1]]``.

        ``family`` is the kind of fragment that the question names (domain, active site, binding site, conserved
        site, motif); by default the first that the model was trained on.
        """
        return self._refer("referring_desc", sequence, span, family)

    def classify(self, sequence: str, span: tuple[int, int], *, family: str | None = None) -> Reference:
        """The class of the fragment; arguments as for :meth:`describe`."""
        return self._refer("referring_class", sequence, span, family)

    def function(self, sequence: str) -> Reference:
        """What the protein does, in words; ``shown`` is the window that the model saw of it."""
        question = self.function_question(sequence)
        return self.refer(question, self.answer([question])[0])

    def locate(self, sequence: str, class_name: str) -> Grounding:
        """Every place of ``class_name`` in the protein."""
        questions = self.grounding_questions(sequence, "grounding_single", names=[class_name])
        return self.ground(questions, self.answer(questions))

    def annotate(self, sequence: str, *, families: Sequence[str] | None = None) -> Grounding:
        """Every fragment of the given families (by default all that the model was trained on) with its class."""
        questions = self.grounding_questions(sequence, "grounding_group", kinds=families)
        return self.ground(questions, self.answer(questions))

    def referring_question(
        self, task: TaskType, sequence: str, span: Span, *, uid: str = "", family: str | None = None
    ) -> Question:
        """The question about a fragment, asked in a window that shows it (chosen as for training records)."""
        sequence = _checked(sequence)
        span = Span(*span)
        if not 0 <= span.start < span.end <= len(sequence):
            raise UserError(
                f"fragment {span.start}-{span.end} does not lie inside the protein of {len(sequence)} residues"
            )
        window = window_for(span, len(sequence), self.window, uid=uid, seed=1)
        family = self._known(family or self.families[0])
        return Question(
            task,
            sequence[window.start : window.end],
            window,
            family,
            span=clip(span, window),
            whole=span,
        )

    def function_question(self, sequence: str, *, uid: str = "") -> Question:
        """The question about a protein as a whole, of which a window stands for a long one, as in training."""
        sequence = _checked(sequence)
        length = len(sequence)
        window = window_for(Span(length // 2, length // 2 + 1), length, self.window, uid=uid, seed=1)
        shown = sequence[window.start : window.end]
        return Question("function", shown, window, "fragment", whole=Span(0, length))

    def grounding_questions(
        self, sequence: str, task: TaskType, *, names: Sequence[str] = (), kinds: Sequence[str] | None = None
    ) -> list[Question]:
        """A question for each window of the protein and each class name or family."""
        sequence = _checked(sequence)
        kinds = [self._known(kind) for kind in kinds or self.families]
        asked = (
            [("fragment", name) for name in names] if task == "grounding_single" else [(k, "") for k in kinds]
        )
        return [
            Question(task, sequence[window.start : window.end], window, family, class_name)
            for window in tile(len(sequence), self.window)
            for family, class_name in asked
        ]

    @torch.inference_mode()
    def answer(
        self, questions: Sequence[Question], *, answered: Callable[[int], None] | None = None
    ) -> list[Answer]:
        """Answers in the order of the questions, which are asked in batches of like length.

        ``answered`` is called with the size of each batch when that has its answers; what it raises ends the work.
        """
        lines = self._evidence.about(questions) if self._evidence else [[] for _ in questions]
        order = sorted(range(len(questions)), key=lambda i: (-len(questions[i].sequence), i))
        answers: dict[int, Answer] = {}
        for first in range(0, len(order), self.batch_size):
            batch = order[first : first + self.batch_size]
            try:
                said = self._answer([questions[i] for i in batch], [lines[i] for i in batch])
                answers |= zip(batch, said, strict=True)
            except torch.OutOfMemoryError:
                raise UserError(OUT_OF_MEMORY) from None
            if answered is not None:
                answered(len(batch))
        return [answers[i] for i in range(len(questions))]

    def encode(self, sequences: Sequence[str]) -> list[torch.Tensor]:
        """Encoder states ``[residues + 2, encoder_dim]`` as the embedding store would give them."""
        unique = list(dict.fromkeys(sequences))
        check_lengths(unique, self.parts.encoder.config)
        stored = [encode_states(states, self.stored_dtype) for states in self._encoder(unique)]
        if self.stored_dtype == "int8":
            states = dict(zip(unique, map(decode_states, stored), strict=True))
        else:
            states = {sequence: block["states"] for sequence, block in zip(unique, stored, strict=True)}
        return [states[sequence] for sequence in sequences]

    def ground(self, questions: Sequence[Question], answers: Sequence[Answer]) -> Grounding:
        """What the answers about one protein's windows say."""
        calibrated = bool(questions) and self.calibrates(questions[0].task)
        return read_places(questions, answers, self.class_ids, calibrated=calibrated)

    def refer(self, question: Question, answer: Answer) -> Reference:
        """An answer in words with the fragment, or the protein, that it is about."""
        calibrated = self.calibrates(question.task)
        return read_reference(question, answer, self.class_ids, calibrated=calibrated)

    def _refer(self, task: TaskType, sequence: str, span: tuple[int, int], family: str | None) -> Reference:
        question = self.referring_question(task, sequence, Span(*span), family=family)
        return self.refer(question, self.answer([question])[0])

    def _known(self, family: str) -> str:
        allowed = {*DATA_NAMES, *self.families, "fragment"}
        if family not in allowed:
            raise UserError(f"family '{family}' is not known; use one of {', '.join(sorted(allowed))}")
        return family

    def _answer(self, questions: Sequence[Question], lines: Sequence[list[Line]]) -> Iterable[Answer]:
        prompts = [self._turns(question, known) for question, known in zip(questions, lines, strict=True)]
        texts = [turns[-1]["content"] for turns in prompts]
        states_of = self.encode([question.sequence for question in questions])
        items = [
            {
                "sequence": question.sequence,
                "input_ids": self.chat.prompt(turns, len(question.sequence)),
                "position_ref": question.span,
                "protein_hidden_states": states,
            }
            for question, turns, states in zip(questions, prompts, states_of, strict=True)
        ]
        kinds = [
            (question.task, len(question.sequence), tuple(self._data_names.get(question.family, ())), text)
            for question, text in zip(questions, texts, strict=True)
        ]
        answers = answer_prompts(
            self.parts.model,
            items,
            end=self.parts.tokenizer.eos_token_id,
            max_new_tokens=self.max_new_tokens,
            constraints=[self._bounds.of(*kind) if self._bounds else None for kind in kinds],
            searched=[self._bounds.searched(*kind) if self._bounds else None for kind in kinds],
            candidates=self.candidates,
        )
        for question, text, answer, known in zip(questions, texts, answers, lines, strict=True):
            said = read_answer(question.task, answer, self.chat, text)
            sure = Sureness()
            if self._bounds:  # of places that nothing bound to the window a probability says little
                sure = Sureness(said["confidence"], tuple(said["place_confidences"] or ()))
            if self.calibration is not None:
                sure = self.calibration.applied(question.task, sure)
            ranked = tuple((each["text"], each["probability"]) for each in said["candidates"] or ())
            yield Answer(said["text"], answer.stopped, sure.answer, sure.places, tuple(known), ranked)

    def _turns(self, question: Question, lines: Sequence[Line]) -> list[dict[str, str]]:
        data_name = DATA_NAMES.get(question.family, "fragment")
        turns = conversation(question.task, data_name, len(question.sequence), question.class_name)
        return turns if self._evidence is None else with_evidence(turns, lines)


def _checked(sequence: str) -> str:
    try:
        return clean_sequence(sequence)[0]
    except Invalid as invalid:
        raise UserError(f"sequence: {invalid}") from None
