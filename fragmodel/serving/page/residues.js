// The residues of a protein, in blocks of ten: selected by mouse, touch or keyboard.

import { make } from "./dom.js";

const TEN = 10;

// `changed(start, end)` is called with 0-based half-open residues whenever the selection changes.
export function residues(sequence, changed) {
  const blocks = [];
  for (let start = 0; start < sequence.length; start += TEN) {
    const letters = sequence.slice(start, start + TEN);
    const last = Math.min(start + TEN, sequence.length);
    blocks.push(make("span", { class: "ten", data: { last: letters.length === TEN ? last : "" } }, letters));
  }
  const box = make(
    "div",
    {
      class: "residues",
      tabindex: "0",
      role: "application",
      "aria-label": "Residues. Arrow keys move, Shift with them selects, Home and End go to the ends.",
    },
    blocks,
  );
  let anchor = null; // where the selection began
  let head = null; // the residue that moves
  let painted = [];

  function paint(start, end) {
    for (const block of painted) block.removeAttribute("style");
    painted = blocks.slice(Math.floor(start / TEN), Math.ceil(end / TEN));
    painted.forEach((block, i) => {
      const first = (Math.floor(start / TEN) + i) * TEN;
      const length = block.textContent.length;
      const percent = (residue) => `${(100 * Math.min(Math.max(residue - first, 0), length)) / length}%`;
      block.style.setProperty("--from", percent(start));
      block.style.setProperty("--to", percent(end));
    });
  }

  function select(start, end) {
    [anchor, head] = [start, end - 1];
    paint(start, end);
    changed(start, end);
  }

  function extend(to) {
    head = Math.min(Math.max(to, 0), sequence.length - 1);
    const [start, end] = [Math.min(anchor, head), Math.max(anchor, head) + 1];
    paint(start, end);
    changed(start, end);
  }

  const begin = (at) => {
    anchor = at;
    extend(at);
  };

  function at(event) {
    const block = document.elementFromPoint(event.clientX, event.clientY)?.closest(".ten");
    if (!block || !box.contains(block)) return null;
    const { left, width } = block.getBoundingClientRect();
    const within = Math.floor(((event.clientX - left) / width) * block.textContent.length);
    return blocks.indexOf(block) * TEN + Math.min(Math.max(within, 0), block.textContent.length - 1);
  }

  // A mouse draws over residues. A finger scrolls: it taps the first residue, then the last.
  box.addEventListener("pointerdown", (event) => {
    if (event.pointerType === "touch" || event.button !== 0) return;
    const residue = at(event);
    if (residue === null) return;
    event.preventDefault();
    box.focus({ preventScroll: true });
    if (event.shiftKey && anchor !== null) extend(residue);
    else begin(residue);
    box.setPointerCapture(event.pointerId);
  });
  box.addEventListener("pointermove", (event) => {
    if (!box.hasPointerCapture(event.pointerId)) return;
    const residue = at(event);
    if (residue !== null && residue !== head) extend(residue);
  });
  box.addEventListener("click", (event) => {
    if (event.pointerType !== "touch") return;
    const residue = at(event);
    if (residue === null) return;
    if (anchor !== null && anchor === head && residue !== anchor) extend(residue);
    else begin(residue);
  });
  box.addEventListener("keydown", (event) => {
    const line = Math.max(1, blocks.filter((block) => block.offsetTop === blocks[0].offsetTop).length) * TEN;
    const now = head ?? -1;
    const moves = {
      ArrowLeft: now - 1,
      ArrowRight: now + 1,
      ArrowUp: now - line,
      ArrowDown: now + line,
      Home: 0,
      End: sequence.length - 1,
    };
    if (!(event.key in moves) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const target = Math.min(Math.max(moves[event.key], 0), sequence.length - 1);
    if (event.shiftKey && anchor !== null) extend(target);
    else begin(target);
    const block = blocks[Math.floor(head / TEN)];
    const [top, bottom] = [block.offsetTop - box.offsetTop, block.offsetTop - box.offsetTop + block.offsetHeight];
    if (top < box.scrollTop) box.scrollTop = top;
    else if (bottom > box.scrollTop + box.clientHeight) box.scrollTop = bottom - box.clientHeight;
  });
  return { box, select };
}
