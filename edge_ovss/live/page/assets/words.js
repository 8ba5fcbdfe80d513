// The words of an open bundle. They are the run's: everybody sees them change.

const NO_ANSWER = "The board does not answer.";

export class Words {
  constructor(by) {
    this.by = by;
    this.field = by("words");
    this.state = null;
    this.shown = this.field.value; // the list that the field had before somebody typed
    by("words-form").addEventListener("submit", (event) => {
      event.preventDefault();
      if (!by("words-apply").disabled) this.send(this.field.value);
    });
    by("words-back").addEventListener("click", () => this.back());
    this.field.addEventListener("input", () => this.enable());
    this.field.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
        event.preventDefault();
        by("words-form").requestSubmit();
      }
    });
  }

  // What the board says about its words; null if they are frozen.
  show(state) {
    const { by } = this;
    by("words-card").hidden = !state;
    by("grid").classList.toggle("worded", Boolean(state));
    if (!state) return;
    const typed = this.field.value !== this.shown;
    const before = this.state;
    this.state = state;
    by("words-form").hidden = state.missing !== null;
    by("words-missing").hidden = state.missing === null;
    by("words-missing").textContent = state.missing
      ? `Other words cannot be typed here. ${state.missing}` : "";
    this.progress(state.busy);
    const done = before && before.busy && !state.busy;
    const mine = done && this.sent;
    if (done) this.sent = false;
    if (!typed || (mine && !state.failed)) this.fill(state.text);
    if (state.failed) this.say(`${state.failed} The words before are still used.`, "");
    else if (typed && !mine && before && before.text !== state.text) this.say("", "Other words were applied from another page.");
    else if (done) this.say("", "");
    this.warn(state.warnings);
    this.keep(state);
    this.enable();
  }

  fill(text) {
    this.field.value = text;
    this.shown = this.field.value;
  }

  progress(busy) {
    const bar = this.by("words-bar");
    this.by("words-busy").hidden = !busy;
    if (!busy) return;
    const [done, total] = busy;
    if (total) {
      bar.max = total;
      bar.value = done;
    } else bar.removeAttribute("value");
    const count = total ? ` ${done} of ${total} prompts.` : "";
    this.by("words-step").textContent = `Encoding the words.${count} The words before are used until then.`;
  }

  warn(warnings) {
    this.by("words-warnings").replaceChildren(
      ...warnings.map((text) => {
        const row = document.createElement("li");
        row.textContent = text;
        return row;
      }),
    );
  }

  keep(state) {
    this.by("words-keep").hidden = state.own;
    this.by("words-command").hidden = state.command === null;
    this.by("words-command").textContent = state.command ?? "";
    this.by("words-how").textContent = state.command
      ? "To keep these:" : "To keep these, put them into a file and give it to edge-ovss words --set.";
    this.by("words-plain").hidden = !(state.own && !state.plain);
  }

  say(bad, remark) {
    this.by("words-bad").textContent = bad;
    this.by("words-warnings").hidden = Boolean(bad); // they are about the words before
    this.by("words-remark").textContent = remark;
  }

  enable() {
    const { state } = this;
    const typed = this.field.value !== this.shown;
    const used = typed ? count(this.field.value) : state.used;
    const free = state.places - used;
    const rest = free < 0 ? `${-free} too many` : `${free} free`;
    this.by("words-places").textContent = `${used} of ${state.places} places ${typed ? "typed" : "used"}, ${rest}`;
    this.by("words-places").className = free < 0 ? "bad" : "dim";
    this.by("words-apply").disabled = Boolean(state.busy) || !typed || !this.field.value.trim();
    this.by("words-back").disabled = Boolean(state.busy) || (state.own && !typed);
  }

  back() {
    this.say("", "");
    if (!this.state.own) this.send(null);
    else {
      this.fill(this.state.text);
      this.enable();
      this.field.focus();
    }
  }

  async send(words) {
    this.say("", "");
    this.sent = true;
    try {
      const reply = await fetch("/api/words", {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ words }),
      });
      if (reply.ok) return;
      this.sent = false;
      const kind = reply.headers.get("content-type") ?? "";
      const answer = kind.includes("json") ? await reply.json() : { error: await reply.text() };
      this.say([answer.error, answer.hint].filter(Boolean).join(" "), "");
    } catch {
      this.sent = false;
      this.say(NO_ANSWER, "");
    }
  }
}

function count(text) {
  return text.split(/[,\r\n]/).filter((word) => word.trim()).length;
}
