"""The joined model: ESM encoder → modality adapter (→ fragment adapter) → decoder."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoModelForCausalLM, EsmModel, GenerationMixin, PreTrainedModel
from transformers.cache_utils import Cache
from transformers.modeling_outputs import CausalLMOutputWithPast

from fragmodel.embeddings import alphabet
from fragmodel.model.configuration import Esm2LlamaInstructConfig
from fragmodel.model.decoder_pass import run_decoder
from fragmodel.model.decoders import check_decoder, decoder_class, token_scale
from fragmodel.model.fragment_adapter import FragmentAdapter
from fragmodel.model.modality_adapter import ModalityAdapter
from fragmodel.model.precision import compute_dtype
from fragmodel.model.token_loss import IGNORED, linear_cross_entropy
from fragmodel.model.token_rows import embed_tokens, token_rows

PROTEIN_INPUTS = ("protein_hidden_states", "protein_input_ids", "protein_attention_mask", "position_ref")


class Esm2LlamaInstructForCausalLM(PreTrainedModel, GenerationMixin):
    """A decoder (LLaMA or another family) that reads proteins and fragments as soft tokens between its text tokens."""

    config_class = Esm2LlamaInstructConfig
    base_model_prefix = ""
    main_input_name = "input_ids"
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _supports_flash_attn = True
    _tied_weights_keys = {  # noqa: RUF012 (transformers' API)
        "llama_decoder.lm_head.weight": "llama_decoder.model.embed_tokens.weight"
    }

    def __init__(self, config: Esm2LlamaInstructConfig) -> None:
        check_decoder(config.llama_config)
        super().__init__(config)
        self.esm_encoder = (
            EsmModel(config.esm_config, add_pooling_layer=False) if config.include_encoder else None
        )
        self.modality_adapter, self.fragment_adapter = self.adapters(config)
        self.llama_decoder = decoder_class(config.llama_config)(config.llama_config)
        self.post_init()

    @staticmethod
    def adapters(config: Esm2LlamaInstructConfig) -> tuple[ModalityAdapter, FragmentAdapter]:
        """The two trained adapters that ``config`` describes, newly initialised."""
        encoder_dim, decoder_dim = config.esm_config.hidden_size, config.llama_config.hidden_size
        return (
            ModalityAdapter(encoder_dim, config.intermediate_dim, decoder_dim),
            FragmentAdapter(
                decoder_dim,
                config.perceiver_latent_size,
                config.num_perceiver_heads,
                config.num_perceiver_layers,
                config.perceiver_dim,
            ),
        )

    def _init_weights(self, module: nn.Module) -> None:
        """Encoder and decoder initialise themselves; the adapters keep torch's own initialisation."""

    def get_input_embeddings(self) -> nn.Module:
        """The decoder's token embeddings."""
        return self.llama_decoder.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the decoder's token embeddings."""
        self.llama_decoder.set_input_embeddings(value)

    def get_output_embeddings(self) -> nn.Module:
        """The decoder's language-model head."""
        return self.llama_decoder.get_output_embeddings()

    def train(self, mode: bool = True) -> "Esm2LlamaInstructForCausalLM":
        """Training mode for all but the frozen encoder, which stays in evaluation mode."""
        super().train(mode)
        if self.esm_encoder is not None:
            self.esm_encoder.eval()
        return self

    def encode_protein(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Frozen encoder states ``[batch, residues + 2, encoder_dim]`` of ESM token ids, without gradients."""
        if self.esm_encoder is None:
            raise ValueError("this model was saved without its encoder: give it protein_hidden_states")
        if self.config.encoder_layer is not None:
            layer = self.config.encoder_layer
            raise ValueError(
                f"this model reads the states of encoder layer {layer}: give it protein_hidden_states"
            )
        with torch.no_grad():
            return self.esm_encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state

    def embed_inputs(
        self,
        input_ids: torch.Tensor,
        protein_states: torch.Tensor,
        protein_attention_mask: torch.Tensor,
        position_ref: torch.Tensor | None,
    ) -> torch.Tensor:
        """Token embeddings ``[batch, tokens, decoder_dim]`` with soft tokens in place of the placeholders.

        Args:
            input_ids: ``[batch, tokens]``; a protein with ``residues`` has ``residues + 2`` protein placeholders,
                a record with a fragment has ``perceiver_latent_size`` fragment placeholders.
            protein_states: ``[batch, residues + 2, encoder_dim]``, right-padded.
            protein_attention_mask: ``[batch, residues + 2]``, 1 for BOS, residues and EOS.
            position_ref: ``[batch, 2]`` residues of the fragment, 0-based half-open; negative: no fragment.
        """
        rows = protein_states[protein_attention_mask.bool()]
        embeddings = self.get_input_embeddings()(input_ids)
        return self._insert(embeddings, input_ids, None, rows, protein_attention_mask.sum(1), position_ref)

    def _insert(
        self,
        embeddings: torch.Tensor,
        input_ids: torch.Tensor,
        lengths: torch.Tensor | None,
        protein_rows: torch.Tensor,
        protein_lengths: torch.Tensor,
        position_ref: torch.Tensor | None,
    ) -> torch.Tensor:
        """Put soft tokens into ``embeddings [..., decoder_dim]``; ``protein_rows [R, encoder_dim]`` lie packed.

        ``lengths [batch]`` are the tokens of each record where those lie packed too. Raises ``ValueError`` for a record
        whose placeholders are not as many as its soft tokens.
        """
        control = self.config.control_token_ids
        proteins = self.modality_adapter(protein_rows)
        has_fragment = protein_lengths < 0 if position_ref is None else position_ref[:, 0] >= 0
        expected = (protein_lengths, has_fragment * self.config.perceiver_latent_size)
        for name, counts in zip(("protein", "fragment"), expected, strict=True):
            _check_places(name, input_ids == control[name], lengths, counts)
        embeddings = _fill(embeddings, input_ids == control["protein"], proteins)
        if has_fragment.any():
            first_rows = protein_lengths.cumsum(0) - protein_lengths
            # Row 0 of a protein is BOS: residue i is row i + 1.
            spans = position_ref[has_fragment] + first_rows[has_fragment, None] + 1
            tokens = self.fragment_adapter(proteins, spans)
            return _fill(embeddings, input_ids == control["fragment"], tokens.flatten(0, 1))
        if torch.is_grad_enabled():
            # Distributed training waits for a gradient of every parameter on every rank.
            embeddings = embeddings + 0.0 * sum(p.sum() for p in self.fragment_adapter.parameters())
        return embeddings

    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        protein_hidden_states: torch.Tensor | None = None,
        protein_input_ids: torch.Tensor | None = None,
        protein_attention_mask: torch.Tensor | None = None,
        position_ref: torch.Tensor | None = None,
        lengths: torch.Tensor | None = None,
        protein_lengths: torch.Tensor | None = None,
        logits_to_keep: int | torch.Tensor = 0,
        num_items_in_batch: torch.Tensor | int | None = None,
        **kwargs: Any,
    ) -> CausalLMOutputWithPast:
        """Run the decoder on a padded batch, or on a packed one for its loss.

        Encoder states come as ``protein_hidden_states [batch, residues + 2, encoder_dim]`` (from the store) or
        are computed from ``protein_input_ids [batch, residues + 2]``; both with ``protein_attention_mask``.

        With ``labels [batch, tokens]`` the vocabulary logits are computed at the labelled positions only:
        ``logits`` is ``[labelled, vocab]``, and the loss is their mean cross-entropy (their sum divided by
        ``num_items_in_batch`` where that is given). Without labels ``logits`` is ``[batch, kept, vocab]``.

        With ``lengths [batch]`` the records lie packed, one after the other without padding (see
        :class:`fragmodel.batching.packing.PackedCollator`): ``input_ids``, ``labels [tokens]``,
        ``protein_hidden_states [rows, encoder_dim]`` or ``protein_input_ids [rows]``, and ``protein_lengths
        [batch]``. The output has the same loss and no logits. This is what training uses.
        """
        if lengths is not None:
            if protein_hidden_states is None:
                protein_hidden_states = self.encode_packed(protein_input_ids, protein_lengths)
            loss = self._packed_loss(
                input_ids, labels, lengths, protein_hidden_states, protein_lengths, position_ref
            )
            count = (labels != IGNORED).sum() if num_items_in_batch is None else num_items_in_batch
            return CausalLMOutputWithPast(loss=loss / count)
        if inputs_embeds is None:
            if protein_hidden_states is None and protein_input_ids is not None:
                protein_hidden_states = self.encode_protein(protein_input_ids, protein_attention_mask)
            if protein_hidden_states is None:
                inputs_embeds = self.get_input_embeddings()(input_ids)
            else:
                inputs_embeds = self.embed_inputs(
                    input_ids, protein_hidden_states, protein_attention_mask, position_ref
                )
        decoder_inputs = {
            "inputs_embeds": inputs_embeds,
            "attention_mask": attention_mask,
            "position_ids": position_ids,
            "past_key_values": past_key_values,
            **kwargs,
        }
        if labels is None:
            return self.llama_decoder(logits_to_keep=logits_to_keep, **decoder_inputs)
        hidden = self.llama_decoder.model(**decoder_inputs).last_hidden_state
        targets = labels[:, 1:]
        labelled = targets != IGNORED
        logits = self.llama_decoder.lm_head(hidden[:, :-1][labelled])
        loss = F.cross_entropy(logits.float(), targets[labelled].to(logits.device), reduction="sum")
        count = labelled.sum() if num_items_in_batch is None else num_items_in_batch
        return CausalLMOutputWithPast(loss=loss / count, logits=logits)

    def embed_packed(
        self,
        input_ids: torch.Tensor,
        lengths: torch.Tensor,
        protein_rows: torch.Tensor,
        protein_lengths: torch.Tensor,
        position_ref: torch.Tensor | None,
    ) -> tuple[torch.Tensor, torch.dtype]:
        """Input embeddings ``[tokens, decoder_dim]`` of a packed batch, and the format to compute in."""
        dtype = compute_dtype(token_rows(self.get_input_embeddings())[0])
        embeddings = self.embed_rows(input_ids, dtype)
        return self._insert(
            embeddings, input_ids, lengths, protein_rows, protein_lengths, position_ref
        ), dtype

    def embed_rows(self, input_ids: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """Token embeddings ``[..., decoder_dim]``, in ``dtype`` or in that of the weights where it is wider."""
        weight, ids, rows = token_rows(self.get_input_embeddings())
        embeddings = embed_tokens(input_ids, weight, ids, rows)
        embeddings = embeddings * embeddings.new_tensor(token_scale(self.config.llama_config))
        return embeddings.to(torch.promote_types(weight.dtype, dtype))

    def _packed_loss(
        self,
        input_ids: torch.Tensor,
        labels: torch.Tensor,
        lengths: torch.Tensor,
        protein_rows: torch.Tensor,
        protein_lengths: torch.Tensor,
        position_ref: torch.Tensor | None,
    ) -> torch.Tensor:
        """Sum of the cross-entropies of all labelled tokens of a packed batch.

        The label of a record's first token counts nothing: there is no row before it.
        """
        embeddings, dtype = self.embed_packed(input_ids, lengths, protein_rows, protein_lengths, position_ref)
        labelled = labels != IGNORED
        labelled[lengths.cumsum(0) - lengths] = False
        places = labelled.nonzero().flatten()
        weight, ids, rows = token_rows(self.get_output_embeddings())
        # From here on ``dtype`` alone says how products are computed; autocast would mix its own format in.
        with torch.autocast(embeddings.device.type, enabled=False):
            hidden = run_decoder(self.llama_decoder.model, embeddings, lengths.tolist(), places - 1, dtype)
            return linear_cross_entropy(hidden.to(dtype), weight, labels[places], ids=ids, rows=rows)

    def encode_packed(self, input_ids: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Frozen encoder states ``[rows, encoder_dim]`` of packed ESM token ids ``[rows]``."""
        parts = input_ids.split(lengths.tolist())
        padded = pad_sequence(list(parts), batch_first=True, padding_value=alphabet.PAD)
        mask = padded != alphabet.PAD
        return self.encode_protein(padded, mask.long())[mask]

    def prepare_inputs_for_generation(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The protein is read once, with the prompt; later steps feed tokens only."""
        inputs = super().prepare_inputs_for_generation(*args, **kwargs)
        if not kwargs.get("is_first_iteration", False) and kwargs.get("use_cache", True):
            for name in PROTEIN_INPUTS:
                inputs.pop(name, None)
        return inputs


def _check_places(
    name: str, places: torch.Tensor, lengths: torch.Tensor | None, expected: torch.Tensor
) -> None:
    """Compare the True places of each record, ``[batch, tokens]`` or packed ``[tokens]``, with ``expected [batch]``."""
    if lengths is None:
        found = places.sum(1)
    else:
        ends = places.cumsum(0)[lengths.cumsum(0) - 1]
        found = ends.diff(prepend=ends.new_zeros(1))
    if (wrong := found != expected).any():
        record = int(wrong.nonzero()[0])
        raise ValueError(
            f"record {record} of the batch has {int(found[record])} {name} placeholder tokens for "
            f"{int(expected[record])} soft tokens"
        )


def _fill(embeddings: torch.Tensor, places: torch.Tensor, soft_tokens: torch.Tensor) -> torch.Tensor:
    """Put soft tokens ``[n, dim]`` at the ``n`` True places ``[batch, tokens]``, row by row."""
    return embeddings.masked_scatter(places[..., None], soft_tokens.to(embeddings.dtype))


AutoModelForCausalLM.register(Esm2LlamaInstructConfig, Esm2LlamaInstructForCausalLM)
