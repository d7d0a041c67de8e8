"""The records of each task, on hand-worked proteins."""

from raw_files import SEQUENCE, protein, reasons, run

from fragmodel.data import prompts
from fragmodel.data.prompts import FRAGMENT, PROTEIN, SPAN_CLOSE, SPAN_OPEN

TWO = [("IPR2", "Zinc  finger", [(20, 24), (3, 7)]), ("IPR1", "Kringle", [(10, 12)])]


def spans(*pairs):
    return ", ".join(f"{SPAN_OPEN}({start},{end}){SPAN_CLOSE}" for start, end in pairs)


def test_referring(tmp_path):
    rows, _, summary = run(tmp_path, [protein(classes=TWO)], task="referring_desc")
    assert summary.accepted == len(rows) == 3
    assert [row["position_ref"] for row in rows] == [[3, 8], [10, 13], [20, 25]]
    assert [row["answer"] for row in rows] == ["About Zinc finger.", "About Kringle.", "About Zinc finger."]
    assert rows[0]["classes"] == ["Zinc finger"] and rows[0]["class_ids"] == ["IPR2"]
    assert rows[0]["position_grd"] is None
    question = rows[0]["conversation"][-1]["content"]
    assert question.count(PROTEIN) == question.count(FRAGMENT) == 1
    rows, _, _ = run(tmp_path, [protein(classes=TWO)], task="referring_class")
    assert [row["answer"] for row in rows] == ["Zinc finger", "Kringle", "Zinc finger"]


def test_fragment_without_description(tmp_path):
    record = protein(classes=TWO)
    record["fragments"][0]["description"] = "  "
    rows, rejects, summary = run(tmp_path, [record], task="referring_desc")
    assert reasons(rejects) == ["no_description"] * 2 and summary.accepted == len(rows) == 1


def test_grounding_single(tmp_path):
    rows, _, summary = run(tmp_path, [protein(classes=TWO)], task="grounding_single")
    assert summary.accepted == 3 and len(rows) == 2
    assert [row["position_grd"] for row in rows] == [[[[3, 8], [20, 25]]], [[[10, 13]]]]
    assert [row["answer"] for row in rows] == [spans((3, 8), (20, 25)), spans((10, 13))]
    assert [row["classes"] for row in rows] == [["Zinc finger"], ["Kringle"]]
    assert all(row["classes"][0] in row["conversation"][-1]["content"] for row in rows)


def test_grounding_group(tmp_path):
    rows, _, summary = run(tmp_path, [protein(classes=TWO)], task="grounding_group")
    (row,) = rows
    assert summary.accepted == 3
    assert row["classes"] == ["Zinc finger", "Kringle"] and row["class_ids"] == ["IPR2", "IPR1"]
    assert row["position_grd"] == [[[3, 8], [20, 25]], [[10, 13]]]
    assert row["answer"] == f"Zinc finger: {spans((3, 8), (20, 25))}\nKringle: {spans((10, 13))}"


def test_long_protein_becomes_windows_that_show_every_fragment(tmp_path):
    """Two fragments that no window of 1021 residues shows together, and one longer than a window."""
    sequence = (SEQUENCE * 120)[:3600]
    classes = [("IPR1", "Kringle", [(100, 150), (3000, 3100)]), ("IPR2", "Long", [(900, 2500)])]
    record = protein(sequence=sequence, classes=classes)
    for task, count in (("grounding_group", 1), ("grounding_single", 2), ("referring_class", 3)):
        rows, rejects, summary = run(tmp_path, [record], task=task)
        assert rejects == [] and summary.accepted == 3 and summary.records == len(rows) >= count
        assert len({row["record_id"] for row in rows}) == len(rows)
        shown = set()
        for row in rows:
            assert row["full_length"] == 3600
            assert row["sequence"] == sequence[row["start"] : row["start"] + 1021]
            groups = row["position_grd"] or [[row["position_ref"]]]
            cut = False
            for name, group in zip(row["classes"], groups, strict=True):
                for start, end in group:
                    assert 0 <= start < end <= 1021
                    shown.add((name, start + row["start"], end + row["start"]))
                    cut |= name == "Long" and end - start < 1601
            assert ("fragment_cut" in row["flags"]) >= cut
        assert {("Kringle", 100, 151), ("Kringle", 3000, 3101)} <= shown
        assert any(name == "Long" and end - start == 1021 for name, start, end in shown)


def test_window_lists_every_span_that_it_shows(tmp_path):
    sequence = (SEQUENCE * 120)[:3600]
    places = [(start, start + 20) for start in range(0, 3570, 97)]
    rows, _, _ = run(
        tmp_path, [protein(sequence=sequence, classes=[("IPR1", "K", places)])], task="grounding_single"
    )
    for row in rows:
        low, high = row["start"], row["start"] + 1021
        expected = [
            [max(start, low) - low, min(end + 1, high) - low]
            for start, end in places
            if start < high and end >= low
        ]
        assert row["position_grd"] == [expected]
    assert len(rows) >= 4


def test_parts_at_a_window_s_edge_are_ignored(tmp_path):
    """Two windows: the long class is whole in one of them and shows a few residues in the other."""
    sequence = (SEQUENCE * 60)[:1500]
    classes = [
        ("IPR1", "Near", [(0, 99)]),
        ("IPR2", "Far", [(1400, 1499)]),
        ("IPR3", "Edge", [(470, 489), (1010, 1070)]),
    ]
    record = protein(sequence=sequence, classes=classes)
    rows, _, summary = run(tmp_path, [record], min_visible_fraction=0.5)
    assert summary.accepted == 4
    by_start = {row["start"]: row for row in rows}
    assert set(by_start) == {0, 479}
    first, last = by_start[0], by_start[479]
    assert first["classes"] == ["Near", "Edge"] and first["position_grd"] == [[[0, 100]], [[470, 490]]]
    assert first["position_ignored"] == [{"class_name": "Edge", "start": 1010, "end": 1021}]
    assert (
        "Edge" in last["classes"] and last["position_ignored"] is None
    )  # 11 of 20 residues are more than half
    assert last["position_grd"][last["classes"].index("Edge")] == [[0, 11], [531, 592]]
    assert "(1010,1021)" not in first["answer"] and "fragment_cut" not in first["flags"]
    all_shown, _, _ = run(tmp_path, [record], min_visible_fraction=0.0)
    (first,) = (row for row in all_shown if row["start"] == 0)
    assert [1010, 1021] in first["position_grd"][1] and first["position_ignored"] is None
    with_more, _, _ = run(tmp_path, [record], min_visible_fraction=0.6)
    (last,) = (row for row in with_more if row["start"] == 479)
    assert last["position_ignored"] == [{"class_name": "Edge", "start": 0, "end": 11}]


def test_records_do_not_depend_on_their_order(tmp_path):
    sequence = (SEQUENCE * 60)[:1500]
    records = [protein(f"P{n}", sequence=sequence, classes=TWO) for n in range(8)]
    forward, _, _ = run(tmp_path, records, split="train")
    backward, _, _ = run(tmp_path, records[::-1], split="train")
    assert forward == backward[::-1]


def test_training_varies_the_question_and_evaluation_does_not(tmp_path):
    records = [protein(f"P{n}") for n in range(40)]
    for split, count in (("train", prompts.template_count("grounding_group")), ("valid", 1), ("test", 1)):
        rows, _, _ = run(tmp_path, records, split=split)
        assert len({row["conversation"][-1]["content"] for row in rows}) == count
    again, _, _ = run(tmp_path, records, split="train", seed=2)
    first, _, _ = run(tmp_path, records, split="train")
    assert again != first and [row["record_id"] for row in again] == [row["record_id"] for row in first]


def test_text_of_the_file_never_becomes_a_marker(tmp_path):
    record = protein(classes=[("IPR1", f"Kringle {FRAGMENT}", [(3, 7)])])
    for task in ("referring_desc", "referring_class", "grounding_single", "grounding_group"):
        rows, _, _ = run(tmp_path, [record], task=task)
        texts = [rows[0]["answer"], *(turn["content"] for turn in rows[0]["conversation"])]
        expected = 1 if task.startswith("referring") else 0
        assert sum(text.count(FRAGMENT) for text in texts) == expected


def test_function_needs_a_text_and_nothing_else(tmp_path):
    rows, rejects, _ = run(tmp_path, [protein(function="Binds  DNA.\nWell."), protein("P2")], task="function")
    assert [row["answer"] for row in rows] == ["Binds DNA. Well."]
    assert reasons(rejects) == ["no_function"]
