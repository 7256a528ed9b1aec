"use strict";

// The dividers: a range input over each pair of pictures moves the edge of the upper one.
for (const stage of document.querySelectorAll(".stage")) {
  const range = stage.querySelector("input");
  const follow = () => stage.style.setProperty("--split", `${range.value}%`);
  range.addEventListener("input", follow);
  follow(); // browsers restore inputs when a page is opened again
}
