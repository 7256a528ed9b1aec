"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });
const byId = (id) => document.getElementById(id);
const plural = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;
const element = (name, { text, ...attributes } = {}, ...children) => {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
};

// The before/after sliders: a range input over each pair of pictures moves the edge of the upper one.
for (const slider of document.querySelectorAll(".slider")) {
  const range = slider.querySelector("input");
  const follow = () => slider.style.setProperty("--split", `${range.value}%`);
  range.addEventListener("input", follow);
  follow(); // browsers restore inputs when a page is opened again
}

// Thousands of rows or cards, filtered by the controls, sorted, and made as far as one scrolls.
// items: all of them; accepts, name, compare: which, found by what, in which order; make: an item's element,
// put into `into`; #end, in the scrolled `root` or else the window, comes after them.
function listing({ items, noun, accepts, name, compare, make, into, root = null, chunk }) {
  let shown = [];
  let made = 0;
  const makeMore = () => {
    const next = shown.slice(made, made + chunk).map((item, i) => make(item, made + i));
    made += next.length;
    into.append(...next);
  };
  const observer = new IntersectionObserver((seen) => {
    if (!seen.some((one) => one.isIntersecting) || made >= shown.length) return;
    makeMore();
    watch();
  }, { root, rootMargin: "1500px" });
  const watch = () => {
    observer.unobserve(byId("end")); // so that it is looked at again if it is still in sight
    observer.observe(byId("end"));
  };
  const draw = () => {
    const words = byId("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
    const all = items();
    shown = all.filter((item) => accepts(item) && words.every((word) => name(item).toLowerCase().includes(word)));
    const order = compare();
    if (order) shown.sort(order);
    byId("count").textContent = `${shown.length} of ${plural(all.length, noun)}`;
    into.replaceChildren();
    if (root) root.scrollTop = 0;
    made = 0;
    makeMore();
    watch();
  };
  const controls = byId("controls");
  controls.hidden = false;
  controls.addEventListener("submit", (event) => event.preventDefault());
  byId("filter").addEventListener("input", draw);
  for (const select of controls.querySelectorAll("select")) select.addEventListener("change", draw);
  return {
    draw,
    get shown() { return shown; },
    makeUpTo(place) { while (made <= place && made < shown.length) makeMore(); },
  };
}
