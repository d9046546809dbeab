// Keeps the page up to date: asks for it again when the server says that there is news, and swaps
// the parts that changed. What the server renders is the page; this only saves the reader reloads.
import { drawCharts } from "./charts.js";

const PART = "[data-part]";
let asked = 0;

async function refresh(address = location.href) {
  const turn = ++asked;
  const response = await fetch(address, { headers: { Accept: "text/html" } }).catch(() => null);
  if (!response || turn !== asked) return;
  const text = await response.text();
  if (turn !== asked) return;
  swap(new DOMParser().parseFromString(text, "text/html"));
}

function swap(fresh) {
  document.title = fresh.title;
  for (const part of document.querySelectorAll(PART)) {
    const next = fresh.getElementById(part.id);
    if (next && next.innerHTML !== part.dataset.html) replace(part, next);
  }
  for (const section of document.querySelectorAll("section[aria-labelledby]")) {
    const next = fresh.querySelector(`section[aria-labelledby="${section.getAttribute("aria-labelledby")}"]`);
    if (next) section.hidden = next.hidden;
  }
  drawCharts();
}

// The drawn charts, what the reader opened or ticked, and the focus outlive the swap.
function replace(part, next) {
  part.dataset.html = next.innerHTML;
  const open = new Map([...part.querySelectorAll("details[id]")].map((d) => [d.id, d.open]));
  const ticked = [...part.querySelectorAll("input:checked")].map((input) => input.id);
  const scrolled = [...part.querySelectorAll(".scroll")].map((box) => box.scrollLeft);
  const charts = new Map([...part.querySelectorAll("[data-chart], [data-health]")].map((c) => [c.id, c]));
  const held = part.contains(document.activeElement) ? handle(document.activeElement) : null;
  part.replaceChildren(...document.importNode(next, true).childNodes);
  for (const [id, was] of open) {
    const details = part.querySelector(`#${CSS.escape(id)}`);
    if (details) details.open = was;
  }
  for (const id of ticked) {
    const input = part.querySelector(`#${CSS.escape(id)}`);
    if (input) input.checked = true;
  }
  part.querySelectorAll(".scroll").forEach((box, index) => (box.scrollLeft = scrolled[index] ?? 0));
  for (const [id, drawn] of charts) {
    const blank = part.querySelector(`#${CSS.escape(id)}`);
    if (!blank) continue;
    for (const name of ["chart", "health", "version"]) {
      if (name in blank.dataset) drawn.dataset[name] = blank.dataset[name];
    }
    blank.replaceWith(drawn);
  }
  if (held) part.querySelector(held)?.focus({ preventScroll: true });
}

function handle(element) {
  if (element.id) return `#${CSS.escape(element.id)}`;
  if (element.dataset.slot) return `[data-slot="${CSS.escape(element.dataset.slot)}"]`;
  if (element.tagName === "SUMMARY") return `#${CSS.escape(element.parentElement.id)} > summary`;
  const address = element.getAttribute("href");
  return address ? `a[href="${CSS.escape(address)}"]` : null;
}

// Links that change a part of this page do so without loading all of it.
document.addEventListener("click", async (event) => {
  const link = event.target.closest("a[data-swap]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  await visit(link);
});

async function visit(link) {
  const opens = link.dataset.slot;
  history.pushState(null, "", link.href);
  await refresh(link.href);
  if (opens) document.getElementById("slot")?.scrollIntoView({ block: "nearest" });
  if ("close" in link.dataset) document.querySelector("a.slot")?.focus({ preventScroll: true });
}

addEventListener("popstate", () => refresh());

addEventListener("keydown", (event) => {
  const node = document.activeElement?.closest?.("a.slot");
  if (event.key === "Escape") document.querySelector("[data-close]")?.click();
  if (!node || !["ArrowLeft", "ArrowRight"].includes(event.key)) return;
  const nodes = [...document.querySelectorAll("a.slot")];
  const next = nodes[nodes.indexOf(node) + (event.key === "ArrowRight" ? 1 : -1)];
  if (next) next.focus();
  event.preventDefault();
});

function listen() {
  const pulse = document.getElementById("pulse");
  const news = new EventSource(document.body.dataset.live);
  let first = true;
  news.onmessage = () => {
    pulse.hidden = false;
    // The page is as new as the stream when it opens; later messages are news.
    if (!first) refresh();
    first = false;
  };
  news.onerror = () => {
    pulse.hidden = news.readyState !== EventSource.OPEN;
    first = false;
  };
  addEventListener("pagehide", () => news.close());
}

document.querySelectorAll(PART).forEach((part) => (part.dataset.html = part.innerHTML));
drawCharts();
listen();
