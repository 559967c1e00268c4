// A camera's status in, its tile out: picture, state in plain words, what is wrong and what to do, figures, address.

import { Player } from "./player.js";
import { faultWords, label, number, span, stateWord, whyWords, word } from "./words.js";

/** Trouble that is over is shown for so long, seconds. */
const PAST_TROUBLE = 3600;

/** Views without a picture and without another on its way. */
const STUCK = ["off", "none", "codec", "unasked"];

/** Attempts are never further apart, seconds. */
const LONGEST_PAUSE = 330;

const template = document.getElementById("tile");
const tiles = new WeakMap();
const onScreen = new IntersectionObserver((entries) => {
  for (const entry of entries) tiles.get(entry.target)?.setVisible(entry.isIntersecting);
}, { rootMargin: "80px" });

export class Tile {
  /** The `<article>`. */
  element = template.content.firstElementChild.cloneNode(true);
  #camera;
  #player;
  #visible = false;
  #watching = false;
  #part = (selector) => this.element.querySelector(selector);
  #picture = this.#part(".picture");
  #video = this.#part("video");

  constructor(camera) {
    label(this.element);
    const url = camera.hls?.url ?? "";
    this.#player = new Player(this.#video, url, () => this.#draw());
    this.#part(".tap").addEventListener("click", () => this.#tap());
    this.#part(".expand").addEventListener("click", () => this.#expand());
    this.#part(".copy").addEventListener("click", () => this.#copy());
    this.#part(".url").addEventListener("focus", (event) => event.target.select());
    this.#part(".url").value = new URL(url, location.href).href;
    this.#picture.addEventListener("fullscreenchange", () => this.#fullscreenChanged());
    tiles.set(this.element, this);
    onScreen.observe(this.element);
  }

  /** Takes in what the gateway says now. */
  update(camera, webrtc, hlsEnabled) {
    this.#camera = camera;
    this.#player.update(camera, webrtc, hlsEnabled);
    this.element.id = `camera-${camera.id}`;
    this.element.dataset.state = camera.state;
    this.#write(".name", camera.name);
    this.#write(".state", stateWord(camera.state));
    this.#part(".address").hidden = !hlsEnabled;
    this.#name(".tap", "watch");
    this.#name(".expand", "full_screen");
    this.#name(".url", "address_of");
    this.#name(".copy", "copy_of");
    if (this.#part(".copy").dataset.said === undefined) this.#write(".copy", word("copy"));
    this.#drawHints();
    this.follow();
    this.#draw();
  }

  /** On the screen or not: what nobody sees is not loaded, so a phone saves its battery and a camera may sleep. */
  setVisible(visible) {
    this.#visible = visible;
    this.follow();
  }

  /** The camera is gone from the configuration. */
  remove() {
    onScreen.unobserve(this.element);
    this.#player.stop();
    this.element.remove();
  }

  /** Plays what is wanted and can deliver: a camera that is always on when it streams, one on demand after a tap. */
  follow() {
    const camera = this.#camera;
    if (camera === undefined) return;
    const wanted = camera.on_demand ? this.#watching : camera.state === "streaming" || this.#player.waits;
    if (this.#visible && !document.hidden && wanted) this.#player.start();
    else this.#player.stop();
  }

  /** The page goes away. */
  rest() {
    this.#player.stop();
  }

  #tap() {
    if (this.#player.view === "blocked") return this.#player.resume();
    this.#watching = true;
    this.follow();
    this.#draw();
  }

  #draw() {
    if (this.#camera === undefined) return;
    this.#drawPicture();
    this.#drawTransport();
    this.#drawFacts();
  }

  /** Says in the picture what the reader should know, from the most to the least pressing. */
  #drawPicture() {
    const camera = this.#camera;
    const view = this.#player.view;
    this.element.dataset.view = view;
    const asleep = camera.on_demand && !this.#watching;
    if (view === "off") this.#cover("trouble", word("hls_off"), word("hls_off_fix"));
    else if (view === "playing") this.#cover("none");
    else if (view === "none") this.#cover("trouble", word("cannot_play", { what: "HLS" }), word("open_in_vlc"));
    else if (view === "blocked") this.#cover("tap", word("tap_to_play"), word("tap_saving"));
    else if (fails(camera)) this.#coverFault();
    else if (view === "codec") this.#cover("trouble", word("cannot_play", { what: camera.video?.codec }), word("choose_h264"));
    else if (view === "unasked") this.#cover("trouble", word("no_webrtc_picture"));
    else if (asleep) this.#cover("tap", word("tap_to_watch"), word("tap_wakes"));
    else if (camera.state !== "streaming") this.#cover("busy", word("connecting"));
    else this.#cover("busy", word(view === "retrying" ? "retrying" : "loading"));
  }

  #coverFault() {
    const fault = this.#camera.last_error;
    const { what, fix } = fault ? faultWords(fault) : { what: "", fix: word("next_attempt") };
    this.#cover("trouble", what || stateWord("waiting"), fix);
  }

  #cover(kind, what = "", fix = "") {
    this.#picture.dataset.cover = kind;
    this.#write(".what", what);
    this.#write(".fix", fix);
    this.#part(".tap").hidden = kind !== "tap";
    this.#part(".expand").hidden = kind !== "none";
  }

  /** Says what the picture comes by, and why it is not WebRTC. */
  #drawTransport() {
    const { transport, view, why } = this.#player;
    this.element.dataset.transport = transport ?? "";
    this.element.dataset.why = why?.code ?? "";
    let text = "";
    if (transport === "hls") text = word("by_hls", { why: whyWords(why) });
    else if (STUCK.includes(view)) text = word("not_by_webrtc", { why: whyWords(why) });
    else if (view === "playing") text = word("by_webrtc");
    this.#write(".transport", text);
  }

  #drawFacts() {
    const { video, bitrate, last_key_frame_age: age } = this.#camera;
    const size = video && video.width > 0 ? word("size", video) : undefined;
    const fps = video?.fps ? word("fps", { fps: number(video.fps, Number.isInteger(video.fps) ? 0 : 1) }) : undefined;
    this.#write(".fact-picture", join(size, fps));
    this.#write(".fact-codec", video ? video.codec : "–");
    this.#write(".fact-sound", video ? sound(this.#camera, this.#player.transport) : "–");
    this.#write(".fact-bitrate", bitrate > 0 ? rate(bitrate) : "–");
    const every = video?.gop_seconds ? word("key_every", { every: number(video.gop_seconds, 1) }) : undefined;
    this.#write(".fact-key", join(age === null ? undefined : word("key_age", { age: number(age, 1) }), every));
  }

  #drawHints() {
    const camera = this.#camera;
    const hints = [...camera.warnings, camera.hls?.last_error].filter(Boolean).map((fault) => {
      const { what, fix } = faultWords(fault);
      return ["", what ? `${what}. ${fix}` : fix];
    });
    if (camera.state === "streaming" && camera.last_error && camera.last_error_age < PAST_TROUBLE) {
      const { what, fix } = faultWords(camera.last_error);
      const ago = span(Math.max(camera.last_error_age, 1));
      hints.push(["past", word("past_trouble", { ago, what: what || fix })]);
    }
    const list = this.#part(".hints");
    while (list.children.length > hints.length) list.lastElementChild.remove();
    hints.forEach(([kind, text], index) => {
      const item = list.children[index] ?? list.appendChild(document.createElement("li"));
      item.className = kind;
      write(item, text);
    });
  }

  #expand() {
    if (this.#picture.requestFullscreen) this.#picture.requestFullscreen().catch(() => {});
    else this.#video.webkitEnterFullscreen?.();
  }

  /** Full screen has the browser's controls, for the sound; back in its tile the picture is silent again. */
  #fullscreenChanged() {
    const full = document.fullscreenElement === this.#picture;
    this.#video.controls = full;
    if (!full) this.#video.muted = true;
  }

  async #copy() {
    const button = this.#part(".copy");
    const done = await copy(this.#part(".url"));
    clearTimeout(Number(button.dataset.said));
    write(button, word(done ? "copied" : "copy_failed"));
    button.dataset.said = setTimeout(() => {
      delete button.dataset.said;
      write(button, word("copy"));
    }, 2000);
  }

  #write(selector, text) {
    write(this.#part(selector), text);
  }

  #name(selector, key) {
    const element = this.#part(selector);
    const name = word(key, { name: this.#camera.name });
    if (element.ariaLabel !== name) element.ariaLabel = name;
  }
}

/** True from the first failure until the picture is back, also during the attempts between. */
function fails({ state, last_error: fault, last_error_age: age }) {
  return state === "waiting" || (state === "starting" && fault !== null && age <= LONGEST_PAUSE);
}

/** Writes only what differs, so that screen readers speak changes and nothing else. */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

const join = (...parts) => parts.filter((part) => part !== undefined).join(" · ") || "–";

/** The camera's sound, and which of the two carries it when the one in use does not. */
function sound({ audio, hls, webrtc }, transport) {
  if (!audio) return word("no_sound");
  const { codec } = audio;
  const carried = { hls: hls && audio.carried, webrtc: webrtc && !webrtc.sound_problem };
  if (!carried.hls && !carried.webrtc) return word("sound_not_carried", { codec });
  if (transport === undefined || carried[transport]) return codec;
  return transport === "webrtc" ? word("sound_by_hls", { codec }) : word("sound_by_webrtc", { codec });
}

function rate(bits) {
  return bits < 1e6 ? word("kbit", { value: number(bits / 1e3) }) : word("mbit", { value: number(bits / 1e6, 1) });
}

/** Browsers offer the clipboard API over HTTPS only, and gateways are opened by address over HTTP. */
async function copy(input) {
  try {
    await navigator.clipboard.writeText(input.value);
    return true;
  } catch {
    input.focus();
    input.select();
    return document.execCommand("copy");
  }
}
