"""Small seeded decoders for runs without any download; called stand-ins wherever they appear."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch.nn.utils.rnn import pad_sequence
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from fragmodel.data.prompts import split_markers
from fragmodel.model.chat import ChatEncoder, add_control_tokens
from fragmodel.model.token_loss import IGNORED

Dialogue = tuple[Sequence[dict[str, str]], str]  # conversation and answer

BATCH = 16
LEARNING_RATE = 3e-3
LONGEST_ANSWER = 64
PAD, BOS, TURN_START, TURN_END = "<|pad|>", "<|bos|>", "<|turn|>", "<|end|>"
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<|turn|>' + message['role'] + '\n' + message['content'] + '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|turn|>assistant\n' }}{% endif %}"
)


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer with a chat template; any text round-trips."""
    tokenizer = Tokenizer(models.BPE())
    # Single digits, as in Llama: a coordinate is then spelt the same way wherever it occurs.
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[PAD, BOS, TURN_START, TURN_END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BOS,
        eos_token=TURN_END,
        pad_token=PAD,
        additional_special_tokens=[TURN_START],
        chat_template=CHAT_TEMPLATE,
    )


def decoder_config(vocab_size: int, layers: int, dim: int, heads: int, **fields: Any) -> LlamaConfig:
    """The configuration of a stand-in of this shape."""
    return LlamaConfig(
        vocab_size=vocab_size,
        hidden_size=dim,
        intermediate_size=3 * dim,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        max_position_embeddings=8192,
        # Unit-size activations: even without pretraining LoRA can then steer the frozen random network.
        initializer_range=dim**-0.5,
        tie_word_embeddings=False,
        **fields,
    )


def build_decoder(
    folder: Path,
    dialogues: Sequence[Dialogue],
    *,
    vocab_size: int,
    layers: int,
    dim: int,
    heads: int,
    epochs: int,
    seed: int,
) -> None:
    """Write a ``LlamaForCausalLM`` that has seen ``dialogues`` for ``epochs`` passes, and its tokenizer.

    Seeded throughout. The short pretraining, on text without any protein, gives the frozen decoder what a real
    one brings along: the words of the field and the form of an answer.
    """
    tokenizer = train_tokenizer(_texts(dialogues), vocab_size)
    add_control_tokens(tokenizer)
    config = decoder_config(
        len(tokenizer),
        layers,
        dim,
        heads,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
        # Tokens as large as what the random layers add to them; smaller ones would drown in the residual stream.
        model.model.embed_tokens.weight.data.mul_(dim**0.5)
        if epochs:
            _pretrain(model, _examples(dialogues, tokenizer), epochs)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _texts(dialogues: Sequence[Dialogue]) -> Iterable[str]:
    for conversation, answer in dialogues:
        for text in [turn["content"] for turn in conversation] + [answer]:
            yield from (piece for piece, is_marker in split_markers(text) if not is_marker)


def _examples(dialogues: Sequence[Dialogue], tokenizer: PreTrainedTokenizerFast) -> list[list[int]]:
    """Token ids of whole dialogues, the protein as two placeholders, longest answers cut."""
    chat = ChatEncoder(tokenizer, perceiver_latent_size=1)
    return [
        chat.prompt(turns, residues=0) + chat.answer(answer)[:LONGEST_ANSWER] for turns, answer in dialogues
    ]


def _pretrain(model: LlamaForCausalLM, examples: list[list[int]], epochs: int) -> None:
    """Plain next-token training in batches of like length."""
    examples = sorted(examples, key=len)
    batches = [examples[i : i + BATCH] for i in range(0, len(examples), BATCH)]
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, epochs * len(batches))
    model.train()
    for epoch in range(epochs):
        for number in torch.randperm(len(batches)).tolist():
            rows = [torch.tensor(ids) for ids in batches[number]]
            ids = pad_sequence(rows, batch_first=True, padding_value=model.config.pad_token_id)
            targets = pad_sequence(rows, batch_first=True, padding_value=IGNORED)
            loss = model(input_ids=ids, labels=targets).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
        print(f"pretraining the stand-in: epoch {epoch + 1} of {epochs}, loss {loss.item():.2f}")
    model.eval()
