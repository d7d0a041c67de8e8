// A request to the model: asked, followed while it waits and works, cancelled.

import { count, make } from "./dom.js";

const PAUSE = 300; // milliseconds between two looks at it

async function fetched(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Error("the server does not answer; is fragmodel serve still running?");
  }
  const json = response.headers.get("content-type")?.startsWith("application/json");
  const said = json ? await response.json() : {};
  if (response.ok) return said;
  if (response.status === 413) throw new Error("the text is too long; ask in parts, or run fragmodel predict");
  throw new Error(said.error ?? `the server answered ${response.status} ${response.statusText}`);
}

export const model = () => fetched("/model");

const position = (ahead) =>
  ahead === 0 ? "Next in the queue" : `Waiting for ${count(ahead, "request")} ahead of this one`;

function words({ state, ahead, answered, questions }) {
  if (state === "waiting") return position(ahead);
  return answered ? `${answered} of ${count(questions, "question")} answered` : `Asking ${count(questions, "question")}`;
}

// Shows progress with a button to cancel in `place`; hands each finished protein to `found`.
// Returns the job's id, or null where it was cancelled; throws what went wrong.
export async function ask(asked, place, found) {
  const bar = make("progress", { "aria-label": "Questions answered" });
  const said = make("span", { role: "status" }, "Sending");
  const cancel = make("button", { type: "button" }, "Cancel");
  place.replaceChildren(bar, said, cancel);
  place.hidden = false;
  let id = null;
  let cancelled = false;
  const leave = () => {
    cancelled = true;
    if (id) fetch(`/jobs/${id}`, { method: "DELETE", keepalive: true }).catch(() => {});
  };
  cancel.addEventListener("click", leave);
  addEventListener("pagehide", leave);
  try {
    const headers = { "Content-Type": "application/json" };
    ({ id } = await fetched("/jobs", { method: "POST", headers, body: JSON.stringify(asked) }));
    for (let seen = 0; ; ) {
      if (cancelled) {
        leave(); // the first time there may have been no id
        return null;
      }
      const now = await fetched(`/jobs/${id}?after=${seen}`);
      now.proteins.forEach((protein) => found(protein));
      seen += now.proteins.length;
      if (now.state === "done") return id;
      if (now.state === "cancelled") return null;
      if (now.state === "failed") throw new Error(now.error);
      said.textContent = words(now);
      if (now.answered) Object.assign(bar, { max: now.questions, value: now.answered });
      await new Promise((resolve) => setTimeout(resolve, PAUSE));
    }
  } finally {
    removeEventListener("pagehide", leave);
    place.hidden = true;
    place.replaceChildren();
  }
}
