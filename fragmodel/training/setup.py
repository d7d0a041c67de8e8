"""What both entry points share: model, data sets, sampler and collator from the parsed arguments."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from peft import PeftModel
from torch.utils.data import ConcatDataset, Dataset, Subset
from transformers import PreTrainedTokenizerBase

from fragmodel.batching.dataset import FragRefDataset, JoinedDataset
from fragmodel.batching.packing import PackedCollator
from fragmodel.embeddings.encoders import open_encoder, read_config, weights_digest
from fragmodel.embeddings.store import EmbeddingStore
from fragmodel.errors import UserError
from fragmodel.files import text_digest
from fragmodel.model.answer_forms import Forms, forms_of
from fragmodel.model.chat import ChatEncoder
from fragmodel.model.trained import ModelSpec, load_adapter_weights, load_projectors
from fragmodel.training.arguments import Arguments
from fragmodel.training.checkpoints import check_output
from fragmodel.training.mixture import MixtureSampler
from fragmodel.training.optimizer import check_optimizer
from fragmodel.training.parts import micro_batch_tokens, recompute_if_needed
from fragmodel.training.probe import Probe


@dataclass(frozen=True, kw_only=True)
class TrainingSetup:
    """All parts of a training run but the loop."""

    spec: ModelSpec
    model: PeftModel
    tokenizer: PreTrainedTokenizerBase
    train_dataset: ConcatDataset
    eval_dataset: Dataset | None
    sampler: MixtureSampler
    collator: PackedCollator
    data_digest: str
    forms: Forms
    micro_batch_tokens: int
    probe: Probe | None


def prepare(arguments: Arguments) -> TrainingSetup:
    """Load everything and print what a user wants to see before a long run."""
    spec = arguments.spec()
    data = arguments.data
    _check_at_once(arguments)
    store = EmbeddingStore(data.store, data.store_fingerprint) if data.store else None
    if store is not None:
        if arguments.training.process_index == 0:
            _check_encoder(store, arguments)
        layer, last = store.description["layer"], read_config(arguments.model.esm_path).num_hidden_layers
        spec = spec.model_copy(update={"encoder_layer": layer if layer != last else None})
    model, tokenizer = spec.build(include_encoder=store is None)
    if path := arguments.model.load_model_checkpoint_path:
        print(f"Initialised {', '.join(load_projectors(model, Path(path)))} from {path}")
    if path := arguments.model.load_adapter_checkpoint_dir:
        load_adapter_weights(model, Path(path))
        print(f"Loaded trained weights from {path}")
    chat = ChatEncoder(tokenizer, spec.perceiver_latent_size)
    names, groups = _datasets(arguments, "train", chat, store)
    weights = data.sampling_weights or [1.0] * len(groups)
    sampler = MixtureSampler([len(group) for group in groups], weights, arguments.order_seed)
    evaluate = arguments.training.eval_strategy != "no" or arguments.training.do_eval
    found = _validation(arguments, chat, store, required=evaluate)
    eval_groups = found if evaluate else []
    if store is not None:
        _check_sequences(store, _flat([*groups, *eval_groups]))
    train_dataset = JoinedDataset(groups)
    if told := recompute_if_needed(arguments, model, _flat(groups)):
        print(told)
    at_once = micro_batch_tokens(arguments, model, _flat(groups))
    print("Model:")
    print(model)
    trainable, total = model.get_nb_trainable_parameters()
    print(f"Trainable parameters: {trainable:,} of {total:,} ({trainable / total:.2%})")
    print(f"Training dataset size: {len(train_dataset)}")
    for name, group, draws in zip(names, groups, sampler.draws, strict=True):
        print(f"  {name}: {len(group)} records, {draws} draws an epoch")
    validated = sum(map(len, found))
    note = "" if evaluate else " (not used: --eval_strategy no)"
    if evaluate and 0 < data.max_eval_samples < validated:
        note = f" (of which {data.max_eval_samples} are used: --max_eval_samples)"
    print(f"Evaluation dataset size: {validated}{note}")
    if not arguments.training.fsdp:
        print(f"Tokens that go through the model at once: {at_once} (--micro_batch_tokens)")
    return TrainingSetup(
        spec=spec,
        model=model,
        tokenizer=tokenizer,
        train_dataset=train_dataset,
        eval_dataset=_spread(JoinedDataset(eval_groups), data.max_eval_samples) if eval_groups else None,
        sampler=sampler,
        collator=PackedCollator(),
        data_digest=_digest(groups, weights),
        forms=forms_of(dataset.records for dataset in _flat(groups)),
        micro_batch_tokens=at_once,
        probe=_probe(
            _flat(groups),
            _flat(eval_groups),
            tokenizer,
            chat,
            data.probe_records,
            scored="score" in str(arguments.training.metric_for_best_model),
        ),
    )


def _check_at_once(arguments: Arguments) -> None:
    """What can be told before any weight is read."""
    check_output(arguments)
    check_optimizer(arguments.training)
    data = arguments.data
    files = [("--train_files", p) for p in data.train_files] + [("--eval_files", p) for p in data.eval_files]
    for flag, path in files:
        if not Path(path).is_file():
            raise UserError(f"{flag} {path}: no such file")
    for flag, path in (
        ("--esm_path", arguments.model.esm_path),
        ("--llama_path", arguments.model.llama_path),
    ):
        if path.startswith(("/", "./", "../")) and not Path(path).exists():
            raise UserError(f"{flag} {path}: no such file or folder")


def _check_encoder(store: EmbeddingStore, arguments: Arguments) -> None:
    """Refuse a store of another encoder than ``--esm_path``; encoders of several kinds have the same width."""
    about, path = store.description, arguments.model.esm_path
    encoder = open_encoder(path)
    if about["weights"] != weights_digest(encoder):
        raise UserError(
            f"--store {store.root}: its states are of {about['encoder']}, whose weights are not those of "
            f"--esm_path {path}; embed with this encoder first (fragmodel embed)"
        )
    last = encoder.config.num_hidden_layers
    if about["layer"] != last and arguments.data.store_fingerprint is None:
        raise UserError(
            f"--store {store.root}: its states are of layer {about['layer']}, and the encoder's last is {last}; "
            f"embed with --layer -1 first, or say that you mean it: --store_fingerprint {store.fingerprint}"
        )


def _check_sequences(store: EmbeddingStore, datasets: Sequence[FragRefDataset]) -> None:
    """Refuse a store without all sequences. It is open from then on, which data loading processes inherit."""
    records: dict[str, str] = {}  # of each sequence the first
    for dataset in datasets:
        columns = (dataset.records.column(name).to_pylist() for name in ("sequence", "record_id"))
        for sequence, record_id in zip(*columns, strict=True):
            records.setdefault(sequence, record_id)
    if missing := store.missing(records):
        raise UserError(
            f"--store {store.root}: lacks {len(missing)} of {len(records)} sequences, among them that of record "
            f"{records[missing[0]]}; add them with `fragmodel embed FILE --encoder ENCODER --store {store.root}`"
        )


def _datasets(
    arguments: Arguments, split: str, chat: ChatEncoder, store: EmbeddingStore | None
) -> tuple[list[str], list[ConcatDataset | FragRefDataset]]:
    """Names and data sets, one a sampling weight."""
    data = arguments.data
    options = {"store": store, "max_text_tokens": data.max_text_tokens}
    if data.train_files:
        files = data.train_files if split == "train" else data.eval_files
        return files, [FragRefDataset.from_files([Path(path)], chat, **options) for path in files]
    groups = []
    for name in data.data_name:
        tasks = [
            FragRefDataset.from_root(
                Path(data.root_dir),
                name,
                task,
                split,
                chat,
                max_sequence_length=data.max_sequence_length,
                **options,
            )
            for task in data.task_type
        ]
        groups.append(JoinedDataset(tasks))
    return data.data_name, groups


def _validation(
    arguments: Arguments, chat: ChatEncoder, store: EmbeddingStore | None, *, required: bool
) -> list[ConcatDataset | FragRefDataset]:
    """Validation data sets; where they are not ``required``, those that there are."""
    try:
        groups = _datasets(arguments, "valid", chat, store)[1]
    except UserError as error:
        if not required:
            return []
        raise UserError(f"{error}; to train without validation: --eval_strategy no") from None
    if required and not sum(map(len, groups)):
        raise UserError("there is no validation record; to train without validation: --eval_strategy no")
    return groups


def _spread(dataset: ConcatDataset, count: int) -> Dataset:
    """``count`` records, spread evenly over ``dataset``; all of them where it has no more, or ``count`` is 0."""
    size = len(dataset)
    return Subset(dataset, [n * size // count for n in range(count)]) if 0 < count < size else dataset


def _flat(groups: Sequence[ConcatDataset | FragRefDataset]) -> list[FragRefDataset]:
    """The data sets in groups, one a name and task."""
    return [d for group in groups for d in (group.datasets if isinstance(group, ConcatDataset) else [group])]


def _probe(
    train: Sequence[FragRefDataset],
    valid: Sequence[FragRefDataset],
    tokenizer: PreTrainedTokenizerBase,
    chat: ChatEncoder,
    count: int,
    *,
    scored: bool,
) -> Probe | None:
    probe = Probe(train, valid, tokenizer, chat, count, scored=scored) if count > 0 else None
    return probe if probe and probe.items else None


def _digest(groups: Sequence[ConcatDataset | FragRefDataset], weights: Sequence[float]) -> str:
    """Digest of the records' ids and answers, in order, and of the mixture."""
    parts = [repr(list(weights))]
    for dataset in _flat(groups):
        for column in ("record_id", "answer"):
            parts += dataset.records.column(column).to_pylist()
    return text_digest(*parts)
