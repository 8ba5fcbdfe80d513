// The image, and the colors of its classes on a canvas over it.

const BORDER = 0.55;
// "Unknown" is not painted over but for thin stripes, one light and one dark (ABGR).
const LIGHT = 0xffe0e0e0;
const DARK = 0xff303030;
const STRIPES = Uint32Array.of(LIGHT, LIGHT, DARK, DARK, 0, 0, 0, 0, 0, 0, 0, 0);

export class Picture {
  constructor(image, colors, view, tip) {
    this.image = image;
    this.colors = colors;
    this.tip = tip;
    this.view = view;
    this.labels = null;
    this.table = new Uint32Array(0);
    this.hidden = new Set();
    this.pointer = null;
    view.addEventListener("pointermove", (event) => this.point(event));
    view.addEventListener("pointerdown", (event) => this.point(event));
    view.addEventListener("pointerleave", () => this.point(null));
  }

  introduce(info) {
    this.names = info.names;
    this.unknown = info.unknown_labels;
    this.palette = info.colors;
    this.fill();
  }

  set alpha(value) {
    this.opacity = value;
    this.colors.style.opacity = value;
  }

  get alpha() {
    return this.opacity;
  }

  fill() {
    this.table = Uint32Array.from(this.palette, ([r, g, b], label) =>
      this.hidden.has(label) ? 0 : ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0,
    );
    this.edges = Uint32Array.from(this.palette, ([r, g, b], label) => {
      const [red, green, blue] = [r, g, b].map((part) => Math.round(BORDER * part));
      return this.hidden.has(label) ? 0 : ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
    });
  }

  hide(hidden) {
    this.hidden = hidden;
    this.fill();
    if (this.labels) this.paint();
  }

  async show(facts, jpeg, packed) {
    const [bitmap, labels] = await Promise.all([
      createImageBitmap(new Blob([jpeg], { type: "image/jpeg" })),
      inflate(packed, facts.label_bytes),
    ]);
    const { width, height } = facts;
    if (labels.length !== width * height) throw new RangeError("label map of a wrong size");
    for (const canvas of [this.image, this.colors]) {
      if (canvas.width !== width) canvas.width = width;
      if (canvas.height !== height) canvas.height = height;
    }
    this.image.getContext("2d", { alpha: false }).drawImage(bitmap, 0, 0, width, height);
    bitmap.close();
    this.labels = labels;
    this.unknownLabel = this.unknown[facts.label_bytes - 1];
    this.paint();
    this.name();
  }

  paint() {
    const { width, height } = this.colors;
    const context = this.colors.getContext("2d");
    if (!this.pixels || this.pixels.width !== width || this.pixels.height !== height) {
      this.pixels = context.createImageData(width, height);
    }
    const out = new Uint32Array(this.pixels.data.buffer);
    const { labels, table, edges, unknownLabel } = this;
    const stripes = this.hidden.has(unknownLabel) ? new Uint32Array(STRIPES.length) : STRIPES;
    for (let y = 0, at = 0; y < height; y++) {
      const below = y + 1 < height ? width : 0;
      for (let x = 0; x < width; x++, at++) {
        const label = labels[at];
        if (label === unknownLabel) {
          out[at] = stripes[(x + y) % STRIPES.length];
        } else {
          const edge = labels[at + below] !== label || (x + 1 < width && labels[at + 1] !== label);
          out[at] = edge ? edges[label] : table[label];
        }
      }
    }
    context.putImageData(this.pixels, 0, 0);
  }

  nameOf(label) {
    return label === this.unknownLabel ? "unknown" : this.names[label];
  }

  // Names the class under the pointer.
  point(event) {
    this.pointer = event && { x: event.clientX, y: event.clientY };
    this.name();
  }

  name() {
    this.tip.hidden = true;
    if (!this.pointer || !this.labels) return;
    const box = this.image.getBoundingClientRect();
    const { width, height } = this.image;
    const scale = Math.min(box.width / width, box.height / height);
    const left = box.left + (box.width - scale * width) / 2;
    const top = box.top + (box.height - scale * height) / 2;
    const x = Math.floor((this.pointer.x - left) / scale);
    const y = Math.floor((this.pointer.y - top) / scale);
    if (x < 0 || y < 0 || x >= width || y >= height) return;
    this.tip.textContent = this.nameOf(this.labels[y * width + x]);
    this.tip.hidden = false;
    place(this.tip, this.view.getBoundingClientRect(), this.pointer);
  }
}

export function place(tip, box, { x, y }) {
  const left = Math.min(x - box.left + 14, box.width - tip.offsetWidth - 6);
  const top = y - box.top + (y - box.top < 40 ? 18 : -34);
  tip.style.left = `${Math.max(6, left)}px`;
  tip.style.top = `${top}px`;
}

async function inflate(packed, bytes) {
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  const buffer = await new Response(stream).arrayBuffer();
  return bytes === 2 ? new Uint16Array(buffer) : new Uint8Array(buffer);
}
