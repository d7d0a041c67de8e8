"use strict";
(() => {
  const form = document.getElementById("filters");
  const box = document.getElementById("cards");
  const cards = [...box.children];
  const count = form.querySelector(".count");

  function apply() {
    const { task, data, system, order } = Object.fromEntries(new FormData(form));
    let shown = 0;
    for (const card of cards) {
      card.hidden = (task && card.dataset.task !== task) || (data && card.dataset.data !== data);
      const answers = [...card.querySelectorAll(".answer")];
      for (const answer of answers) answer.hidden = Boolean(system) && answer.dataset.system !== system;
      // A system that did not answer this record has nothing to show.
      if (answers.every((answer) => answer.hidden)) card.hidden = true;
      if (!card.hidden) shown += 1;
    }
    const sign = order === "best" ? -1 : 1;
    const key = (card) => sign * card.dataset.better * card.dataset.score;
    cards.sort((a, b) => key(a) - key(b)).forEach((card) => box.append(card));
    count.textContent = `${shown} of ${cards.length} examples`;
  }

  form.addEventListener("change", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = cards.length === 0;
  apply();

  // Closed details would be missing on paper.
  addEventListener("beforeprint", () => {
    for (const item of document.querySelectorAll("details")) item.open = true;
  });

  const links = new Map([...document.querySelectorAll(".toc a")].map((link) => [link.hash.slice(1), link]));
  const watch = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) {
        if (!entry.isIntersecting) continue;
        for (const link of links.values()) link.removeAttribute("aria-current");
        links.get(entry.target.id).setAttribute("aria-current", "true");
      }
    },
    { rootMargin: "-10% 0px -80% 0px" },
  );
  for (const id of links.keys()) {
    const target = document.getElementById(id);
    if (target) watch.observe(target);
  }
})();
