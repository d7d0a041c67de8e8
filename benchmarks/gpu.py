"""The steps of ``benchmarks/gpu.sh``: tests, speed, training in each precision, and generation, on one GPU.

Each step is a process of its own with a limit; one that fails, is missing a package or runs out of time leaves the
others alone. Without a GPU the same steps run on tiny shapes, which shows that they start, and nothing else.
"""

import json
import os
import platform
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

BUDGET = 460.0  # seconds of all steps together
_TAIL = 2000  # characters of a step's output in the JSON


class Step(NamedTuple):
    """A command, and the seconds that it may take."""

    name: str
    words: Sequence[str]
    limit: float


def main(out: Path) -> None:
    """Run all steps; ``out`` gets ``gpu.json`` and ``gpu.log``."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "gpu.log").unlink(missing_ok=True)
    run_all(steps(out / "work"), out, budget=BUDGET, about=machine())


def machine() -> dict[str, Any]:
    """Device, its measured rate of matrix products, and versions."""
    import torch
    import transformers

    from benchmarks.measure import matmul_rate

    about = {"python": platform.python_version(), "torch": torch.__version__}
    about["transformers"] = transformers.__version__
    if torch.cuda.is_available():
        about["device"] = torch.cuda.get_device_name()
        about["tflops"] = round(matmul_rate(4096, "bfloat16", device="cuda") / 1e12, 1)
    return about


def steps(work: Path) -> list[Step]:
    """What is run, the most telling first."""
    import torch

    quick = [] if torch.cuda.is_available() else ["--quick"]
    python = [sys.executable]
    bench = [*python, "-m", "benchmarks", "--output", str(work / "benchmarks"), *quick]
    torchrun = [*python, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "1"]
    models, trained = work / "models", work / "bfloat16"
    data = ["--root_dir", "data/sample", "--data_name", "Venux_Motif", "--task_type", "referring_class"]
    size = ["--intermediate_dim", "32", "--num_perceiver_heads", "4", "--lora_rank", "4", "--max_steps", "20"]

    def train(name: str, program: str, *options: str, launcher: Sequence[str] = python) -> Step:
        words = [*launcher, f"workflow_scripts/{program}", *data, *size, "--output_dir", str(work / name)]
        paths = ["--esm_path", str(models / "encoder"), "--llama_path", str(models / "untied")]
        return Step(f"train_{name}", [*words, *paths, "--report_to", "none", *options], 60)

    make = (
        "import sys; from pathlib import Path; sys.path.insert(0, 'tests'); import tiny_models; "
        "work = Path(sys.argv[1]); tiny_models.build_tiny_models(work / 'models'); "
        "(work / 'proteins.fasta').write_text('>one\\n' + 'MKTAYIAKQRQISFVKSHFSRQ' * 9 + '\\n')"
    )
    asked = ["--fasta", str(work / "proteins.fasta"), "--task", "grounding_group", "--family", "motif"]
    asked += ["--output", str(work / "places.gff3")]
    return [
        Step(
            "tests", [*python, "-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider", "tests/unit"], 90
        ),
        Step("train_gpu", [*bench, "train_gpu"], 150),
        Step("embed", [*bench, "embed"], 100),
        Step("models", [*python, "-c", make, str(work)], 60),
        train("bfloat16", "train_trainer.py", "--bf16"),
        train("float16", "train_instruct.py", "--fp16"),
        train("fsdp", "train_trainer.py", "--bf16", "--fsdp", launcher=torchrun),
        train("four_bits", "train_instruct.py", "--bf16", "--decoder_bits", "4"),
        Step("predict", [*python, "-m", "fragmodel", "predict", "--model", str(trained), *asked], 60),
        Step("generate", [*bench, "generate", *([] if quick else ["--quick"])], 60),
    ]


def run_all(steps: Sequence[Step], out: Path, *, budget: float, about: dict[str, Any]) -> None:
    """Run the steps one after the other until ``budget`` seconds are over; what ran is told after each."""
    started = time.monotonic()
    told: dict[str, Any] = {**about, "steps": []}
    for step in steps:
        left = budget - (time.monotonic() - started)
        told["steps"].append(_run(step, min(step.limit, left), out) if left > 0 else _not_run(step))
        told["figures"] = {
            path.stem: json.loads(path.read_text(encoding="utf-8"))
            for path in sorted((out / "work" / "benchmarks").glob("*.json"))
        }
        part = out / "gpu.json.part"
        part.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
        part.replace(out / "gpu.json")
        print(f"{step.name}: {told['steps'][-1]['outcome']}", flush=True)


def _run(step: Step, limit: float, out: Path) -> dict[str, Any]:
    started = time.monotonic()
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    with (out / "gpu.log").open("a+", encoding="utf-8", errors="replace") as log:
        log.write(f"\n== {step.name}: {shlex.join(step.words)}\n")
        log.flush()
        start = log.tell()
        process = subprocess.Popen(
            step.words, stdout=log, stderr=log, env=environment, start_new_session=True
        )
        try:
            status = process.wait(limit)
            outcome = "done" if status == 0 else f"failed with status {status}"
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # with what it started
            process.wait()
            outcome = f"stopped after {limit:.0f} s"
        log.seek(start)
        said = log.read()[-_TAIL:]
    seconds = round(time.monotonic() - started, 1)
    return {"name": step.name, "outcome": outcome, "seconds": seconds, "said": said}


def _not_run(step: Step) -> dict[str, Any]:
    return {"name": step.name, "outcome": "not run: time was over", "seconds": 0.0, "said": ""}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
