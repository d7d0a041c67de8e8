"""Chunked gradients against the plain computation, alone and over two processes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from fragmodel.alignment.gradients import accumulate_gradients, sum_over_processes
from fragmodel.alignment.loss import contrastive_loss, false_negatives
from fragmodel.alignment.processes import share
from fragmodel.alignment.retrieval import first_ranks

ROWS, WIDTH = 11, 6
BORDERS = (6, 1, 0)  # rows of the first of two processes


def parts() -> tuple[torch.nn.Module, torch.nn.Parameter, torch.Tensor, torch.Tensor, torch.Tensor]:
    """A small encoder, a temperature, inputs, text vectors and excluded pairs."""
    torch.manual_seed(4)
    encoder = torch.nn.Sequential(torch.nn.Linear(5, 16), torch.nn.GELU(), torch.nn.Linear(16, WIDTH))
    scale = torch.nn.Parameter(torch.tensor(2.0))
    excluded = false_negatives(list("abcdefghija"), list("0123456789x"))
    return encoder, scale, torch.randn(ROWS, 5), torch.randn(ROWS, WIDTH), excluded


def plain() -> dict[str, list]:
    """Autograd through the whole batch at once."""
    encoder, scale, inputs, texts, excluded = parts()
    loss = contrastive_loss(encoder(inputs), texts, scale, excluded)
    loss.backward()
    return found(encoder, scale, loss)


def chunked(rows: torch.Tensor, size: int) -> dict[str, list]:
    encoder, scale, inputs, texts, excluded = parts()
    loss = accumulate_gradients(
        rows.split(size) if len(rows) else [],
        lambda chunk: encoder(inputs[chunk]),
        lambda vectors: contrastive_loss(vectors, texts, scale, excluded),
        ROWS,
        WIDTH,
    )
    sum_over_processes(encoder.parameters(), [scale])
    return found(encoder, scale, loss)


def found(encoder: torch.nn.Module, scale: torch.nn.Parameter, loss: torch.Tensor) -> dict[str, list]:
    gradients = {name: p.grad.flatten().tolist() for name, p in encoder.named_parameters()}
    return {**gradients, "scale": [scale.grad.item()], "loss": [loss.item()]}


def assert_equal(ours: dict[str, list], reference: dict[str, list]) -> None:
    assert ours.keys() == reference.keys()
    for name, values in reference.items():
        assert ours[name] == pytest.approx(values, abs=1e-6, rel=1e-5), name


@pytest.mark.parametrize("size", [1, 3, 10, 11, 99])
def test_chunks_give_the_gradient_of_the_whole_batch(size):
    reference = plain()
    assert any(abs(value) > 1e-3 for value in reference["0.weight"])
    assert_equal(chunked(torch.arange(ROWS), size), reference)


def test_activations_of_one_chunk_live_at_a_time():
    """The graph never spans more rows than a chunk."""
    encoder, scale, inputs, texts, excluded = parts()
    with_graph = []

    def encode(chunk):
        vectors = encoder(inputs[chunk])
        with_graph.append(len(chunk) if vectors.requires_grad else 0)
        return vectors

    accumulate_gradients(
        torch.arange(ROWS).split(4),
        encode,
        lambda vectors: contrastive_loss(vectors, texts, scale, excluded),
        ROWS,
        WIDTH,
    )
    assert with_graph == [0, 0, 0, 4, 4, 3]


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory) -> list[dict]:
    """What each of two ranks found: see :func:`main`."""
    folder = tmp_path_factory.mktemp("ranks")
    launcher = (sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone")
    paths = [str(Path(__file__).parents[3]), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    result = subprocess.run(
        [*launcher, __file__, str(folder)], env=environment, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in (0, 1)]


def test_two_processes_find_the_ranks_of_one(two_processes):
    items, texts, pairs = retrieval_inputs()
    alone = first_ranks(
        items, range(len(items)), lambda part: texts[part.start : part.stop], pairs, len(texts)
    )
    expected = [ranks.tolist() for ranks in alone]
    assert [found["ranks"] for found in two_processes] == [expected, expected]


def test_two_processes_give_the_gradient_of_one(two_processes):
    """The batch shared out evenly, unevenly, and to one of the two alone."""
    first, second = (found["gradients"] for found in two_processes)
    assert first == second, "ranks must not drift apart, not even by rounding"
    reference = plain()
    assert len(first) == len(BORDERS)
    for gradients in first:
        assert_equal(gradients, reference)


def retrieval_inputs() -> tuple[torch.Tensor, torch.Tensor, np.ndarray]:
    """Vectors of 7 items and 5 texts with ties, and pairs."""
    draw = torch.Generator().manual_seed(4)
    items, texts = (torch.randint(-1, 2, (n, 3), generator=draw).float() for n in (7, 5))
    return items, texts, np.array([[i, i % 5] for i in range(7)] + [[0, 3]])


def main() -> None:
    """One of two ranks; started by torchrun."""
    torch.distributed.init_process_group("gloo")
    rank, rows = torch.distributed.get_rank(), torch.arange(ROWS)
    results = [chunked(rows[:border] if rank == 0 else rows[border:], 2) for border in BORDERS]
    items, texts, pairs = retrieval_inputs()
    own = share(len(items))
    ranks = first_ranks(
        items[own.start : own.stop], own, lambda part: texts[part.start : part.stop], pairs, len(texts), 2
    )
    found = {"gradients": results, "ranks": [each.tolist() for each in ranks]}
    Path(sys.argv[1], f"{rank}.json").write_text(json.dumps(found))
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
