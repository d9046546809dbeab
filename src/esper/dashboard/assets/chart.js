// Brings the drawn charts to life: what the curves say under the pointer, and a stretch of them
// alone when somebody drags over it. What is drawn, and how, is the server's business.
const SVG = "http://www.w3.org/2000/svg";
const NARROWEST = 8;
const tip = document.createElement("div");
tip.className = "tip";
tip.hidden = true;
let drag = null;

export function enliven(choose) {
  document.body.append(tip);
  addEventListener("pointermove", (event) => {
    const svg = drag?.svg ?? event.target.closest?.(".curves > svg");
    tip.hidden = !svg;
    if (svg) point(svg, event);
    if (drag) stretch(event);
  });
  addEventListener("pointerdown", (event) => {
    const svg = event.target.closest?.(".curves[data-figure] > svg");
    if (!svg || event.pointerType === "touch" || event.button) return;
    event.preventDefault();
    drag = { svg, from: at(svg, event).x, band: add(svg, "rect", "brush") };
    svg.closest("[data-part]").toggleAttribute("data-held", true);
  });
  addEventListener("pointerup", (event) => {
    if (!drag) return;
    const { svg, from, band } = drag;
    const ends = [from, at(svg, event).x].sort((a, b) => a - b);
    drag = null;
    band.remove();
    svg.closest("[data-part]")?.removeAttribute("data-held");
    if (ends[1] - ends[0] >= NARROWEST) choose(ends.map((x) => step(svg, x)).join("-"));
  });
}

function at(svg, event) {
  const box = svg.getBoundingClientRect();
  const { left, width } = svg.dataset;
  const x = ((event.clientX - box.left) * svg.viewBox.baseVal.width) / box.width - left;
  return { x: Math.min(Math.max(x, 0), Number(width)), box };
}

function step(svg, x) {
  const { from, to, width } = svg.dataset;
  return Math.round(Number(from) + (x / width) * (to - from));
}

function add(svg, kind, name) {
  const made = document.createElementNS(SVG, kind);
  made.setAttribute("class", name);
  svg.append(made);
  return made;
}

function place(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
}

function stretch(event) {
  const { svg, from, band } = drag;
  const { x } = at(svg, event);
  const { left, top, height } = svg.dataset;
  place(band, { x: Number(left) + Math.min(x, from), y: top, width: Math.abs(x - from), height });
}

// The points of a line, read out of it once.
const read = new WeakMap();
function points(line) {
  if (!read.has(line)) read.set(line, { steps: line.dataset.steps.split(" ").map(Number), values: line.dataset.values.split("|") });
  return read.get(line);
}

function nearest(steps, wanted) {
  let [low, high] = [0, steps.length - 1];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (steps[middle] > wanted) high = middle;
    else low = middle;
  }
  return wanted - steps[low] < steps[high] - wanted ? low : high;
}

function point(svg, event) {
  const { x, box } = at(svg, event);
  const wanted = step(svg, x);
  const lines = [...svg.querySelectorAll("path[data-steps]")].filter((line) => line.dataset.steps);
  tip.hidden = !lines.length;
  if (!lines.length) return;
  tip.replaceChildren(
    ...lines.map((line) => {
      const { steps, values } = points(line);
      const found = nearest(steps, wanted);
      const row = document.createElement("div");
      row.textContent = `${line.dataset.name}: ${values[found]} at step ${steps[found].toLocaleString("en")}`;
      return row;
    }),
  );
  const hair = svg.querySelector(".hair") ?? add(svg, "line", "hair");
  const { left, top, height } = svg.dataset;
  const across = Number(left) + x;
  place(hair, { x1: across, x2: across, y1: top, y2: Number(top) + Number(height) });
  tip.style.left = `${Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8)}px`;
  tip.style.top = `${Math.max(box.top, event.clientY + 14)}px`;
}
