"""Trained weights and optimizer states in whole, whether or not FSDP deals them out among the processes.

Checkpoints hold whole tensors, so that what DDP wrote FSDP resumes, on any number of processes, and the other way
round. Weights are loaded before the model is sharded.
"""

from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin
from peft import PeftModel
from torch import nn
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy
from torch.distributed.tensor import DTensor, distribute_tensor

from fragmodel.model.packed_decoder import gather_when_packed


def plan_shards(model: PeftModel, accelerator: Accelerator, plugin: FullyShardedDataParallelPlugin) -> None:
    """Have ``accelerator.prepare`` deal out every weight of ``model`` among the processes, layer by layer (FSDP2).

    Frozen and trained weights, gradients and moments then take their share of memory in each process. Layers
    compute in the accelerator's precision; trained weights and sums of gradients stay in float32.
    """
    state = accelerator.state
    if state.distributed_type == DistributedType.MULTI_CPU:
        # accelerate shards on GPUs only, torch over gloo as well.
        state.distributed_type = DistributedType.FSDP
        state.fsdp_plugin = plugin
    layers = {type(module).__name__ for module in model.modules()}.intersection(model._no_split_modules)
    state.fsdp_plugin.transformer_cls_names_to_wrap = sorted(layers)
    compute = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(accelerator.mixed_precision)
    state.fsdp_plugin.mixed_precision_policy = MixedPrecisionPolicy(
        param_dtype=compute, reduce_dtype=torch.float32
    )
    open_four_bits(model)
    # Embeddings and head remain together in the outermost unit: accelerate would take tied ones apart.
    model.get_input_embeddings = model.get_output_embeddings = lambda: None


def open_four_bits(model: nn.Module) -> None:
    """Hold 4-bit weights as plain parameters of bytes, which FSDP deals out as any other.

    Those of bitsandbytes' class accelerate leaves whole in each process. Their scales (an eighth of a bit a weight)
    stay whole with each layer, which looks for them there when its bytes have been gathered.
    """
    for layer in model.modules():
        weight = dict(layer.named_parameters(recurse=False)).get("weight")
        if type(weight).__name__ == "Params4bit":
            layer.quant_state = weight.quant_state
            layer.weight = nn.Parameter(weight.data, requires_grad=False)


def share_layers(model: PeftModel) -> None:
    """After ``prepare``: let the decoder's layers gather their weights wherever the model runs them."""
    gather_when_packed(model.base_model.model.llama_decoder.model)
    weights = list(model.parameters())
    held = sum((w.to_local() if isinstance(w, DTensor) else w).nbytes for w in weights)
    whole = sum(w.numel() * w.element_size() for w in weights)
    print(f"Weights in each process: {held / 2**20:.2f} of {whole / 2**20:.2f} MiB (--fsdp)")


def trained_weights(model: nn.Module) -> dict[str, torch.Tensor]:
    """Every trained weight by its name, whole and on the CPU. All processes must call it together."""
    for module in model.modules():
        # After a validation the outermost weights are still gathered, in the format of the products, and are freed
        # under whoever reads them when the next of them is sharded again.
        if isinstance(module, FSDPModule):
            module.reshard()
    return {
        name: whole(weight.detach()).cpu()
        for name, weight in model.named_parameters()
        if weight.requires_grad
    }


def whole(state: Any) -> Any:
    """``state`` (an optimizer's, for example) with whole tensors in place of shards; a collective call."""
    return _each(state, lambda tensor: tensor.full_tensor() if isinstance(tensor, DTensor) else tensor)


def load_optimizer(optimizer: torch.optim.Optimizer, path: Path) -> None:
    """Load the whole state that lies at ``path``, each process its shard of it; only plain data is loaded."""
    state = torch.load(path, weights_only=True, map_location="cpu")
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    moments = {
        index: _each(entry, lambda tensor, like=weights[index]: _shard(tensor, like))
        for index, entry in state["state"].items()
    }
    optimizer.load_state_dict({**state, "state": moments})


def _shard(tensor: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """``tensor`` dealt out as its weight ``like`` is; step counts and the like stay whole."""
    if not isinstance(like, DTensor) or tensor.shape != like.shape:
        return tensor
    return distribute_tensor(tensor.to(like.device), like.device_mesh, like.placements)


def _each(state: Any, change: Any) -> Any:
    """A copy of nested dicts and lists with ``change`` applied to each tensor."""
    if isinstance(state, torch.Tensor):
        return change(state)
    if isinstance(state, dict):
        return {key: _each(value, change) for key, value in state.items()}
    if isinstance(state, list):
        return [_each(value, change) for value in state]
    return state
