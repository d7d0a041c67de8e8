"""Sequences of known identity."""

import random

LETTERS = "ACDEFGHIKLMNPQRSTVWY"


def random_sequence(dice: random.Random, length: int = 200) -> str:
    """Unrelated to every other one."""
    return "".join(dice.choice(LETTERS) for _ in range(length))


def mutated(dice: random.Random, sequence: str, identity: float) -> str:
    """Exactly that part of the residues stays, the others are replaced by another letter."""
    changed = set(dice.sample(range(len(sequence)), round(len(sequence) * (1 - identity))))
    return "".join(
        dice.choice(LETTERS.replace(c, "")) if place in changed else c for place, c in enumerate(sequence)
    )
