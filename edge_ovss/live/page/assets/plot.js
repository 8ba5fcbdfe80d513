// Latency and age of the last minute. A moment is [source, count, seconds, latency, age].

import { place } from "./picture.js";

const SPAN = 60; // seconds
const RATE_SPAN = 5;
const LEFT = 38;
const BOTTOM = 18;
const TOP = 8;
const [SOURCE, COUNT, AT, LATENCY, AGE] = [0, 1, 2, 3, 4];

export class Plot {
  constructor(canvas, tip) {
    this.canvas = canvas;
    this.tip = tip;
    this.all = [];
    this.source = 0;
    this.due = false;
    this.pointer = null;
    new ResizeObserver(() => this.plan()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.plan());
    canvas.addEventListener("pointermove", (event) => this.point(event));
    canvas.addEventListener("pointerleave", () => this.point(null));
  }

  get moments() {
    return this.all.filter((moment) => moment[SOURCE] === this.source);
  }

  restart(moments) {
    this.all = moments.slice();
    this.plan();
  }

  choose(source) {
    this.source = source;
    this.plan();
  }

  add(moment) {
    const newest = this.all.findLast((one) => one[SOURCE] === moment[SOURCE]);
    if (newest && moment[COUNT] <= newest[COUNT]) return; // the same frame in another form
    this.all.push(moment);
    const first = this.all.findIndex((one) => one[AT] >= moment[AT] - SPAN - 1);
    if (first > 0) this.all.splice(0, first);
    this.plan();
  }

  // Frames per second, also of frames that were not sent here.
  rate() {
    const moments = this.moments;
    const newest = moments.at(-1);
    const oldest = moments.find((one) => newest && one[AT] >= newest[AT] - RATE_SPAN);
    if (!oldest || newest[AT] - oldest[AT] < 0.2) return null;
    return (newest[COUNT] - oldest[COUNT]) / (newest[AT] - oldest[AT]);
  }

  plan() {
    if (this.due) return;
    this.due = true;
    requestAnimationFrame(() => {
      this.due = false;
      this.draw();
    });
  }

  point(event) {
    this.pointer = event && { x: event.clientX, y: event.clientY };
    this.plan();
  }

  draw() {
    const ratio = devicePixelRatio || 1;
    const { clientWidth: width, clientHeight: height } = this.canvas;
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    const context = this.canvas.getContext("2d");
    context.scale(ratio, ratio);
    const style = getComputedStyle(this.canvas);
    const color = (name) => style.getPropertyValue(name).trim();
    const moments = this.moments;
    const newest = moments.at(-1)?.[AT] ?? 0;
    const top = rounded(Math.max(1, ...moments.map((one) => Math.max(one[LATENCY], one[AGE]))));
    const x = (at) => LEFT + (1 - (newest - at) / SPAN) * (width - LEFT - 2);
    const y = (value) => TOP + (1 - value / top) * (height - TOP - BOTTOM);
    this.grid(context, { width, height, top, x, y, newest, color, font: style.fontFamily });
    context.save();
    context.beginPath();
    context.rect(LEFT, 0, width - LEFT, height);
    context.clip();
    line(context, color("--two"), moments, AGE, x, y);
    line(context, color("--one"), moments, LATENCY, x, y);
    context.restore();
    this.name(moments, x, y, context, color);
  }

  grid(context, { width, height, top, x, y, newest, color, font }) {
    context.font = `11px ${font}`;
    context.lineWidth = 1;
    context.textBaseline = "middle";
    for (const value of [0, top / 2, top]) {
      context.strokeStyle = color("--line");
      context.beginPath();
      context.moveTo(LEFT, Math.round(y(value)) + 0.5);
      context.lineTo(width, Math.round(y(value)) + 0.5);
      context.stroke();
      context.fillStyle = color("--dim");
      context.textAlign = "right";
      context.fillText(String(value), LEFT - 7, y(value));
    }
    context.textBaseline = "alphabetic";
    for (const [ago, align] of [[60, "left"], [30, "center"], [0, "right"]]) {
      context.textAlign = align;
      context.fillText(ago ? `−${ago} s` : "now", x(newest - ago), height - 3);
    }
  }

  // Says the values at the pointer.
  name(moments, x, y, context, color) {
    this.tip.hidden = true;
    if (!this.pointer || !moments.length) return;
    const box = this.canvas.getBoundingClientRect();
    const want = this.pointer.x - box.left;
    const far = (one) => Math.abs(x(one[AT]) - want);
    const near = moments.reduce((a, b) => (far(b) < far(a) ? b : a));
    for (const [field, name] of [[LATENCY, "--one"], [AGE, "--two"]]) {
      context.fillStyle = color(name);
      context.beginPath();
      context.arc(x(near[AT]), y(near[field]), 3.2, 0, 2 * Math.PI);
      context.fill();
    }
    this.tip.textContent = `latency ${near[LATENCY].toFixed(1)} ms, age ${near[AGE].toFixed(1)} ms`;
    this.tip.hidden = false;
    place(this.tip, box, this.pointer);
  }
}

function line(context, color, moments, field, x, y) {
  context.strokeStyle = color;
  context.lineWidth = 1.6;
  context.lineJoin = "round";
  context.beginPath();
  for (const moment of moments) context.lineTo(x(moment[AT]), y(moment[field]));
  context.stroke();
}

// The next round number.
function rounded(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return power * [1, 1.5, 2, 3, 4, 5, 6, 8, 10].find((step) => step * power >= value);
}
