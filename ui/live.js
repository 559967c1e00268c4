// One connection by WebRTC: it is made, waits for the first picture, and is watched as long as others follow.

import { Whep } from "./whep.js";

/** From the answer to a connection: a network that lets it through needs a fraction of this, milliseconds. */
const CONNECTED = 5000;
/** From the first packet to the first picture: all since the last key frame comes at once. */
const SHOWN = 4000;
/** From the connection to the first packet: a GOP that was too large to be kept makes viewers wait for the next one. */
const SENT = 15000;
/** Without a new picture for so long it stands still, and later counts as lost, though the camera delivers. */
const STILL = 5000;
const LOST = 8000;
/** Between two looks, before and after the first picture. */
const EAGER = 100;
const CALM = 1000;

const pause = (time) => new Promise((done) => setTimeout(done, time));
const hidden = () => Object.assign(document.createElement("video"), { muted: true, playsInline: true });

export class Live {
  /** Pictures have come. */
  playing = false;
  /** They have stopped coming. */
  still = false;
  /** The browser wants a tap before it shows them. */
  blocked = false;
  #whep = new Whep();
  #on;
  #video;
  #ended = false;
  #units;
  #streamed = false;
  #away = false;
  #delivers = true;
  #first = 0;
  #last = 0;
  #resumed = 0;

  /**
   * `ports`, `{udp, tcp}`, are named when nothing gets through. `on.picture`: the first one is there; `on.change`: what is
   * above has changed; `on.end(reason)`: it is over.
   */
  constructor(url, ports, on) {
    this.#on = on;
    this.#run(url, ports);
  }

  /** Shows it in `video`, or where nobody sees it: some browsers decode only what is shown somewhere. */
  show(video = hidden()) {
    if (video === this.#video) return;
    if (this.#video) this.#video.srcObject = null;
    this.#video = video;
    this.play();
  }

  play() {
    const video = this.#video;
    // Not before pictures may come: until the first one, a video keeps the browser from calling the page loaded.
    if (video.srcObject === null && this.#whep.state !== "connected") return;
    video.srcObject ??= this.#whep.stream;
    this.blocked = false;
    video.play().catch((error) => {
      if (video !== this.#video || !video.isConnected || error.name !== "NotAllowedError") return;
      this.blocked = true;
      this.#on.change();
    });
  }

  /** Takes in what the gateway says of the camera: while it delivers nothing, the connection is not to blame. */
  observe({ state, access_units: units }) {
    const streams = state === "streaming";
    this.#streamed ||= streams;
    this.#away = this.#streamed && !streams;
    const delivers = streams && units !== this.#units;
    if (delivers && !this.#delivers) this.#resumed = performance.now();
    this.#delivers = delivers;
    this.#units = units;
  }

  /** From the first picture to the last one, and since then, milliseconds. */
  get lasted() {
    return this.#last - this.#first;
  }

  get silence() {
    return performance.now() - this.#last;
  }

  /** Ends it without a word. */
  end() {
    this.#ended = true;
    this.#whep.close();
    if (this.#video) this.#video.srcObject = null;
  }

  /** Each step gives the reason why there is no next one. */
  async #run(url, ports) {
    const reason =
      (await this.#whep.open(url)) ?? (await this.#connect(ports)) ?? (await this.#start()) ?? (await this.#follow());
    if (this.#ended) return;
    this.end();
    this.#on.end(reason);
  }

  async #connect(args) {
    await this.#whep.connected(CONNECTED);
    return this.#whep.state === "connected" ? undefined : { code: args.tcp ? "udp_and_tcp" : "udp", args };
  }

  async #start() {
    this.play();
    const begun = performance.now();
    let sent = Infinity;
    for (;;) {
      const { packets, pictures } = await this.#whep.received();
      const now = performance.now();
      if (this.#broken()) return { code: "broke_off" };
      if (pictures > 0) break;
      if (packets > 0) sent = Math.min(sent, now);
      if (now - sent > SHOWN) return { code: "not_shown" };
      if (sent === Infinity && now - begun > SENT) return { code: "nothing_sent" };
      await pause(EAGER);
    }
    this.playing = true;
    this.#first = this.#last = performance.now();
    this.#on.picture();
    return undefined;
  }

  async #follow() {
    for (let seen = 0; ; await pause(CALM)) {
      const { pictures } = await this.#whep.received();
      if (this.#broken()) return { code: "broke_off" };
      const now = performance.now();
      const { paused, controls, webkitDisplayingFullscreen } = this.#video;
      const held = paused && (controls || webkitDisplayingFullscreen);
      // A browser that misses pictures asks for a key frame, and gets those it has seen, also from a camera that is away.
      if ((pictures !== seen && !this.#away) || held) this.#last = now;
      seen = pictures;
      if (this.#delivers && now - Math.max(this.#last, this.#resumed) > LOST) return { code: "stalled" };
      const still = this.#away || this.silence > STILL;
      if (still !== this.still) {
        this.still = still;
        this.#on.change();
      }
      // In full screen the reader may pause it; elsewhere only the browser does.
      if (paused && !held && !this.blocked) this.play();
    }
  }

  #broken() {
    return this.#ended || this.#whep.state === "failed" || this.#whep.state === "closed";
  }
}
