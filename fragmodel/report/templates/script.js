"use strict";
(() => {
  const form = document.getElementById("filters");
  const box = document.getElementById("cards");
  const cards = [...box.children];
  const count = form.querySelector(".count");
  const more = document.getElementById("more");
  const STEP = 8;
  let limit = STEP;

  function apply() {
    const { task, family, data, system, order } = Object.fromEntries(new FormData(form));
    const sign = order === "best" ? -1 : 1;
    const key = (card) => sign * card.dataset.place;
    cards.sort((a, b) => key(a) - key(b)).forEach((card) => box.append(card));
    let found = 0;
    for (const card of cards) {
      const answers = [...card.querySelectorAll(".answer")];
      for (const answer of answers) answer.hidden = Boolean(system) && answer.dataset.system !== system;
      // A system that did not answer this record has nothing to show.
      const fits =
        (!task || card.dataset.task === task) &&
        (!family || card.dataset.family === family) &&
        (!data || card.dataset.data === data) &&
        answers.some((answer) => !answer.hidden);
      found += fits;
      card.hidden = !fits || found > limit;
    }
    const left = Math.max(0, found - limit);
    more.hidden = left === 0;
    more.textContent = `Show ${left} more`;
    count.textContent = `${found - left} of ${found} examples`;
  }

  form.addEventListener("change", () => {
    limit = STEP;
    apply();
  });
  more.addEventListener("click", () => {
    const next = box.querySelectorAll("article:not([hidden])").length;
    limit = Infinity;
    apply();
    // The button is gone: the keyboard goes on at the first new card.
    cards.filter((card) => !card.hidden)[next].focus();
  });
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
