// A video element and a playlist's URL in, moving pictures out: with hls.js where it runs, else the browser's own player.
// It starts again by itself after errors and stalls, at growing intervals, until it is stopped.

import { forced } from "./reasons.js";

const hasLibrary = document.documentElement.dataset.hlsjs !== "";
const plays = (type) => document.createElement("video").canPlayType(type) !== "";
const playsNatively = plays("application/vnd.apple.mpegurl");

/** False on browsers without an H.265 decoder: their own player would only say that something failed. */
export const decodesH265 = plays('video/mp4; codecs="hvc1.1.6.L93.B0"');

/** Milliseconds before the next attempt, by attempts that failed in a row. */
const BACK_OFF = [1000, 2000, 4000, 8000, 15000];
/** A player that shows nothing new for so long is started again, milliseconds: while playing, and before that. */
const STALLED = 8000;
const NEVER_STARTED = 30000;
/** After this long without trouble the next trouble counts as the first, milliseconds. */
const SETTLED = 10000;

/** What plays HLS here: `hlsjs`, `native` or `none`. Loads hls.js when it is the one. */
export const engine = choose();

async function choose() {
  if (forced === "webrtc") return "none";
  if (forced !== "native" && hasLibrary) {
    const library = await load(new URL("hls.min.js", import.meta.url)).catch(() => undefined);
    if (library?.isSupported()) return "hlsjs";
  }
  return forced !== "hlsjs" && playsNatively ? "native" : "none";
}

function load(url) {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = url.href;
    // The first picture comes by WebRTC, and should not wait for the library.
    script.fetchPriority = "low";
    script.onload = () => resolve(window.Hls);
    script.onerror = reject;
    document.head.append(script);
  });
}

/**
 * `view` is what the picture shows now:
 * `idle` (stopped), `loading`, `playing`, `retrying` (after it has played), `blocked` (the browser wants a tap first),
 * `codec` (the browser cannot decode it; tried again rarely), `none` (no HLS player here).
 */
export class PlaylistPlayer {
  view = "idle";
  #video;
  #url;
  #onView;
  #wanted = false;
  #hls;
  #failures = 0;
  #again;
  #watch;
  #mark = { position: 0, at: 0, since: 0 };
  #mended = 0;
  #played = false;

  constructor(video, url, onView) {
    this.#video = video;
    this.#url = url;
    this.#onView = onView;
    video.addEventListener("timeupdate", () => this.#progressed());
    video.addEventListener("error", () => {
      if (this.#wanted && !this.#hls) this.#retry();
    });
  }

  /** Starts, unless it is on. */
  start() {
    if (this.#wanted) return;
    this.#wanted = true;
    this.#failures = 0;
    this.#played = false;
    this.#show("loading");
    this.#watch = setInterval(() => this.#check(), 1000);
    this.#begin();
  }

  /** Stops and lets go of the network, the decoder and the memory. */
  stop() {
    if (!this.#wanted) return;
    this.#wanted = false;
    clearInterval(this.#watch);
    this.#end();
    this.#show("idle");
  }

  /** Goes on after the reader's tap on a `blocked` picture. */
  resume() {
    this.#play();
  }

  async #begin() {
    const kind = await engine;
    if (!this.#wanted) return;
    this.#mark = { position: -1, at: performance.now(), since: 0 };
    if (kind === "hlsjs") this.#beginHls(window.Hls);
    else if (kind === "native") this.#video.src = this.#url;
    else return this.#show("none");
    this.#play();
  }

  #beginHls(Hls) {
    const hls = new Hls({ backBufferLength: 4, maxBufferLength: 12, maxMaxBufferLength: 24, liveDurationInfinity: true });
    this.#hls = hls;
    hls.on(Hls.Events.ERROR, (_, error) => {
      if (!error.fatal || hls !== this.#hls) return;
      if (/codec/i.test(error.details)) return this.#retry("codec");
      const now = performance.now();
      if (error.type === Hls.ErrorTypes.MEDIA_ERROR && now - this.#mended > SETTLED) {
        this.#mended = now;
        hls.recoverMediaError();
        this.#play();
      } else {
        this.#retry();
      }
    });
    hls.loadSource(this.#url);
    hls.attachMedia(this.#video);
  }

  #play() {
    this.#video.play().catch((error) => {
      if (this.#wanted && error.name === "NotAllowedError") this.#show("blocked");
    });
  }

  #progressed() {
    const now = performance.now();
    const position = this.#video.currentTime;
    if (!this.#wanted || position === this.#mark.position || this.#video.readyState < 2) return;
    const since = this.#mark.since || now;
    this.#mark = { position, at: now, since };
    if (position > 0) {
      this.#played = true;
      this.#show("playing");
    }
    if (now - since > SETTLED) this.#failures = 0;
  }

  #check() {
    if (this.view === "blocked" || this.view === "none" || this.#again !== undefined) return;
    const started = this.#mark.since > 0;
    if (performance.now() - this.#mark.at > (started ? STALLED : NEVER_STARTED)) this.#retry();
    else if (this.#video.paused && started && !document.fullscreenElement) this.#play();
  }

  #retry(view = this.#played ? "retrying" : "loading") {
    this.#end();
    this.#show(view);
    const pause = view === "codec" ? 60000 : BACK_OFF[Math.min(this.#failures, BACK_OFF.length - 1)];
    this.#failures += 1;
    this.#again = setTimeout(() => {
      this.#again = undefined;
      this.#begin();
    }, pause);
  }

  #end() {
    clearTimeout(this.#again);
    this.#again = undefined;
    this.#hls?.destroy();
    this.#hls = undefined;
    this.#video.removeAttribute("src");
    this.#video.load();
  }

  #show(view) {
    if (view === this.view) return;
    this.view = view;
    this.#onView();
  }
}
