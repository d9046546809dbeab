// Keeps the page up to date: asks for it again when the server says that there is news, and swaps
// the parts that changed. What the server renders is the page; this only saves the reader reloads.
import { enliven } from "./chart.js";

const PART = "[data-part]";
// What a link changes of the page; all else stays as it is, so that the answer is small and soon here.
const CHANGES = { slot: ["slot"], figure: ["chart-head"], span: ["chart-head"] };
const PAUSE = 250;
let asked = 0;
// Parts whose answers were overtaken by a later click: its answer brings them, too.
let owed = new Set();

async function refresh(address = location.href, changed = null) {
  const turn = ++asked;
  changed?.forEach((part) => owed.add(part));
  const parts = changed && [...owed];
  const headers = { Accept: "text/html", ...(parts && { "X-Parts": parts.join(" ") }) };
  const response = await fetch(address, { headers }).catch(() => null);
  const text = await response?.text();
  // A click overtakes news that were on their way.
  if (text === undefined || turn !== asked) return;
  owed.clear();
  swap(new DOMParser().parseFromString(text, "text/html"), parts);
}

function swap(fresh, parts) {
  document.title = fresh.title;
  for (const part of document.querySelectorAll(PART)) {
    if ((parts && !parts.includes(part.id)) || "held" in part.dataset) continue;
    const next = fresh.getElementById(part.id);
    if (next && next.innerHTML !== part.dataset.html) replace(part, next);
  }
  for (const section of document.querySelectorAll("section[aria-labelledby]")) {
    const next = fresh.querySelector(`section[aria-labelledby="${section.getAttribute("aria-labelledby")}"]`);
    if (next) section.hidden = next.hidden;
  }
  load();
}

// What the reader opened or ticked, pieces that were loaded, and the focus outlive the swap.
function replace(part, next) {
  part.dataset.html = next.innerHTML;
  const open = new Map([...part.querySelectorAll("details[id]")].map((d) => [d.id, d.open]));
  const ticked = [...part.querySelectorAll("input:checked")].map((input) => input.id);
  const scrolled = [...part.querySelectorAll(".scroll")].map((box) => box.scrollLeft);
  const pieces = [...part.querySelectorAll("[data-loaded]")];
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
  for (const piece of pieces) {
    const blank = part.querySelector(`[data-load="${CSS.escape(piece.dataset.load)}"]`);
    if (!blank) continue;
    blank.dataset.loaded = piece.dataset.loaded;
    blank.replaceChildren(...piece.childNodes);
  }
  if (held) part.querySelector(held)?.focus({ preventScroll: true });
}

// Pieces that the page asks for when they are on it.
async function load() {
  for (const box of document.querySelectorAll("[data-load]")) {
    const wanted = `${box.dataset.load} ${box.dataset.version}`;
    if (box.dataset.loaded === wanted) continue;
    box.dataset.loaded = wanted;
    const answer = await fetch(box.dataset.load).catch(() => null);
    if (answer?.ok) box.innerHTML = await answer.text();
    else delete box.dataset.loaded; // tried again with the next news
  }
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
  const target = new URL(link.href);
  const closed = "close" in link.dataset ? document.querySelector(".slot[aria-current]") : null;
  await visit(link.dataset.swap, target.searchParams.get(link.dataset.swap), target.hash);
  closed?.focus({ preventScroll: true });
});

async function visit(what, value, hash) {
  const address = new URL(location.href);
  if (value === null) address.searchParams.delete(what);
  else address.searchParams.set(what, value);
  address.hash = hash;
  history.pushState(null, "", address);
  if (what === "slot") choose(value);
  await refresh(address, CHANGES[what]);
  if (value && what === "slot") document.getElementById("slot").scrollIntoView({ block: "nearest" });
}

// What the server says with the whole page, said at once.
function choose(key) {
  for (const slot of document.querySelectorAll("a.slot")) {
    const chosen = slot.dataset.slot === key;
    chosen ? slot.setAttribute("aria-current", "true") : slot.removeAttribute("aria-current");
  }
  for (const body of document.querySelectorAll(".node .body")) {
    body.toggleAttribute("data-chosen", body.querySelector("[aria-current]") !== null);
  }
}

addEventListener("popstate", () => {
  choose(new URL(location.href).searchParams.get("slot"));
  refresh();
});

addEventListener("keydown", (event) => {
  const node = document.activeElement?.closest?.("a.slot");
  if (event.key === "Escape") document.querySelector("[data-close]")?.click();
  if (!node || !["ArrowLeft", "ArrowRight"].includes(event.key)) return;
  const nodes = [...document.querySelectorAll("a.slot")];
  const next = nodes[nodes.indexOf(node) + (event.key === "ArrowRight" ? 1 : -1)];
  if (next) next.focus();
  event.preventDefault();
});

// News come while the page can be seen: over the one stream that all pages of the browser share, or
// over its own where the browser knows no shared workers.
function listen() {
  const pulse = document.getElementById("pulse");
  const { run } = document.body.dataset;
  let begun = false;
  const hear = (news) => {
    pulse.hidden = news === null;
    // A page is as new as the stream that it joins; what names runs is news at once.
    if (news && (begun || news.runs) && (!run || !news.runs || news.runs.includes(run))) catchUp();
    begun ||= news !== null;
  };
  const follow = window.SharedWorker ? shared(hear) : alone(hear);
  let visible = null;
  const look = () => {
    if (visible === !document.hidden) return;
    visible = !document.hidden;
    follow(visible);
    if (visible && begun) catchUp();
  };
  document.addEventListener("visibilitychange", look);
  addEventListener("pagehide", () => follow((visible = false)));
  addEventListener("pageshow", look);
  look();
}

function shared(hear) {
  const { port } = new SharedWorker("/assets/news.js");
  port.onmessage = ({ data }) => hear(data);
  return (visible) => port.postMessage(visible);
}

function alone(hear) {
  let stream = null;
  return (visible) => {
    stream?.close();
    stream = visible ? new EventSource("/live") : null;
    if (stream) stream.onmessage = (message) => hear(JSON.parse(message.data));
    if (stream) stream.onerror = () => hear(null);
  };
}

// One request at a time, and a pause behind it: a page that is slow to make is asked for less often.
let busy = false;
let again = false;
async function catchUp() {
  again = true;
  if (busy) return;
  busy = true;
  while (again) {
    again = false;
    await refresh();
    await new Promise((done) => setTimeout(done, PAUSE));
  }
  busy = false;
}

document.querySelectorAll(PART).forEach((part) => (part.dataset.html = part.innerHTML));
load();
enliven((span) => visit("span", span, ""));
if ("live" in document.body.dataset) listen();
