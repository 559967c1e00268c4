// Asks the gateway for its status while somebody looks, and shows it: the summary above, a tile per camera below.

import { engine } from "./playlist.js";
import { Tile, write } from "./tile.js";
import { label, language, number, span, word } from "./words.js";

/** Between two questions, and the longest wait for an answer, milliseconds. */
const PERIOD = 2000;
const PATIENCE = 6000;

const tiles = new Map();
const part = (id) => document.getElementById(id);
let version;
let uptime = 0;
let next;
let asking = false;

document.documentElement.lang = language;
label(document.body);
write(part("summary"), word("summary_loading"));
write(part("banner"), word("lost"));
engine.then((kind) => (document.documentElement.dataset.player = kind));
document.addEventListener("visibilitychange", () => {
  for (const tile of tiles.values()) tile.follow();
  ask();
});
// A page that goes away frees its places at the gateway at once; one that comes back from the history plays again.
addEventListener("pagehide", () => {
  for (const tile of tiles.values()) tile.rest();
});
addEventListener("pageshow", () => {
  for (const tile of tiles.values()) tile.follow();
});
ask();

async function ask() {
  clearTimeout(next);
  if (asking || document.hidden) return;
  asking = true;
  try {
    const answer = await fetch("api/v1/status", { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    show(await answer.json());
    setLost(false);
  } catch {
    if (!document.hidden) setLost(true);
  }
  asking = false;
  next = setTimeout(ask, PERIOD);
}

function show(status) {
  // After an update the gateway serves another page: this one fetches it.
  if (version !== undefined && version !== status.version) return location.reload();
  version = status.version;
  // A gateway that has started anew has none of the connections it had.
  if (status.uptime_seconds < uptime) for (const tile of tiles.values()) tile.rest();
  uptime = status.uptime_seconds;
  showGateway(status);
  const keys = new Set(status.cameras.map(key));
  for (const [key, tile] of tiles) {
    if (keys.has(key)) continue;
    tile.remove();
    tiles.delete(key);
  }
  status.cameras.forEach((camera, index) => {
    const tile = tiles.get(key(camera)) ?? new Tile(camera);
    tiles.set(key(camera), tile);
    const place = part("tiles").children[index];
    if (place !== tile.element) part("tiles").insertBefore(tile.element, place ?? null);
    tile.update(camera, status.webrtc, status.hls_enabled);
  });
}

/** A camera keeps its tile while its id and its address stay the same. */
const key = (camera) => `${camera.id} ${camera.hls?.url}`;

function showGateway({ cameras, webrtc, memory, uptime_seconds, version, board }) {
  const count = (state) => cameras.filter((camera) => camera.state === state).length;
  const [total, live, asleep] = [cameras.length, count("streaming"), count("sleeping")];
  const summary = [word(summaryKey(total, live), { total, live })];
  if (asleep > 0) summary.push(word("summary_asleep", { asleep }));
  write(part("summary"), summary.join(" · "));
  part("summary").dataset.mood = count("waiting") > 0 ? "bad" : live + asleep === total ? "good" : "unknown";
  const plays = document.documentElement.dataset.player !== "none" || (webrtc && window.RTCPeerConnection);
  if (total === 0) notice("no_cameras");
  else if (!plays) notice("no_player");
  else part("notice").hidden = true;
  write(part("memory"), amount(memory.resident));
  write(part("tmpfs"), amount(memory.tmpfs));
  write(part("uptime"), span(uptime_seconds));
  write(part("version"), version);
  part("version").title = board;
}

function summaryKey(total, live) {
  if (total === 0) return "summary_none";
  if (live < total) return "summary_some";
  return total === 1 ? "summary_one" : "summary_all";
}

function amount({ used, limit }) {
  return word("of", { used: number(used / 1048576), limit: number(limit / 1048576) });
}

function notice(key) {
  part("notice").hidden = false;
  write(part("notice"), word(key));
}

function setLost(lost) {
  part("banner").hidden = !lost;
  document.body.toggleAttribute("data-lost", lost);
}
