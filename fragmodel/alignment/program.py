"""`python -m fragmodel.alignment.program FOLDER`: the alignment program, and the pipeline's launch of it."""

import sys
from collections.abc import Sequence
from pathlib import Path

from torch import distributed

from fragmodel.alignment.train import Aligner, AlignmentRun
from fragmodel.config.alignment import AlignmentConfig
from fragmodel.config.training import AdapterConfig
from fragmodel.errors import UserError, told
from fragmodel.files import file_digest
from fragmodel.training.interrupt import EXIT_STATUS, Interruption
from fragmodel.training.launch import (
    SETTINGS,
    alone_in,
    collect,
    finish,
    launch_command,
    own_folder,
    run_program,
)

PROGRAM = "fragmodel.alignment.program"


def main(argv: Sequence[str]) -> int:
    """Align in the folder that the one argument names, as its ``settings.json`` says; returns the exit status.

    0: to the end; 75: interrupted after writing a checkpoint; 2: a mistake that the printed line explains.
    """
    try:
        if len(argv) != 1 or not Path(argv[0], SETTINGS).is_file():
            raise UserError(
                f"usage: python -m {PROGRAM} FOLDER, where FOLDER holds a {SETTINGS} (docs/alignment.md)"
            )
        run = AlignmentRun.model_validate_json(Path(argv[0], SETTINGS).read_text(encoding="utf-8"))
        with Interruption() as interruption:
            finished = Aligner(run, Path(argv[0])).train(interruption)
    except Exception as error:
        if (message := told(error)) is None:
            raise
        print(f"error: {message}", file=sys.stderr)
        return 2
    finally:
        if distributed.is_initialized():
            distributed.destroy_process_group()
    print("Aligned." if finished else "Interrupted: a checkpoint was written; run again to go on.")
    return 0 if finished else EXIT_STATUS


def launch_alignment(
    *,
    encoder: Path,
    decoder: Path,
    train: Sequence[Path],
    valid: Sequence[Path],
    store: Path,
    fingerprint: str,
    texts_fingerprint: str,
    checkpoints: Path,
    model: Path,
    log: Path,
    adapter: AdapterConfig,
    alignment: AlignmentConfig,
    seed: int,
    code: str,
    anew: bool,
) -> None:
    """Align, or go on where an earlier attempt at the very same run stopped.

    Arguments, folders and faults as of :func:`fragmodel.training.launch.launch`; ``texts_fingerprint`` names the
    vectors in the text store. ``model`` becomes a folder with ``adapters.safetensors``.
    """
    run = AlignmentRun(
        encoder=encoder,
        decoder=decoder,
        train=list(train),
        valid=list(valid),
        store=store,
        fingerprint=fingerprint,
        texts=Path(alignment.store),
        texts_fingerprint=texts_fingerprint,
        adapter=adapter,
        alignment=alignment,
        seed=seed,
    )
    settings = run.model_dump(mode="json") | {"inputs": [file_digest(path) for path in [*train, *valid]]}
    folder, finished = own_folder(checkpoints, settings | {"code": code}, anew)
    if not finished:
        with alone_in(folder) as lock:
            run_program(launch_command([PROGRAM], alignment, [str(folder)]), alignment, folder, lock)
        finish(folder)
    collect(folder, model, log)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
