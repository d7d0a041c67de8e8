// A protein as a card: its places along it, its residues, and questions about those that are selected.

import { capital, count, draw, make, named, sureness } from "./dom.js";
import { ask } from "./job.js";
import { residues } from "./residues.js";

const at = (percent) => `${percent}%`;

function ruler(ticks) {
  const last = ticks.length - 1;
  const marks = ticks.map(([place, number], i) => [
    draw("line", { x1: at(place), x2: at(place), y1: 0, y2: 6 }),
    draw("text", { x: at(place), y: 20, class: i === 0 ? "first" : i === last ? "last" : null }, String(number)),
  ]);
  const label = `Residues 1 to ${ticks[last][1]}`;
  return draw("svg", { class: "ruler", height: 26, role: "img", "aria-label": label }, marks);
}

const identifiers = (ids) => ids.map(({ id, link }) => [" ", make("span", { class: "id" }, named(id, link))]);

function evidence(lines) {
  const items = lines.map((line) =>
    make("li", {}, named(line.id, line.link), ` ${line.how}: `, make("q", {}, line.says)),
  );
  return make("details", { class: "evidence" }, make("summary", {}, `Evidence of ${count(lines.length, "source")}`), make("ul", {}, items));
}

function track(item, choose) {
  const boxes = item.places.map((place) => {
    const sure = place.confidence === null ? null : `${Math.round(10 + 80 * place.confidence)}%`;
    const said = place.confidence === null ? "" : `, confidence ${sureness(place.confidence)}`;
    return draw(
      "rect",
      { x: at(place.left), y: 2, width: at(place.width), height: 10, rx: 2, class: "box", "--sure": sure, onclick: () => choose(place.start, place.end) },
      draw("title", {}, `${item.name} ${place.text}${said}`),
    );
  });
  const all = item.places.map((place) => place.text).join(", ");
  const places = item.places.map((place) =>
    make("li", {},
      make("button", { type: "button", class: "place", onclick: () => choose(place.start, place.end), title: "Select these residues" }, place.text),
      place.confidence === null ? null : make("span", { class: "sure" }, sureness(place.confidence)),
      place.evidence.length ? evidence(place.evidence) : null,
    ),
  );
  return make("div", { class: "track model" },
    make("h5", { class: "name" }, item.name, identifiers(item.class_ids)),
    draw("svg", { class: "tracks", height: 14, role: "img", "aria-label": `${item.name} ${all}` },
      draw("line", { x1: 0, x2: "100%", y1: 7, y2: 7, class: "protein" }), boxes),
    make("ul", { class: "places" }, places),
  );
}

function tracks(protein, choose) {
  const found = [];
  let family = null;
  for (const item of protein.tracks) {
    if (item.family !== family) found.push(make("h4", { class: "family" }, capital(item.family)));
    family = item.family;
    found.push(track(item, choose));
  }
  return found;
}

// What is said besides places, so that nothing goes unseen.
function notes(protein) {
  const said = protein.none.map((none) => {
    const what = none.class || `any ${none.family}`;
    return `No place of ${what}${none.confidence === null ? "" : ` (confidence ${sureness(none.confidence)})`}.`;
  });
  if (protein.unread) said.push(`${count(protein.unread, "answer")} could not be read.`);
  if (protein.left_out) said.push(`${count(protein.left_out, "place")} left out for little confidence.`);
  if (!protein.tracks.length && !said.length) said.push("Nothing was found.");
  return said.map((text) => make("p", { class: "note" }, text));
}

export function answer(said, heading) {
  const saw = said.shown === said.place ? null : make("p", { class: "note" }, `The model saw ${said.shown} of it.`);
  return make("article", { class: "answer" },
    make("h5", {}, heading),
    make("p", { class: "text" }, said.text || make("em", {}, "no text"), said.stopped ? null : " … (cut at the longest answer)", identifiers(said.class_ids)),
    said.confidence === null ? null : make("p", { class: "note" }, `Confidence ${sureness(said.confidence)}, ${said.calibrated ? "calibrated" : "not calibrated"}`),
    saw,
    said.evidence.length ? evidence(said.evidence) : null,
  );
}

// The form that asks about selected residues; its answers come below it.
function asking(protein, model, select) {
  const length = protein.sequence.length;
  const number = (label) => make("input", { type: "number", min: 1, max: length, step: 1, inputmode: "numeric", "aria-label": label });
  const [first, last] = [number("First residue"), number("Last residue")];
  const kind = make("select", { "aria-label": "Kind of fragment" }, model.families.map((name) => make("option", { value: name }, name)));
  const fault = make("p", { class: "fault", role: "alert", hidden: true });
  const progress = make("div", { class: "progress", hidden: true });
  const answers = make("div", { class: "answers" });
  const tasks = { referring_desc: "Describe", referring_class: "Classify" };
  const buttons = Object.entries(tasks)
    .filter(([task]) => model.tasks.includes(task))
    .map(([task, word]) => make("button", { type: "button", onclick: () => submit(task) }, word));

  const chosen = () => [first.valueAsNumber - 1, last.valueAsNumber];
  const show = (start, end) => Object.assign(first, { value: start + 1 }) && Object.assign(last, { value: end });
  for (const input of [first, last]) {
    input.addEventListener("input", () => {
      const [start, end] = chosen();
      if (0 <= start && start < end && end <= length) select(start, end);
    });
  }

  async function submit(task) {
    fault.hidden = true;
    const span = chosen();
    if (!span.every(Number.isInteger)) {
      fault.textContent = "residues: select some, or write the first and the last";
      fault.hidden = false;
      return;
    }
    buttons.forEach((button) => (button.disabled = true));
    const family = kind.value;
    const asked = { text: `>${protein.id}\n${protein.sequence}\n`, task, families: [family], span };
    const what = task === "referring_desc" ? "description" : "class";
    try {
      let last = null;
      const id = await ask(asked, progress, ({ answers: [said] }) => {
        last = answer(said, `${said.place} as a ${family}: ${what}`);
        answers.prepend(last);
      });
      if (id) last.append(make("p", { class: "note" }, make("a", { href: `/jobs/${id}/results.tsv`, download: "fragmodel.tsv" }, "Download TSV")));
    } catch (error) {
      fault.textContent = error.message;
      fault.hidden = false;
    } finally {
      buttons.forEach((button) => (button.disabled = false));
    }
  }

  const row = make("div", { class: "asking" }, make("span", { class: "residue-inputs" }, "Residues ", first, " to ", last), make("label", {}, "as a ", kind), buttons);
  return { parts: buttons.length ? [row, fault, progress, answers] : [], show };
}

// `open`: whether the residues are unfolded at once.
export function card(protein, model, open) {
  const length = protein.sequence.length;
  const band = make("div", { class: "band", hidden: true });
  const letters = residues(protein.sequence, (start, end) => {
    band.hidden = false;
    band.style.setProperty("--left", at((100 * start) / length));
    band.style.setProperty("--width", at((100 * (end - start)) / length));
    form.show(start, end);
  });
  const form = asking(protein, model, letters.select);
  const choose = (start, end) => {
    letters.select(start, end);
    below.open = true;
  };
  const windows = protein.windows > 1 ? `, read in ${protein.windows} windows` : "";
  const below = make("details", { class: "selecting", open },
    make("summary", {}, "Residues, and questions about them"), letters.box, form.parts);
  return make("article", { class: "card protein", "aria-label": protein.id },
    make("header", {}, make("h3", {}, make("span", { class: "uid" }, named(protein.id, protein.link))),
      make("p", { class: "meta" }, `${count(length, "residue")}${windows}`)),
    make("div", { class: "drawing" }, ruler(protein.ruler), protein.tracks ? tracks(protein, choose) : null, band),
    protein.tracks ? notes(protein) : protein.answers.map((said) => answer(said, "Function")),
    below,
  );
}
