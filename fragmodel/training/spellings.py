"""Documented spellings that transformers 5 dropped, mapped to today's. Imports no torch."""

import os
from collections.abc import Sequence

from fragmodel.errors import UserError

_RENAMED = {
    "--evaluation_strategy": "--eval_strategy",
    "--no_cuda": "--use_cpu",
    "--per_gpu_train_batch_size": "--per_device_train_batch_size",
    "--per_gpu_eval_batch_size": "--per_device_eval_batch_size",
}


def modernise(argv: Sequence[str]) -> list[str]:
    """Map the documented spellings that transformers 5 dropped to today's, with a one-line note for each."""
    modern: list[str] = []
    for flag, values, glued in flags_of(argv):
        name = flag.replace("-", "_").replace("__", "--", 1)
        new, taken = [flag, *values], ""
        if name in _RENAMED:
            new = [_RENAMED[name], *values]
        elif name == "--warmup_ratio":
            new = ["--warmup_steps", _fraction(flag, values)]  # a number below 1 means a part of all steps
        elif name == "--logging_dir":
            os.environ["TENSORBOARD_LOGGING_DIR"] = _only(flag, values)
            new, taken = [], "TENSORBOARD_LOGGING_DIR"
        elif name == "--group_by_length":
            new, taken = [], "nothing, since packed batches have no padding to save"
        else:
            modern += [f"{flag}={values[0]}"] if glued else [flag, *values]
            continue
        if int(os.environ.get("RANK", "0")) == 0:
            print(f"note: {flag} is no option of transformers 5; taken as: {taken or ' '.join(new)}")
        modern += new
    return modern


def flags_of(argv: Sequence[str]) -> list[tuple[str, list[str], bool]]:
    """Each flag with its values, and whether they were glued by '='."""
    groups: list[tuple[str, list[str], bool]] = []
    for word in argv:
        if word.startswith("--") or word == "-h":
            flag, glued, value = word.partition("=")
            groups.append((flag, [value] if glued else [], bool(glued)))
        elif groups:
            groups[-1][1].append(word)
        else:
            raise UserError(f"unexpected argument '{word}'")
    return groups


def _only(flag: str, values: Sequence[str]) -> str:
    if len(values) != 1:
        raise UserError(f"{flag} needs a value" if not values else f"{flag} takes one value")
    return values[0]


def _fraction(flag: str, values: Sequence[str]) -> str:
    value = _only(flag, values)
    try:
        valid = 0 <= float(value) < 1
    except ValueError:
        valid = False
    if not valid:
        raise UserError(f"{flag} {value}: must be from 0 to below 1")
    return value


def _is_false(values: Sequence[str]) -> bool:
    return bool(values) and values[0].lower() in ("false", "0", "no")


def switched_on(argv: Sequence[str], flag: str) -> bool:
    """Whether the command line switches this flag on."""
    return any(name == flag and not _is_false(values) for name, values, _ in flags_of(argv))
