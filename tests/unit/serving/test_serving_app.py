"""The addresses of `fragmodel serve`: what is asked of them, what is refused, and what comes back."""

import json
import re
import threading
import time
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from stub_model import StubModel

from fragmodel.errors import UserError
from fragmodel.model.trained import SPEC_FILE, WEIGHTS_FILE
from fragmodel.prediction.run import make_task, predict
from fragmodel.serving import app as app_module
from fragmodel.serving import jobs as jobs_module
from fragmodel.serving.app import make_app
from fragmodel.serving.asked import Limits
from fragmodel.serving.jobs import Jobs
from fragmodel.serving.server import hosts

PAGE = Path(app_module.__file__).with_name("page")
LIMITS = Limits(residues=300, proteins=4)
LONG = "A" * 60 + "W" * 10 + "G" * 50
FASTA = f">short some words\nAAAWWAA\n>none\nMKVMKV\n>long\n{LONG}\n"
HOSTILE = "<script>alert(1)</script>"


class Slow(StubModel):
    """Answers when it may."""

    def __init__(self) -> None:
        super().__init__()
        self.may = threading.Event()
        self.began = threading.Event()

    def answer(self, questions, **options):
        self.began.set()
        assert self.may.wait(20)
        return super().answer(questions, **options)


def client_of(model: StubModel) -> TestClient:
    app = make_app(Jobs(model), {"name": "stub"}, LIMITS, hosts("127.0.0.1"))
    return TestClient(app, base_url="http://127.0.0.1:8765")


@pytest.fixture
def client() -> TestClient:
    return client_of(StubModel())


def asked(text: str = FASTA, task: str = "grounding_group", **more: object) -> dict[str, object]:
    return {"text": text, "task": task, **more}


def ended(client: TestClient, job: str) -> dict:
    for _ in range(400):
        state = client.get(f"/jobs/{job}").json()
        if state["state"] not in ("waiting", "working"):
            return state
        time.sleep(0.02)
    raise AssertionError(state)


def run(client: TestClient, **request: object) -> tuple[str, dict]:
    answer = client.post("/jobs", json=asked(**request))
    assert answer.status_code == 201, answer.text
    return answer.json()["id"], ended(client, answer.json()["id"])


def refused(client: TestClient, **request: object) -> str:
    answer = client.post("/jobs", json=asked(**request))
    assert answer.status_code == 400
    (message,) = answer.json().values()
    assert "\n" not in message
    return message


def test_the_page_needs_nothing_from_elsewhere_and_no_inline_code(client):
    answer = client.get("/")
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "unsafe" not in policy and "http" not in policy
    page = answer.text
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\bon\w+=|\bstyle=", page)
    named = re.findall(r'(?:src|href)="(/[^"]*)"', page)
    named += [
        f"/page/{name}"
        for path in PAGE.glob("*.js")
        for name in re.findall(r'from "\./([^"]+)"', path.read_text())
    ]
    assert {"/report.css", "/page/page.css", "/page/app.js"} <= set(named)
    assert [name for name in named if client.get(name).status_code != 200] == []
    foreign = {
        address
        for path in PAGE.iterdir()
        for address in re.findall(r"https?://[^\s\"'`)]+", path.read_text())
    }
    assert foreign == {"http://www.w3.org/2000/svg"}
    assert not any("innerHTML" in path.read_text() for path in PAGE.glob("*.js"))


@pytest.mark.parametrize("path", ["/", "/model", "/page/app.js", "/jobs/x", "/nothing"])
def test_other_hosts_and_sites_are_refused(client, path):
    assert client.get(path, headers={"Host": "evil.example:8765"}).status_code == 400
    for answer in (client.get(path), client.get(path, headers={"Host": "evil.example"})):
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
    for host in ("127.0.0.1:8765", "localhost:1", "LOCALHOST", "[::1]:8765"):
        assert client.get(path, headers={"Host": host, "Origin": "http://evil.example"}).status_code != 400
    allowed = client.options(
        path, headers={"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
    )
    assert not [name for name in allowed.headers if name.startswith("access-control")]


def test_a_form_of_another_site_cannot_ask(client):
    body = json.dumps(asked())
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        assert client.post("/jobs", content=body, headers={"Content-Type": kind}).status_code == 415


@pytest.mark.parametrize(
    ("request_", "part"),
    [
        ({"text": " \n\t"}, "nothing here"),
        ({"text": ">a\nMK1V"}, "record 1 'a': '1' at residue 3 of the sequence is no residue"),
        (
            {"text": "ACGTACGTACGTACGTACGTACGT"},
            "record 1 'protein': A, C, G, T, U and N alone are nucleotides",
        ),
        ({"text": ">a\nMKV\n>a\nMKV"}, "the name 'a' came before"),
        ({"text": ">\nMKV"}, "record 1 has no name"),
        ({"text": ">a\nMK-V"}, "is a gap"),
        ({"text": f">{HOSTILE}\nMK?V"}, f"record 1 '{HOSTILE}'"),
        ({"families": ["protein"]}, "family 'protein' is not known"),
        ({"task": "grounding_single", "names": [" "]}, "name the class to find"),
        ({"task": "grounding_single", "names": ["x"] * 21}, "names:"),
        ({"min_confidence": 1.5}, "min_confidence:"),
        ({"task": "referring_desc"}, "takes one protein, a start and an end"),
        ({"task": "referring_desc", "text": "MKV", "span": [2, 2]}, "3 to 2 holds no residue"),
        (
            {"task": "referring_desc", "text": "MKV", "span": [0, 4]},
            "ends at residue 4 of 'protein', which has 3",
        ),
        ({"task": "referring_desc", "text": "MKV", "span": ["/etc/passwd", 2]}, "span.0:"),
        ({"task": "hack"}, "task:"),
        ({"fragments": ["/etc/passwd"]}, "fragments:"),
    ],
)
def test_mistakes_are_told_in_one_line(client, request_, part):
    assert part in refused(client, **request_)


def test_what_is_no_json_is_told(client):
    for body in ("", "[", '{"text": 1}', "null"):
        answer = client.post("/jobs", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == 400 and answer.json()["error"]


def test_limits_are_told_and_the_last_within_them_serves(client):
    assert run(client, text="M" * 300)[1]["state"] == "done"
    assert "300 residues at 'protein'" in refused(client, text="M" * 301)
    four = "".join(f">{name}\nMKV\n" for name in "abcd")
    assert run(client, text=four)[1]["state"] == "done"
    assert "4 proteins" in refused(client, text=f"{four}>e\nMKV\n")
    too_long = client.post("/jobs", json=asked(text=">a " + "x" * LIMITS.bytes + "\nMKV"))
    assert too_long.status_code == 413


def test_places_are_drawn_to_scale(client):
    job, state = run(client, families=["domain"])
    assert state["questions"] == state["answered"] > len(state["proteins"])
    short, none, long = state["proteins"]
    (track,) = long["tracks"]
    assert (track["name"], track["family"], long["windows"]) == ("run of W; 100 %", "domain", 5)
    assert track["class_ids"] == [
        {"id": "IPR000001", "link": "https://www.ebi.ac.uk/interpro/entry/InterPro/IPR000001/"},
        {"id": "W", "link": None},
    ]
    (place,) = track["places"]
    assert (place["start"], place["end"], place["text"]) == (60, 70, "61–70")
    assert place["left"] == pytest.approx(100 * 60 / 120) and place["width"] == pytest.approx(
        100 * 10 / 120, abs=1e-3
    )
    assert long["ruler"][0][1] == 1 and long["ruler"][-1][1] == 120
    assert (short["id"], short["sequence"], none["tracks"], none["unread"]) == ("short", "AAAWWAA", [], 1)
    rest = client.get(f"/jobs/{job}?after=2").json()
    assert rest["proteins"] == [long]
    assert client.get(f"/jobs/{job}?after=-1").json()["proteins"] == state["proteins"]


@pytest.mark.parametrize("name", ["gff3", "bed", "tsv", "jsonl"])
@pytest.mark.parametrize(("task", "names"), [("grounding_group", []), ("grounding_single", ["run of W"])])
def test_a_download_is_what_predict_writes(client, tiny, tmp_path, name, task, names):
    folder, fasta, output = tmp_path / "model", tmp_path / "in.fasta", tmp_path / f"out.{name}"
    folder.mkdir()
    (folder / SPEC_FILE).write_text(tiny.spec().model_dump_json())
    (folder / WEIGHTS_FILE).write_bytes(b"weights")
    fasta.write_text(FASTA)
    predict(StubModel, folder, fasta, make_task(task, names, [], []), output)
    job, _ = run(client, task=task, names=names)
    answer = client.get(f"/jobs/{job}/results.{name}")
    assert answer.content == output.read_bytes()
    assert answer.headers["content-disposition"] == f'attachment; filename="fragmodel.{name}"'


def test_residues_and_whole_proteins_in_words(client):
    job, state = run(client, task="referring_class", text=f">long\n{LONG}", span=[58, 63], families=["motif"])
    ((answer,),) = [protein["answers"] for protein in state["proteins"]]
    assert (answer["text"], answer["place"], answer["shown"]) == (LONG[58:63], "59–63", "59–63")
    assert client.get(f"/jobs/{job}/results.tsv").text.splitlines()[1].startswith("long\t120\t\t59\t63\t")
    refusal = client.get(f"/jobs/{job}/results.gff3")
    assert refusal.status_code == 400 and "cannot hold the results" in refusal.json()["error"]
    _, state = run(client, task="function", text=LONG)
    assert state["proteins"][0]["answers"][0]["place"] == "1–120"


def test_hostile_names_come_back_as_data(client):
    job, state = run(client, text=f">{HOSTILE}\nAAWWA\n><|reserved_special_token_3|>\nAAWWA")
    assert [protein["id"] for protein in state["proteins"]] == [HOSTILE, "<|reserved_special_token_3|>"]
    assert [protein["link"] for protein in state["proteins"]] == [None, None]
    assert client.get(f"/jobs/{job}").headers["content-type"] == "application/json"
    file = client.get(f"/jobs/{job}/results.gff3")  # the browser must keep it, not show it
    assert file.headers["content-type"].startswith("text/x-gff3") and HOSTILE in file.text
    assert file.headers["content-disposition"].startswith("attachment")


def test_requests_wait_for_each_other_and_can_be_cancelled():
    model = Slow()
    client = client_of(model)
    first, second, third = (client.post("/jobs", json=asked()).json()["id"] for _ in range(3))
    assert model.began.wait(20)
    states = [client.get(f"/jobs/{job}").json() for job in (first, second, third)]
    assert [(state["state"], state["ahead"]) for state in states] == [
        ("working", 0),
        ("waiting", 1),
        ("waiting", 2),
    ]
    assert client.get(f"/jobs/{first}/results.tsv").status_code == 409
    for job in (first, second):
        assert client.delete(f"/jobs/{job}").status_code == 204
        assert client.get(f"/jobs/{job}").json()["state"] == "cancelled"
    # The first is still with the model, whose batch is not done.
    assert client.get(f"/jobs/{third}").json()["ahead"] == 1
    model.may.set()
    assert ended(client, third)["state"] == "done"
    assert client.get(f"/jobs/{first}").json()["proteins"] == []
    assert client.get(f"/jobs/{second}/results.tsv").status_code == 409


def test_the_queue_has_an_end_and_old_results_go(monkeypatch):
    monkeypatch.setattr(jobs_module, "MOST_WAITING", 2)
    monkeypatch.setattr(jobs_module, "MOST_KEPT", 4)
    model = Slow()
    client = client_of(model)
    first = client.post("/jobs", json=asked()).json()["id"]
    assert model.began.wait(20)
    for _ in range(2):
        assert client.post("/jobs", json=asked()).status_code == 201
    assert "2 requests are waiting" in refused(client)
    model.may.set()
    assert ended(client, first)["state"] == "done"
    for _ in range(4):
        run(client)
    gone = client.get(f"/jobs/{first}")
    assert gone.status_code == 404 and "ask again" in gone.json()["error"]


@pytest.mark.parametrize(
    ("error", "told"),
    [(UserError("out of memory: lower --batch-size"), "lower --batch-size"), (KeyError("x"), "the terminal")],
)
def test_a_failure_is_told_and_the_next_request_is_served(monkeypatch, caplog, error, told):
    model = StubModel()

    def fail(questions, **options):
        raise error

    monkeypatch.setattr(model, "answer", fail)
    client = client_of(model)
    _, state = run(client)
    assert state["state"] == "failed" and told in state["error"]
    assert ("KeyError" in caplog.text) == isinstance(error, KeyError)
    monkeypatch.undo()
    assert run(client)[1]["state"] == "done"
