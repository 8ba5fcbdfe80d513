// The classes of the frame with their shares; a click hides the color of one.

// A name that no class can have.
const UNKNOWN = "";
const CALM = 0.15; // how fast the order follows the shares

export class Legend {
  constructor(list, all, changed) {
    this.list = list;
    this.all = all;
    this.changed = changed;
    this.rows = new Map();
    this.hidden = new Set();
    all.addEventListener("click", () => this.toggle(null));
  }

  introduce(info) {
    this.numbers = new Map(info.names.map((name, label) => [name, label]));
    this.colors = info.colors;
    this.unknown = info.unknown_labels;
    this.rows.clear();
    this.list.replaceChildren();
    // A class that is no longer there cannot be shown again.
    const kept = [...this.hidden].filter((name) => name === UNKNOWN || this.numbers.has(name));
    if (this.hidden.size) {
      this.hidden = new Set(kept);
      this.changedNow();
    }
  }

  show(known, unknown) {
    const shares = unknown ? { ...known, [UNKNOWN]: unknown } : known;
    this.shares = shares;
    for (const [name, row] of this.rows) if (!(name in shares)) this.drop(name, row);
    for (const [name, share] of Object.entries(shares)) this.row(name, share);
    this.sort();
  }

  drop(name, row) {
    row.element.remove();
    this.rows.delete(name);
  }

  row(name, share) {
    let row = this.rows.get(name);
    if (!row) this.rows.set(name, (row = this.made(name, share)));
    row.calm += CALM * (share - row.calm);
    const text = percent(share);
    if (row.text !== text) {
      row.text = row.share.textContent = text;
      row.fill.style.width = `${100 * share}%`;
    }
  }

  made(name, share) {
    const element = document.createElement("li");
    const button = document.createElement("button");
    button.type = "button";
    const parts = {};
    for (const kind of ["swatch", "name", "share", "track"]) {
      parts[kind] = document.createElement("span");
      parts[kind].className = kind;
      button.append(parts[kind]);
    }
    const fill = document.createElement("div");
    fill.className = "fill";
    parts.track.append(fill);
    parts.name.textContent = titleOf(name);
    parts.swatch.style.background = this.background(name);
    button.title = "Hide or show its color";
    button.setAttribute("aria-pressed", !this.hidden.has(name));
    button.addEventListener("click", () => this.toggle(name));
    element.dataset.name = name;
    if (name === UNKNOWN) parts.name.classList.add("dim");
    element.append(button);
    this.list.append(element);
    return { element, button, share: parts.share, fill, calm: share, text: "" };
  }

  background(name) {
    const color = this.colors[this.numbers.get(name)];
    if (color) return `rgb(${color.join(" ")})`;
    return "repeating-linear-gradient(135deg, #e0e0e0 0 2px, #303030 2px 4px, transparent 4px 8px)";
  }

  sort() {
    const order = [...this.rows.values()].sort((a, b) => b.calm - a.calm);
    order.forEach((row, place) => {
      if (this.list.children[place] !== row.element) {
        this.list.insertBefore(row.element, this.list.children[place]);
      }
    });
  }

  toggle(name) {
    if (name === null) this.hidden.clear();
    else if (!this.hidden.delete(name)) this.hidden.add(name);
    for (const [one, row] of this.rows) row.button.setAttribute("aria-pressed", !this.hidden.has(one));
    this.changedNow();
  }

  changedNow() {
    this.all.hidden = !this.hidden.size;
    const labels = [...this.hidden].flatMap((one) => this.numbers.get(one) ?? this.unknown);
    this.changed(new Set(labels));
  }
}

export function titleOf(name) {
  return name === UNKNOWN ? "unknown" : name.trim();
}

export function percent(share) {
  return share >= 0.001 ? `${(100 * share).toFixed(1)} %` : "< 0.1 %";
}
