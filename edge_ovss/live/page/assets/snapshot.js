// What is seen, with its legend, as a PNG for the viewer's own disk.

import { percent, titleOf } from "./legend.js";

const LINE = 24;
const MARGIN = 14;
const COLUMN = 230;

export function saveSnapshot(picture, legend, info, facts) {
  const { width, height } = picture.image;
  const entries = Object.entries(legend.shares).sort((a, b) => b[1] - a[1]);
  const columns = Math.max(1, Math.floor((width - 2 * MARGIN) / COLUMN));
  const rows = Math.ceil(entries.length / columns);
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height + 2 * MARGIN + (rows + 1) * LINE;
  const context = canvas.getContext("2d");
  context.fillStyle = "#fafafa";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(picture.image, 0, 0);
  context.globalAlpha = picture.alpha;
  context.drawImage(picture.colors, 0, 0);
  context.globalAlpha = 1;
  context.font = "14px system-ui, sans-serif";
  context.textBaseline = "middle";
  entries.forEach(([name, share], index) => {
    const left = MARGIN + Math.floor(index / rows) * COLUMN;
    const middle = height + MARGIN + ((index % rows) + 0.5) * LINE;
    context.fillStyle = plain(legend, name);
    context.fillRect(left, middle - 7, 14, 14);
    context.fillStyle = "#26262a";
    context.fillText(titleOf(name), left + 22, middle, COLUMN - 100);
    context.fillStyle = "#76767c";
    context.textAlign = "right";
    context.fillText(percent(share), left + COLUMN - 24, middle);
    context.textAlign = "left";
  });
  const about = `${info.bundle} · frame ${facts.number} · ${new Date().toLocaleString()}`;
  context.fillStyle = "#76767c";
  context.fillText(about, MARGIN, canvas.height - MARGIN - LINE / 2, width - 2 * MARGIN);
  canvas.toBlob((blob) => save(blob, `${stem(info.bundle)}-${String(facts.number).padStart(6, "0")}.png`));
}

function plain(legend, name) {
  const color = legend.colors[legend.numbers.get(name)];
  return color ? `rgb(${color.join(" ")})` : "#707070";
}

function stem(name) {
  return name.replace(/\.ovss$/, "").replace(/[^\w.-]+/g, "-") || "snapshot";
}

function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
