// The form, and the results of what was asked.

import { capital, count, make } from "./dom.js";
import { ask, model as describeModel } from "./job.js";
import { card } from "./protein.js";

const byId = (id) => document.getElementById(id);
const [form, text, file, fault, progress, results] = ["ask", "text", "file", "fault", "progress", "results"].map(byId);
const button = form.querySelector("button.main");
const FORMATS = { gff3: "GFF3", tsv: "TSV", bed: "BED", jsonl: "JSON Lines" };

function tell(message) {
  fault.textContent = message;
  fault.hidden = !message;
  text.setAttribute("aria-invalid", Boolean(message));
}

const task = () => form.elements.task.value;

function offer(model) {
  document.title = `${model.name} – fragmodel`;
  const sentences = [
    make("strong", {}, model.name),
    ` reads windows of up to ${count(model.window, "residue")}`,
    model.evidence ? " and what annotated relatives suggest about them. " : ". ",
    "What it says is a prediction, to be checked.",
  ];
  byId("about").replaceChildren(...sentences);
  byId("limits").textContent = `Up to ${count(model.limits.proteins, "protein")} and ${count(model.limits.residues, "residue")} at once.`;
  byId("families").append(
    ...model.families.map((name) => make("label", {}, make("input", { type: "checkbox", name: "family", value: name, checked: true }), capital(name))),
  );
  const classes = [...new Set(Object.values(model.classes).flat())].sort();
  byId("classes").append(...classes.map((name) => make("option", { value: name })));
  if (classes.length) byId("class").placeholder = classes[0];
  for (const choice of form.querySelectorAll(".choice")) choice.hidden = !model.tasks.includes(choice.dataset.task);
  form.querySelector(".choice:not([hidden]) input").checked = true;
  follow();
}

// Only what belongs to the chosen task can be filled in.
function follow() {
  for (const choice of form.querySelectorAll(".choice")) {
    for (const input of choice.querySelectorAll(".detail input")) input.disabled = choice.dataset.task !== task();
  }
  form.querySelector(".threshold").hidden = task() === "function";
}

function asked() {
  const grounding = task() !== "function";
  const least = byId("least").valueAsNumber;
  const families = [...form.querySelectorAll("[name=family]:checked")].map((box) => box.value);
  if (task() === "grounding_group" && !families.length) throw new Error("kinds: choose one kind of fragment at least");
  if (grounding && !(least >= 0 && least <= 1)) throw new Error("confidence: write a number from 0 to 1");
  return {
    text: text.value,
    task: task(),
    families: task() === "grounding_group" ? families : [],
    names: task() === "grounding_single" ? [byId("class").value] : [],
    min_confidence: grounding ? least : 0,
  };
}

function downloads(id, inWords) {
  const formats = Object.entries(FORMATS).filter(([name]) => !inWords || ["tsv", "jsonl"].includes(name));
  const links = formats.map(([name, word]) => make("a", { href: `/jobs/${id}/results.${name}`, download: `fragmodel.${name}`, class: "button" }, word));
  return make("p", { class: "downloads" }, "Download ", links);
}

async function submit(event, model) {
  event.preventDefault();
  tell("");
  try {
    const request = asked();
    const list = make("div", { class: "cards" });
    const head = make("div", { class: "results-head" }, make("h2", { tabindex: "-1" }, "Results"));
    button.disabled = true;
    results.replaceChildren();
    const id = await ask(request, progress, (protein) => {
      if (!list.isConnected) results.replaceChildren(head, list);
      list.append(card(protein, model, !list.children.length));
    });
    if (id === null) {
      tell("cancelled");
      return;
    }
    head.append(downloads(id, request.task === "function"));
    if (model.calibrated.includes(request.task)) head.append(make("p", { class: "note" }, "Confidences are calibrated: 0.8 means right in four cases of five."));
    else if (request.task !== "function") head.append(make("p", { class: "note" }, "Confidences are not calibrated: they rank, no more. The fuller a box, the surer the model."));
    head.querySelector("h2").focus({ preventScroll: true });
    head.scrollIntoView({ block: "start" });
  } catch (error) {
    tell(error.message);
  } finally {
    button.disabled = false;
  }
}

async function read(chosen, limits) {
  if (!chosen) return;
  if (chosen.size > limits.bytes) {
    tell(`${chosen.name}: the file is too long; ask in parts, or run fragmodel predict`);
    return;
  }
  try {
    const packed = chosen.name.endsWith(".gz");
    const stream = packed ? chosen.stream().pipeThrough(new DecompressionStream("gzip")) : chosen.stream();
    text.value = await new Response(stream).text();
    tell("");
  } catch {
    tell(`${chosen.name}: the file cannot be read`);
  }
}

const model = await describeModel().catch((error) => tell(error.message));
if (model) {
  offer(model);
  form.addEventListener("change", follow);
  form.addEventListener("submit", (event) => submit(event, model));
  file.addEventListener("change", () => read(file.files[0], model.limits).then(() => (file.value = "")));
  text.addEventListener("drop", (event) => {
    if (!event.dataTransfer.files.length) return;
    event.preventDefault();
    read(event.dataTransfer.files[0], model.limits);
  });
}
