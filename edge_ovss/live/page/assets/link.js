// The connection to the board. Asks for one frame at a time, and for the next once it is drawn.

const FIRST_DELAY = 500;
const LONGEST_DELAY = 8000;

export class Link {
  constructor(on) {
    this.on = on;
    this.delay = FIRST_DELAY;
    this.socket = null;
  }

  open() {
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(`${scheme}//${location.host}/ws`);
    this.socket = socket;
    socket.binaryType = "arraybuffer";
    socket.onopen = () => this.ask(socket);
    socket.onmessage = (event) => this.take(socket, event.data);
    socket.onclose = (event) => this.again(event);
  }

  // Asks anew while an answer is awaited: of another source, or for the image after facts.
  askAgain() {
    if (this.socket) this.ask(this.socket);
  }

  ask(socket) {
    if (socket.readyState === WebSocket.OPEN) socket.send(this.on.wants());
  }

  // Begins anew, with everything that the board says at the beginning.
  restart() {
    this.socket.close();
  }

  async take(socket, data) {
    this.delay = FIRST_DELAY;
    if (typeof data === "string") {
      const notice = JSON.parse(data);
      if (notice.kind === "hello") this.on.hello(notice);
      else this.on.notice(notice);
      return;
    }
    try {
      await this.on.frame(...unpack(data));
    } catch (error) {
      this.on.failed(error);
    }
    this.ask(socket);
  }

  async again(event) {
    this.on.lost(event.reason);
    await new Promise((done) => setTimeout(done, this.delay));
    this.delay = Math.min(2 * this.delay, LONGEST_DELAY);
    try {
      const reply = await fetch("/api/state", { cache: "no-store" });
      if (reply.status === 401) location.reload(); // where the token is asked for
    } catch {
      // the board does not answer yet
    }
    this.open();
  }
}

function unpack(data) {
  const length = new DataView(data).getUint32(0, true);
  const facts = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length)));
  if (!facts.image) return [facts, null, null];
  const start = 4 + length;
  const image = new Uint8Array(data, start, facts.image);
  const labels = new Uint8Array(data, start + facts.image, facts.labels);
  return [facts, image, labels];
}
