"""Windows: which part of a long protein is shown.

Every window of a protein of ``length`` residues has ``max_length`` residues (or is the whole protein) and
starts on a grid, so that records share windows and the embedding store holds few of them. Among the windows
that serve, one is drawn by a hash of the seed, the uid and the fragment: the choice depends on nothing else,
not on the order of records nor on the task. All coordinates are 0-based and half-open.
"""

from collections.abc import Sequence

from fragmodel.files import text_digest
from fragmodel.vocabulary import Span


def window_for(fragment: Span, length: int, max_length: int, *, uid: str, seed: int) -> Span:
    """The window that shows ``fragment``, whole if it has at most ``max_length`` residues.

    The grid's stride is ``max_length // 2``, halved until a window on the grid shows all of the fragment; a
    fragment longer than a window gets one that it fills. The last window, which ends with the protein,
    belongs to every grid. Raises ``ValueError`` when the fragment does not lie inside the protein.
    """
    if not 0 <= fragment.start < fragment.end <= length:
        raise ValueError(f"{fragment} does not lie inside a protein of {length} residues")
    if length <= max_length:
        return Span(0, length)
    last = length - max_length
    # Starts of all windows that show the fragment whole or, if it is too long, nothing but the fragment.
    if fragment.length <= max_length:
        low, high = max(0, fragment.end - max_length), min(fragment.start, last)
    else:
        low, high = fragment.start, fragment.end - max_length
    stride = max(1, max_length // 2)
    while True:
        first = -(-low // stride)
        on_grid = max(0, high // stride - first + 1)
        ends_protein = high == last and last % stride != 0
        if count := on_grid + ends_protein:
            drawn = (
                int(text_digest(str(seed), uid, str(fragment.start), str(fragment.end), size=8), 16) % count
            )
            start = (first + drawn) * stride if drawn < on_grid else last
            return Span(start, start + max_length)
        stride = max(1, stride // 2)


def windows_for(spans: Sequence[Span], length: int, max_length: int, *, uid: str, seed: int) -> list[Span]:
    """Windows that together show every one of ``spans`` whole (one longer than a window: cut), in order of
    place.

    One window if the hull of all spans fits into it. Else spans are taken in order of place, each window
    starting a new run of spans whose hull fits; spans that an earlier window already shows need no other.
    """
    windows: list[Span] = []
    waiting = sorted(set(spans))
    while waiting:
        hull = waiting[0]
        for span in waiting[1:]:
            wider = Span(hull.start, max(hull.end, span.end))
            if wider.length <= max_length:
                hull = wider
        window = window_for(hull, length, max_length, uid=uid, seed=seed)
        windows.append(window)
        waiting = [span for span in waiting[1:] if not window.start <= span.start <= span.end <= window.end]
    return sorted(set(windows))


def empty_window(spans: Sequence[Span], length: int, max_length: int, *, uid: str, seed: int) -> Span | None:
    """A window that shows no residue of any of ``spans``; None where every window on the grid shows some."""
    last = max(0, length - max_length)
    starts = [*range(0, last, max(1, max_length // 2)), last]
    windows = [Span(start, min(start + max_length, length)) for start in starts]
    free = [window for window in windows if not any(clip(span, window) for span in spans)]
    if not free:
        return None
    return free[int(text_digest("empty", str(seed), uid, size=8), 16) % len(free)]


def clip(span: Span, window: Span) -> Span | None:
    """``span`` in coordinates of the window, cut at its edges; None when they have no residue in common."""
    start, end = max(span.start, window.start), min(span.end, window.end)
    return Span(start - window.start, end - window.start) if start < end else None


def divide(
    spans: Sequence[Span], window: Span, least: float
) -> tuple[list[tuple[Span, Span]], list[tuple[Span, Span]]]:
    """Which of the ``spans`` a window shows: as targets, and as parts too small to be one.

    A target shows at least the part ``least`` of what a window of that length can show of its span. Both are lists of
    (span, place in the window), in the order of ``spans``.
    """
    targets: list[tuple[Span, Span]] = []
    small: list[tuple[Span, Span]] = []
    for span in spans:
        if place := clip(span, window):
            enough = place.length >= least * min(span.length, window.length)
            (targets if enough else small).append((span, place))
    return targets, small
