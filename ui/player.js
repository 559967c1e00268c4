// A video element and what the gateway says of a camera in, moving pictures out: by WebRTC where it gets through, else by HLS.
// HLS does not wait for WebRTC, and WebRTC takes a running HLS picture's place only with a picture of its own.

import { Live } from "./live.js";
import { PlaylistPlayer, decodesH265, engine } from "./playlist.js";
import { against, forced, limits } from "./reasons.js";

/** WebRTC is given so long before HLS starts beside it, milliseconds. */
const HEAD_START = 2500;
/** From a failure to the next try, by failures in a row: while HLS plays, and while nothing does. */
const PAUSES = [60000, 120000, 300000];
const PAUSES_WITHOUT_HLS = [10000, 20000, 60000];
/** After failures of a gateway that starts, stops or is busy. */
const PASSING = ["no_answer", "not_ready", "webrtc_failed"];
const PASSING_PAUSES = [5000, 10000, 30000, 60000];
/** After a failure, a tile that comes back to the screen tries again after so long. */
const LEAST_PAUSE = 10000;
/** A connection that lasted so long is made again at once when it is lost. */
const SETTLED = 30000;
/** The connection to a camera that is away is kept for so long: the gateway goes on with it when the camera is back. */
const KEPT = 60000;

let hlsPlays = true;
engine.then((kind) => (hlsPlays = kind !== "none"));

export class Player {
  /** What the picture comes by: `webrtc`, `hls`, or undefined before there is one. */
  transport;
  #video;
  #onChange;
  #hls;
  #live;
  #wanted = false;
  #played = false;
  #camera;
  #webrtc;
  #hlsEnabled;
  /** Why the last try at WebRTC failed; undefined before the first, and after one with pictures. */
  #failure;
  #failures = 0;
  #triedAt = -LEAST_PAUSE;
  #nextTry = 0;
  #headStart;

  /** `onChange` is called when `view`, `transport` or `why` may have changed. */
  constructor(video, hlsUrl, onChange) {
    video.muted = true;
    this.#video = video;
    this.#onChange = onChange;
    this.#hls = new PlaylistPlayer(video, hlsUrl, onChange);
  }

  /**
   * What the picture shows now: `idle` (stopped), `loading`, `playing`, `retrying` (after it has played), `blocked` (the
   * browser wants a tap first); or, when `why` speaks against WebRTC, what speaks against HLS: `off`, `codec` (the browser
   * cannot decode it), `none` (the browser cannot play HLS), `unasked` (only WebRTC is asked for).
   */
  get view() {
    const live = this.#live;
    if (!this.#wanted) return (against(this.#webrtc, this.#camera) && this.#againstHls()) || "idle";
    if (this.transport === "hls") return this.#hls.view;
    if (live?.blocked) return "blocked";
    if (this.transport === "webrtc" && !live.still) return "playing";
    if (live && !this.#failure) return this.#played ? "retrying" : "loading";
    return this.#againstHls() ?? "loading";
  }

  /** Why it does not come by WebRTC, as in `reasons.js`. */
  get why() {
    if (this.transport === "webrtc") return undefined;
    const reason = against(this.#webrtc, this.#camera) ?? this.#failure;
    return reason ?? (this.#wanted ? { code: "connecting" } : undefined);
  }

  /** True while the camera is away and the picture may come back by itself. */
  get waits() {
    return this.transport === "webrtc" && this.#live.silence < KEPT;
  }

  /** Takes in what the gateway says now; comes before all else. */
  update(camera, webrtc, hlsEnabled) {
    this.#camera = camera;
    this.#webrtc = webrtc;
    this.#hlsEnabled = hlsEnabled;
    this.#live?.observe(camera);
    this.#choose();
  }

  /** Starts, unless it is on. */
  start() {
    if (this.#wanted) return;
    this.#wanted = true;
    this.#played = false;
    this.#nextTry = Math.min(this.#nextTry, this.#triedAt + LEAST_PAUSE);
    this.#choose();
    this.#onChange();
  }

  /** Stops and lets go of the network, the decoder and the memory. */
  stop() {
    if (!this.#wanted) return;
    this.#wanted = false;
    this.#endLive();
    this.transport = undefined;
    this.#hls.stop();
    this.#onChange();
  }

  /** Goes on after the reader's tap on a `blocked` picture. */
  resume() {
    if (this.transport === "hls") this.#hls.resume();
    else this.#live?.play();
  }

  #choose() {
    if (!this.#wanted) return;
    if (this.transport === "hls" && this.#againstHls()) {
      this.transport = undefined;
      this.#hls.stop();
    }
    if (against(this.#webrtc, this.#camera)) {
      this.#endLive();
      this.#playHls();
    } else if (!this.#live) {
      const due = performance.now() >= this.#nextTry;
      if (this.#failure || !due) this.#playHls();
      if (due && (!this.#failure || this.#camera.state === "streaming")) this.#try();
    }
  }

  #try() {
    this.#triedAt = performance.now();
    const ports = { udp: this.#webrtc.udp_port, tcp: this.#webrtc.tcp_port };
    this.#live = new Live(new URL(this.#camera.webrtc.url, location.href), ports, {
      picture: () => this.#take(),
      change: () => this.#onChange(),
      end: (reason) => this.#lose(reason),
    });
    this.#live.observe(this.#camera);
    if (this.transport === "hls") return this.#live.show();
    this.#live.show(this.#video);
    this.#headStart = setTimeout(() => this.#playHls(), HEAD_START);
  }

  /** WebRTC has a picture: it is shown, unless the reader is busy with the one of HLS in full screen. */
  #take() {
    const { muted, paused, controls } = this.#video;
    if (this.transport === "hls" && (!muted || (paused && controls))) {
      this.#endLive();
      this.#nextTry = performance.now() + PAUSES[0];
      return;
    }
    clearTimeout(this.#headStart);
    this.#failure = undefined;
    this.#failures = 0;
    this.#played = true;
    this.transport = "webrtc";
    this.#hls.stop();
    this.#live.show(this.#video);
    this.#onChange();
  }

  #lose(reason) {
    const settled = this.#live.playing && this.#live.lasted > SETTLED;
    this.#endLive();
    if (settled) {
      this.#choose();
    } else {
      const longer = this.#againstHls() ? PAUSES_WITHOUT_HLS : PAUSES;
      const pauses = PASSING.includes(reason.code) ? PASSING_PAUSES : longer;
      this.#nextTry = performance.now() + pauses[Math.min(this.#failures, pauses.length - 1)];
      this.#failures += 1;
      this.#failure = { ...reason, args: { ...limits(this.#webrtc, this.#camera), ...reason.args } };
      this.#playHls();
    }
    this.#onChange();
  }

  #endLive() {
    clearTimeout(this.#headStart);
    this.#live?.end();
    this.#live = undefined;
    if (this.transport === "webrtc") this.transport = undefined;
  }

  /** Plays HLS, unless it does; WebRTC may go on trying where nobody sees it. */
  #playHls() {
    if (this.transport === "hls" || this.#againstHls()) return;
    this.#live?.show();
    this.transport = "hls";
    this.#hls.start();
    this.#onChange();
  }

  #againstHls() {
    if (forced === "webrtc") return "unasked";
    if (!this.#hlsEnabled) return "off";
    if (this.#camera.video?.codec === "H.265" && !decodesH265) return "codec";
    return hlsPlays ? undefined : "none";
  }
}
