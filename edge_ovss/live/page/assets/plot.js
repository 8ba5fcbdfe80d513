// Latency and age of the last minute.

import { place } from "./picture.js";

const SPAN = 60; // seconds
const RATE_SPAN = 5;
const LEFT = 38;
const BOTTOM = 18;
const TOP = 8;

export class Plot {
  constructor(canvas, tip) {
    this.canvas = canvas;
    this.tip = tip;
    this.moments = [];
    this.due = false;
    this.pointer = null;
    new ResizeObserver(() => this.plan()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.plan());
    canvas.addEventListener("pointermove", (event) => this.point(event));
    canvas.addEventListener("pointerleave", () => this.point(null));
  }

  restart(moments) {
    this.moments = moments.slice();
    this.plan();
  }

  add(moment) {
    const newest = this.moments.at(-1);
    if (newest && moment[0] <= newest[0]) return; // the same frame in another form
    this.moments.push(moment);
    const first = this.moments.findIndex(([, at]) => at >= moment[1] - SPAN - 1);
    if (first > 0) this.moments.splice(0, first);
    this.plan();
  }

  // Frames per second, also of frames that were not sent here.
  rate() {
    const newest = this.moments.at(-1);
    const oldest = this.moments.find(([, at]) => newest && at >= newest[1] - RATE_SPAN);
    if (!oldest || newest[1] - oldest[1] < 0.2) return null;
    return (newest[0] - oldest[0]) / (newest[1] - oldest[1]);
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
    const newest = this.moments.at(-1)?.[1] ?? 0;
    const top = rounded(Math.max(1, ...this.moments.map(([, , latency, age]) => Math.max(latency, age))));
    const x = (at) => LEFT + (1 - (newest - at) / SPAN) * (width - LEFT - 2);
    const y = (value) => TOP + (1 - value / top) * (height - TOP - BOTTOM);
    this.grid(context, { width, height, top, x, y, newest, color, font: style.fontFamily });
    context.save();
    context.beginPath();
    context.rect(LEFT, 0, width - LEFT, height);
    context.clip();
    this.line(context, color("--two"), 3, x, y);
    this.line(context, color("--one"), 2, x, y);
    context.restore();
    this.name(x, y, context, color);
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

  line(context, color, field, x, y) {
    context.strokeStyle = color;
    context.lineWidth = 1.6;
    context.lineJoin = "round";
    context.beginPath();
    for (const moment of this.moments) context.lineTo(x(moment[1]), y(moment[field]));
    context.stroke();
  }

  // Says the values at the pointer.
  name(x, y, context, color) {
    this.tip.hidden = true;
    if (!this.pointer || !this.moments.length) return;
    const box = this.canvas.getBoundingClientRect();
    const want = this.pointer.x - box.left;
    const near = this.moments.reduce((a, b) => (Math.abs(x(b[1]) - want) < Math.abs(x(a[1]) - want) ? b : a));
    for (const [field, name] of [[2, "--one"], [3, "--two"]]) {
      context.fillStyle = color(name);
      context.beginPath();
      context.arc(x(near[1]), y(near[field]), 3.2, 0, 2 * Math.PI);
      context.fill();
    }
    this.tip.textContent = `latency ${near[2].toFixed(1)} ms, age ${near[3].toFixed(1)} ms`;
    this.tip.hidden = false;
    place(this.tip, box, this.pointer);
  }
}

// The next round number.
function rounded(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return power * [1, 1.5, 2, 3, 4, 5, 6, 8, 10].find((step) => step * power >= value);
}
