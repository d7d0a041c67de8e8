"""What must be looked at when transformers, peft or accelerate is pinned anew: the parts of them that are no promise.

Everything else that the package uses of them is documented there. ``tests/unit/test_upstream.py`` holds that each name
still exists, and that no module takes a name from inside these packages, or overrides a private method of the Trainer,
that is not listed. What the names compute is held by the tests of the modules that use them.
"""

RELIED_ON: dict[str, str] = {
    # Layers whose weights are read one by one: new norms, biases, scales or masks would be passed over.
    "transformers.models.llama.modeling_llama.LlamaDecoderLayer.forward": "model/packed_decoder.py",
    "transformers.models.llama.modeling_llama.LlamaAttention.forward": "model/packed_decoder.py",
    "transformers.models.llama.modeling_llama.LlamaRotaryEmbedding.forward": "model/packed_decoder.py",
    "transformers.models.esm.modeling_esm.EsmLayer.forward": "embeddings/forward.py",
    "transformers.models.esm.modeling_esm.EsmEmbeddings.forward": "embeddings/forward.py",
    "peft.tuners.lora.layer.Linear": "model/projections.py (forward, lora_variant, merged, disable_adapters)",
    "peft.tuners.trainable_tokens.layer.TrainableTokensLayer.trainable_tokens_delta": "model/token_rows.py",
    "peft.utils.other.ModulesToSaveWrapper.original_module": "model/assemble.py",
    # Private names and places.
    "transformers.models.auto.configuration_auto.CONFIG_MAPPING": "registration.py",
    "transformers.modeling_layers.GradientCheckpointingLayer._gradient_checkpointing_func": "model/packed_decoder.py",
    "transformers.configuration_utils.PretrainedConfig._attn_implementation": "embeddings/encoders.py",
    "transformers.cache_utils.Cache": "model/modeling.py",
    "transformers.modeling_outputs.CausalLMOutputWithPast": "model/modeling.py",
    "transformers.integrations.get_reporting_integration_callbacks": "training/loop.py (and arguments.py)",
    "transformers.trainer_callback.CallbackHandler": "training/loop.py",
    "transformers.trainer_pt_utils.safe_globals": "training/random_state.py",
    "transformers.trainer_utils.EvalLoopOutput": "training/trainer.py",
    "transformers.training_args.TrainingArguments": "training/command_line.py (read as source)",
    "transformers.utils.logging": "cli/app.py",
    "transformers.integrations.sdpa_attention.sdpa_attention_forward": "model/decoder_pass.py",
    "transformers.masking_utils.sdpa_mask": "model/decoder_pass.py",
    "peft.tuners.lora.layer.LoraLayer": "model/residual_start.py",
    "accelerate.utils.broadcast_object_list": "training/validation.py",
    "accelerate.utils.gather_object": "training/parts.py",
    "accelerate.utils.DistributedType": "training/sharding.py",
    "accelerate.utils.FullyShardedDataParallelPlugin": "training/sharding.py",
    "accelerate.utils.set_seed": "training/loop.py",
    # Steps of the Trainer that are overridden.
    "transformers.Trainer._get_train_sampler": "training/trainer.py",
    "transformers.Trainer._prepare_for_training": "training/trainer.py",
    "transformers.Trainer._save_checkpoint": "training/trainer.py",
    "transformers.Trainer._load_from_checkpoint": "training/trainer.py",
    "transformers.Trainer._load_best_model": "training/trainer.py",
    "transformers.Trainer._save_optimizer_and_scheduler": "training/trainer.py",
    "transformers.Trainer._load_optimizer_and_scheduler": "training/trainer.py",
}
