"""Every option of the pinned transformers, in both programs: read, or refused by name."""

import ast
import inspect
import subprocess
import sys
import textwrap
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from transformers import (
    DefaultFlowCallback,
    Trainer,
    TrainerState,
    TrainingArguments,
    trainer_callback,
    trainer_optimizer,
)
from transformers.integrations import integration_utils

import fragmodel.training
from fragmodel.errors import UserError
from fragmodel.training.arguments import FragTrainingArguments, argument_parser, parse_arguments
from fragmodel.training.command_line import check_command_line, quick_parser, transformers_options
from fragmodel.training.flags import INSTRUCT, READ, TRAINER

PROGRAMS = (TRAINER, INSTRUCT)
ROOT = Path(__file__).parents[3]
NAMES = [field.name for field in fields(TrainingArguments)]
REQUIRED = ["--esm_path", "e", "--llama_path", "l", "--train_files", "a.parquet"]
BASIC = [*REQUIRED, "--output_dir", "/tmp/out"]
PARSERS = {"quick": quick_parser, "real": argument_parser}  # before and after torch has been imported
WORDS = {
    "debug": "underflow_overflow",
    "metric_for_best_model": "loss",
    "gradient_checkpointing_kwargs": '{"use_reentrant": false}',
    "activation_checkpointing_kwargs": '{"use_reentrant": false}',
}


def another_value(parser: Any, name: str) -> str:
    """A value that the option takes and that is not its default."""
    (action,) = [
        action for action in parser._actions if action.dest == name and f"--{name}" in action.option_strings
    ]
    if action.choices:
        default = getattr(action.default, "value", action.default)
        return next(str(choice) for choice in action.choices if choice != default)
    kind = getattr(action.type, "__name__", "str")
    if kind == "string_to_bool":
        return str(not action.default)
    return WORDS.get(name, {"int": "7", "float": "7", "dict": ""}.get(kind, "word"))


@pytest.mark.parametrize("make", PARSERS)
@pytest.mark.parametrize("program", PROGRAMS)
def test_each_option_is_read_or_refused_in_a_line(
    program: str, make: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")  # for --fsdp
    parser, real = PARSERS[make](program), argument_parser(program)
    assert len(NAMES) > 100
    for name in NAMES:
        evaluated = ["--eval_files", "b.parquet"]
        words = [*REQUIRED, *evaluated, f"--{name}", another_value(real, name)]
        if name in READ[program]:
            parsed, rest = parser.parse_known_args(words)
            assert getattr(parsed, name) != parser.get_default(name) and not rest, name
            continue
        with pytest.raises(UserError) as caught:
            parser.parse_known_args(words)
        message = str(caught.value)
        if name != "parallelism_config":  # it has no spelling on a command line
            assert message.startswith(f"--{name}: {program} does not read this option; "), message
        assert ("train_trainer.py does, or" in message) == (program == INSTRUCT and name in READ[TRAINER])
        assert len(message.splitlines()) == 1


def test_the_quick_parser_knows_the_options_of_the_real_one() -> None:
    assert [option.name for option in transformers_options()] == NAMES
    quick, real = quick_parser(TRAINER), argument_parser(TRAINER)
    for parser, other in ((quick, real), (real, quick)):
        assert not parser._option_string_actions.keys() - other._option_string_actions.keys()
    required = [{action.dest for action in parser._actions if action.required} for parser in (quick, real)]
    assert required[0] == required[1] == {"esm_path", "llama_path"}
    for action in real._actions:
        if action.choices and action.dest not in NAMES:
            (ours,) = (a for a in quick._actions if a.dest == action.dest)
            assert list(ours.choices) == list(action.choices)


@pytest.mark.parametrize(
    "words",
    [
        ["--fsdp"],
        ["--bf16", "--gradient_checkpointing", "True", "--no_dataloader_pin_memory"],
        ["--report_to", "none", "--learning-rate=1e-4", "--save_steps", "0.1", "--max_steps", "-1"],
        ["--sampling_weights", "2", "--lr_scheduler_kwargs", '{"num_cycles": 2}', "--decoder_bits", "4"],
    ],
)
def test_what_the_real_parser_takes_the_quick_one_takes(
    words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if "--decoder_bits" not in words:
        monkeypatch.setenv("WORLD_SIZE", "2")
    check_command_line(TRAINER, [*REQUIRED, *words])
    argument_parser(TRAINER).parse_known_args([*REQUIRED, *words])


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["--help"], 0, "--num_perceiver_layers"),
        (["--help"], 0, "residues of the longest window (default: 1021)"),
        ([*REQUIRED, "--lora_rnak", "8"], 2, "error: unknown option --lora_rnak (--help lists all options)"),
        ([*REQUIRED, "--lora_rank", "many"], 2, "error: argument --lora_rank/--lora-rank: invalid int value"),
        (REQUIRED[2:], 2, "error: the following arguments are required: --esm_path"),
        (REQUIRED[:4], 2, "error: say what to train on"),
        (
            [*REQUIRED, "--deepspeed", "z.json"],
            2,
            "error: --deepspeed: train_instruct.py does not read this option",
        ),
        ([*REQUIRED, "--target_modules", "v_porj"], 2, "invalid choice: 'v_porj'"),
    ],
)
def test_mistakes_and_help_come_before_torch(words: list[str], status: int, said: str) -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from fragmodel.training.run import main; sys.exit(main('train_instruct.py', None, sys.argv[1:]))"
    )
    ended = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, cwd=ROOT)
    assert ended.returncode == status, ended.stderr
    assert said in " ".join((ended.stdout + ended.stderr).split())


@pytest.mark.parametrize("program", PROGRAMS)
def test_defaults_are_never_refused(program: str) -> None:
    assert parse_arguments([*BASIC, "--remove_unused_columns", "False"], program).training.seed == 42


def attributes(*sources: str) -> set[str]:
    """Names of all attributes that the code reads."""
    return {
        node.attr
        for source in sources
        for node in ast.walk(ast.parse(textwrap.dedent(source)))
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)
    }


def test_what_is_said_to_be_read_is() -> None:
    """The loop's own code, and what of transformers it calls; for the Trainer its module too."""
    folder = Path(fragmodel.training.__file__).parent
    ours = [path.read_text() for path in folder.glob("*.py") if path.name not in ("trainer.py", "launch.py")]
    called = [
        inspect.getsource(part)
        for part in (DefaultFlowCallback, TrainerState, trainer_optimizer, integration_utils)
    ]
    devices = [
        inspect.getsource(TrainingArguments._setup_devices.func),
        inspect.getsource(TrainingArguments.get_warmup_steps),
        inspect.getsource(TrainingArguments._process_fsdp_args),
    ]
    read = attributes(*ours, *called, *devices)
    by_transformers = {"tf32", "do_train", "gradient_checkpointing_kwargs", "activation_checkpointing_kwargs"}
    by_transformers |= {"activation_checkpointing"}  # mirrored to and from the name that the loop reads
    assert READ[INSTRUCT] - by_transformers <= read
    trainer = [inspect.getsource(inspect.getmodule(Trainer)), (folder / "trainer.py").read_text()]
    shared = [
        inspect.getsource(inspect.getmodule(part))
        for part in (TrainingArguments, trainer_callback.TrainerState)
    ]
    assert READ[TRAINER] - by_transformers <= attributes(*ours, *called, *trainer, *shared)
    assert not READ[TRAINER] - set(NAMES)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--neftune_noise_alpha", "5"], "--neftune_noise_alpha"),
        (["--label_smoothing_factor", "0.1"], "--label_smoothing_factor"),
        (["--deepspeed", "zero2.json"], "--deepspeed"),
        (["--remove_unused_columns", "True"], "--remove_unused_columns"),
        (["--train_sampling_strategy", "group_by_length"], "--train_sampling_strategy"),
        (["--gradient_checkpointing_kwargs", '{"use_reentrant": true}'], "must be {'use_reentrant': false}"),
        (["--activation_checkpointing_kwargs", '{"every_n_layers": 2}'], "must be {'use_reentrant': false}"),
        (["--target_modules", "q_proj", "v_porj"], "v_porj"),
        (["--target_modules", "embed_tokens"], "embed_tokens"),
    ],
)
@pytest.mark.parametrize("program", PROGRAMS)
def test_what_neither_program_does_is_named(program: str, words: list[str], message: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_arguments([*BASIC, *words], program)
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    "words",
    [
        ["--lr_scheduler_type", "reduce_lr_on_plateau"],
        ["--lr_scheduler_type", "greedy"],
        ["--save_strategy", "best"],
    ],
)
def test_values_that_only_the_trainer_knows(words: list[str]) -> None:
    argument_parser(TRAINER).parse_known_args([*REQUIRED, *words])
    with pytest.raises(UserError, match="cannot do this; train_trainer"):
        argument_parser(INSTRUCT).parse_known_args([*REQUIRED, *words])


def test_the_defaults_that_are_ours_are_those_that_the_programs_rely_on() -> None:
    ours, theirs = (
        {f.name: f.default for f in fields(kind)} for kind in (FragTrainingArguments, TrainingArguments)
    )
    changed = {name: ours[name] for name in theirs if ours[name] != theirs[name]}
    assert changed == {
        "report_to": "tensorboard",
        "remove_unused_columns": False,
        "prediction_loss_only": True,
        "logging_nan_inf_filter": False,
        "include_num_input_tokens_seen": "non_padding",
    }
