// What the pages do by themselves: keep up to date, follow keys, and remember light or dark.
"use strict";

// ---- Live pages: server-sent events ----
// An element with data-events is kept up to date. A hidden tab listens to nothing (browsers allow six connections).

const live = { source: null, address: "", retry: 0 };
const RETRY_MILLISECONDS_MAX = 10000;
const MORPH = { beforeAttributeUpdated: (name, node) => !(name === "open" && node.tagName === "DETAILS") }; // his choice

function listen() {
  const place = document.querySelector("#live[data-events]");
  const address = place && place.dataset.events;
  if (!address || document.hidden) return quiet();
  if (live.source && live.address === address && live.source.readyState !== EventSource.CLOSED) return;
  quiet();
  live.address = address;
  const source = (live.source = new EventSource(address));
  source.onopen = () => {
    live.retry = 0;
    tell("live", true);
  };
  source.onerror = () => {
    tell("reconnecting", false);
    if (source.readyState === EventSource.CLOSED) again(source); // the browser gave up, we do not
  };
  source.addEventListener("page", (event) => {
    const now = document.getElementById("live");
    if (!now || now.querySelector("form:focus-within input:not([type=hidden])")) return;
    Idiomorph.morph(now, event.data, { morphStyle: "innerHTML", ignoreActiveValue: true, callbacks: MORPH });
    htmx.process(now);
    mark();
  });
  source.addEventListener("series", (event) => Charts.add(JSON.parse(event.data)));
  source.addEventListener("gone", () => tell("gone", false));
}

function quiet() {
  if (live.source) live.source.close();
  live.source = null;
}

function again(source) {
  live.retry = Math.min(RETRY_MILLISECONDS_MAX, (live.retry || 500) * 2);
  setTimeout(() => live.source === source && ((live.source = null), listen()), live.retry);
}

function tell(text, good) {
  const state = document.getElementById("state");
  if (!state) return;
  state.hidden = false;
  if (state.textContent !== text) state.textContent = text;
  state.classList.toggle("good", good);
}

document.addEventListener("visibilitychange", listen);
document.addEventListener("htmx:afterSettle", listen);
window.addEventListener("pagehide", quiet);
window.addEventListener("pageshow", listen);

// ---- Keys ----

let went = false; // "g" was pressed just before
let row = -1;

function rows() {
  return [...document.querySelectorAll("table.rows tbody tr:not([data-part])")];
}

function mark() {
  rows().forEach((one, index) => one.classList.toggle("marked", index === row));
}

function move(step) {
  const all = rows();
  if (!all.length) return;
  row = Math.min(all.length - 1, Math.max(0, row + step));
  mark();
  all[row].scrollIntoView({ block: "nearest" });
}

function theme() {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  localStorage.setItem("encola-theme", root.dataset.theme);
  Charts.redraw();
}

const KEYS = {
  "/": () => document.querySelector("[data-search]")?.focus(),
  j: () => move(1),
  k: () => move(-1),
  t: theme,
  "?": () => document.getElementById("keys").showModal(),
  Enter: () => rows()[row]?.querySelector("a")?.click(),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input, textarea, select, button, a, dialog") && !(event.key === "Escape")) return;
  if (went) {
    went = false;
    document.querySelector(`[data-go="${CSS.escape(event.key)}"]`)?.click();
    return;
  }
  if (event.key === "g") {
    went = true;
    setTimeout(() => (went = false), 1000);
  } else if (event.key in KEYS && !(event.key === "Enter" && row < 0)) {
    event.preventDefault();
    KEYS[event.key]();
  }
});

// ---- Small things ----

document.addEventListener("click", (event) => {
  if (event.target.closest("#theme")) theme();
});

document.addEventListener("change", (event) => {
  const all = event.target.closest("[data-all]"); // one box that ticks all of a form
  if (all) all.form.querySelectorAll(`input[name="${all.dataset.all}"]`).forEach((box) => (box.checked = all.checked));
  if (event.target.closest("[data-submit]")) event.target.form.requestSubmit();
});

document.addEventListener("DOMContentLoaded", () => {
  Charts.draw();
  listen();
});
