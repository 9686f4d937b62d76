"use strict";

// Read values out of a chart under the pointer.
for (const svg of document.querySelectorAll("svg.curve")) {
  const points = svg.dataset.points.split(" ").map((text) => {
    const [step, place, value] = text.split(":");
    const [x, y] = place.split(",").map(Number);
    return { step, x, y, value };
  });
  const readout = svg.closest("figure").querySelector("output");
  const probe = svg.querySelector(".probe");
  const last = readout.textContent;
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * svg.viewBox.baseVal.width;
    const near = points.reduce((a, b) => (Math.abs(b.x - x) < Math.abs(a.x - x) ? b : a));
    probe.setAttribute("cx", near.x);
    probe.setAttribute("cy", near.y);
    probe.removeAttribute("hidden");
    readout.textContent = `${near.value} at step ${near.step}`;
  });
  svg.addEventListener("pointerleave", () => {
    probe.setAttribute("hidden", "");
    readout.textContent = last;
  });
}

// On paper every judgment is open.
addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details")) details.open = true;
});
