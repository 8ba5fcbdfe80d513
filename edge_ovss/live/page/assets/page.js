// The page: asks for frames one at a time, draws them, and shows what the board says about them.

import { Picture } from "./picture.js";
import { Plot } from "./plot.js";
import { Legend } from "./legend.js";
import { Link } from "./link.js";
import { saveSnapshot } from "./snapshot.js";
import { Words } from "./words.js";

const by = (id) => document.getElementById(id);
const PAUSED = "Paused here; the board goes on.";
const ENDED = "The run has ended. The page goes on when the next one starts.";
const OLD = "This browser cannot show the frame; the page needs one of 2023 or later.";
const NO_THRESHOLDS = "This bundle has no thresholds for unknown; export it with --unknown to have them.";

const picture = new Picture(by("image"), by("colors"), by("view"), by("tip"));
const legend = new Legend(by("legend"), by("all"), (hidden) => picture.hide(hidden));
const plot = new Plot(by("plot"), by("plot-tip"));
const words = new Words(by);
let info = null;
let classes = null; // the newest that the board told: its frames come after
let last = null; // the facts of the frame that is seen
let source = 0;
let paused = false;
let ended = false;

const link = new Link({
  hello: (state) => {
    if (info && info.run !== state.run) {
      location.reload(); // another run, perhaps of another version
      return;
    }
    info = state;
    classes = state;
    ended = false;
    introduce();
  },
  notice: (notice) => {
    if (notice.kind === "settings") {
      info.settings = notice.settings;
      showThreshold(notice.settings.unknown);
    }
    if (notice.kind === "classes") classes = notice;
    if (notice.kind === "words") showWords(notice);
    if (notice.kind === "warning") warn(notice.warning);
    if (notice.kind === "end") {
      ended = true;
      status("lost", "Ended", ENDED);
    }
  },
  frame: async (facts, image, labels) => {
    plot.add(facts.moment);
    if (facts.source === source) numbers(facts);
    if (paused || !image || facts.source !== source || !follow(facts.classes)) return;
    await picture.show(facts, image, labels);
    if (paused) return;
    last = facts;
    by("waiting").hidden = true;
    by("snapshot").disabled = false;
    legend.show(facts.shares, facts.unknown);
    document.body.dataset.number = facts.number;
    status("live", "Live", "");
  },
  wants: () => `${paused || document.hidden ? "facts" : "frame"} ${source}`,
  failed: (error) => status("lost", "Failed", `${OLD} (${error.message})`),
  lost: (reason) => (ended ? status("lost", "Ended", ENDED) : status("lost", "Reconnecting", reason)),
});

// What labels stand for changes with the first frame of other words. Returns whether the frame is
// of these: one that was on its way with the words before is left out.
function follow(number) {
  if (number === info.classes) return true;
  if (number !== classes.classes) {
    if (number > classes.classes) link.restart(); // the notice got lost
    return false;
  }
  const { names, colors } = classes;
  info = { ...info, classes: number, names, colors };
  picture.introduce(info);
  legend.introduce(info);
  return true;
}

function showWords(state) {
  if (state.words) {
    info = { ...info, words: state.words, details: state.details, unknown: state.unknown };
    by("details").textContent = Object.values(info.details).join(" · ");
    if (info.unknown && asked === null && !asking) showThreshold(info.settings.unknown);
  }
  words.show(state.words);
}

function introduce() {
  by("bundle").textContent = info.bundle;
  document.title = `${info.bundle}: edge-ovss live`;
  by("details").textContent = Object.values(info.details).join(" · ");
  if (!opacityChosen) by("alpha").value = info.alpha;
  opacity();
  picture.introduce(info);
  legend.introduce(info);
  plot.restart(info.history);
  by("warnings").replaceChildren();
  for (const one of info.warnings) warn(one);
  if (!info.warnings.length) by("warnings").append(item("li", "dim", "None so far"));
  introduceSources();
  introduceThreshold();
  showWords(info);
  if (paused) status("paused", "Paused", PAUSED);
  else if (!last) status("wait", "Waiting", "");
}

function status(kind, text, remark) {
  const pill = by("status");
  if (pill.dataset.kind !== kind || pill.textContent !== text) {
    pill.dataset.kind = kind;
    pill.textContent = text;
  }
  by("remark").textContent = remark || (info && !info.unknown ? NO_THRESHOLDS : "");
}

function short(value) {
  return value < 99.95 ? value.toFixed(1) : value.toFixed(0);
}

function numbers(facts) {
  const rate = plot.rate();
  by("rate").textContent = rate === null ? "–" : short(rate);
  by("latency").textContent = short(facts.moment[3]);
  by("age").textContent = short(facts.moment[4]);
  by("dropped").textContent = facts.dropped;
}

function item(tag, kind, text) {
  const element = document.createElement(tag);
  element.className = kind;
  element.textContent = text;
  return element;
}

function warn(one) {
  const list = by("warnings");
  for (const old of [...list.children]) {
    if (old.dataset.text === one.text || old.className === "dim") old.remove();
  }
  const row = item("li", "", "");
  row.dataset.text = one.text;
  row.append(item("time", "", new Date(1000 * one.at).toLocaleTimeString()), one.text);
  if (one.count > 1) row.append(item("b", "", `× ${one.count}`));
  list.prepend(row);
  while (list.children.length > 50) list.lastChild.remove();
}

function introduceSources() {
  const row = by("sources");
  row.hidden = info.sources.length < 2;
  row.replaceChildren();
  info.sources.forEach((label, place) => {
    const chip = item("button", "chip", label);
    chip.type = "button";
    chip.setAttribute("aria-pressed", place === source);
    chip.addEventListener("click", () => choose(place));
    row.append(chip);
  });
}

// The camera is this browser's own choice.
function choose(place) {
  source = place;
  plot.choose(place);
  [...by("sources").children].forEach((chip, at) => chip.setAttribute("aria-pressed", at === place));
  if (paused) pause();
  link.askAgain();
}

// Pause stops the image in this browser only.
function pause() {
  paused = !paused;
  by("pause").textContent = paused ? "Resume" : "Pause";
  by("pause").setAttribute("aria-pressed", paused);
  if (paused) status("paused", "Paused", PAUSED);
  else status(last ? "live" : "wait", last ? "Live" : "Waiting", "");
  link.askAgain();
}
by("pause").addEventListener("click", pause);
by("snapshot").addEventListener("click", () => saveSnapshot(picture, legend, info, last));

document.addEventListener("visibilitychange", () => link.askAgain());

addEventListener("keydown", (event) => {
  if (event.target.matches("input, button, textarea") || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === " ") {
    event.preventDefault();
    pause();
  }
  if (event.key === "s" && last) saveSnapshot(picture, legend, info, last);
});

// Opacity is this browser's own; the run says what it starts with.
let opacityChosen = false;
function opacity() {
  picture.alpha = Number(by("alpha").value);
  by("alpha-value").textContent = `${Math.round(100 * picture.alpha)} %`;
}
by("alpha").addEventListener("input", () => {
  opacityChosen = true;
  opacity();
});

// The threshold is the run's: everybody sees it change.
function introduceThreshold() {
  const dial = by("unknown");
  dial.disabled = !info.unknown;
  if (!info.unknown) {
    status(by("status").dataset.kind, by("status").textContent, "");
    return;
  }
  const { low, high } = info.unknown;
  dial.min = low;
  dial.max = high;
  dial.step = (high - low) / 200;
  showThreshold(info.settings.unknown);
}

function showThreshold(value) {
  const shown = value ?? info.unknown.start;
  if (document.activeElement !== by("unknown")) by("unknown").value = shown ?? info.unknown.low;
  by("unknown-value").textContent = shown === null ? "by class" : readable(shown);
}

function readable(value) {
  return value <= info.unknown.low ? "off" : value.toFixed(3).replace(/0$/, "");
}

let asked = null;
let asking = false;
async function ask() {
  if (asking || asked === null) return;
  asking = true;
  while (asked !== null) {
    const unknown = asked;
    asked = null;
    try {
      const reply = await fetch("/api/settings", {
        method: "PUT",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ unknown }),
      });
      if (!reply.ok) by("remark").textContent = (await reply.json()).error;
    } catch {
      by("remark").textContent = "The board did not take the threshold.";
    }
  }
  asking = false;
}
by("unknown").addEventListener("input", () => {
  asked = Number(by("unknown").value);
  by("unknown-value").textContent = readable(asked);
  ask();
});

link.open();
