"""Configuration of the joined model; round-trips through ``save_pretrained`` and ``from_pretrained``."""

from typing import Any

from transformers import AutoConfig, PretrainedConfig

from fragmodel.embeddings.kinds import encoder_config
from fragmodel.model.decoders import decoder_config
from fragmodel.vocabulary import MODEL_TYPE


class Esm2LlamaInstructConfig(PretrainedConfig):
    """ESM encoder, modality adapter, fragment adapter and decoder.

    ``control_token_ids`` holds the decoder's ids of the four control tokens (protein, fragment, span_open,
    span_close). ``include_encoder`` is False for a model that is always given stored encoder states.
    """

    model_type = MODEL_TYPE
    sub_configs = {"esm_config": AutoConfig, "llama_config": AutoConfig}  # noqa: RUF012 (transformers' API)

    def __init__(
        self,
        esm_config: PretrainedConfig | dict[str, Any] | None = None,
        llama_config: PretrainedConfig | dict[str, Any] | None = None,
        intermediate_dim: int = 2048,
        perceiver_latent_size: int = 1,
        num_perceiver_heads: int = 16,
        num_perceiver_layers: int = 2,
        perceiver_dim: int = 0,
        control_token_ids: dict[str, int] | None = None,
        include_encoder: bool = True,
        encoder_layer: int | None = None,
        **kwargs: Any,
    ) -> None:
        self.esm_config = (
            esm_config if isinstance(esm_config, PretrainedConfig) else encoder_config(esm_config or {})
        )
        self.llama_config = (
            llama_config if isinstance(llama_config, PretrainedConfig) else decoder_config(llama_config or {})
        )
        self.intermediate_dim = intermediate_dim
        self.perceiver_latent_size = perceiver_latent_size
        self.num_perceiver_heads = num_perceiver_heads
        self.num_perceiver_layers = num_perceiver_layers
        self.perceiver_dim = perceiver_dim  # 0: the decoder's width
        self.control_token_ids = dict(control_token_ids or {})
        self.include_encoder = include_encoder
        self.encoder_layer = encoder_layer  # whose states the adapters read; None: the last
        for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
            kwargs.setdefault(name, getattr(self.llama_config, name))
        # Kept in step with the decoder, whose head it is that may be tied.
        kwargs["tie_word_embeddings"] = self.llama_config.tie_word_embeddings
        # Both parts keep the attention that they were loaded with: the base class would unset it, and an ESM
        # encoder without one attends to padding.
        parts = {name: getattr(self, name)._attn_implementation for name in self.sub_configs}
        kwargs.setdefault("attn_implementation", parts)
        super().__init__(**kwargs)

    def get_text_config(self, *args: Any, **kwargs: Any) -> PretrainedConfig:
        """The decoder's configuration, which generation and its cache are sized by."""
        return self.llama_config


AutoConfig.register(Esm2LlamaInstructConfig.model_type, Esm2LlamaInstructConfig)
