// A WHEP endpoint's URL in, a stream of tracks out, or the reason why there is none. draft-ietf-wish-whep

/** A sleeping camera is waited for before the answer comes, milliseconds. */
const PATIENCE = 9000;

export class Whep {
  /** The tracks, as they come. */
  stream = new MediaStream();
  #pc = new RTCPeerConnection({ bundlePolicy: "max-bundle" });
  #video;
  #session;

  constructor() {
    this.#video = this.#receive("video");
    this.#receive("audio");
    this.#pc.addEventListener("track", ({ track }) => this.stream.addTrack(track));
  }

  /** Offers, and takes the answer; then the way to the gateway is looked for. Returns the reason when there is no answer. */
  async open(url) {
    try {
      await this.#pc.setLocalDescription();
      // Without candidates: the gateway is an ICE-lite server and learns the browser's addresses from its checks.
      const answer = await fetch(url, {
        method: "POST",
        headers: { "Content-Type": "application/sdp" },
        body: this.#pc.localDescription.sdp,
        cache: "no-store",
        signal: AbortSignal.timeout(PATIENCE),
      });
      if (answer.status !== 201) return refusal(answer);
      this.#session = new URL(answer.headers.get("Location"), answer.url);
      const sdp = await answer.text();
      if (this.#pc.signalingState === "closed") this.#hangUp();
      else await this.#pc.setRemoteDescription({ type: "answer", sdp });
    } catch (error) {
      return { code: this.#session ? "bad_answer" : "no_answer", sentence: error.message };
    }
    return undefined;
  }

  /** `new`, `connecting`, `connected`, `disconnected`, `failed`, or `closed` by either end. */
  get state() {
    return this.#video.transport?.state === "closed" ? "closed" : this.#pc.connectionState;
  }

  /** Waits until it is connected, has failed, or `patience` milliseconds are over. */
  connected(patience) {
    return new Promise((done) => {
      const look = () => ["connected", "failed", "closed"].includes(this.state) && done();
      this.#pc.addEventListener("connectionstatechange", look);
      setTimeout(done, patience);
      look();
    });
  }

  /** RTP packets and decoded pictures since the beginning. */
  async received() {
    const report = await this.#video.getStats().catch(() => new Map());
    for (const entry of report.values()) {
      if (entry.type === "inbound-rtp") return { packets: entry.packetsReceived ?? 0, pictures: entry.framesDecoded ?? 0 };
    }
    return { packets: 0, pictures: 0 };
  }

  close() {
    this.#pc.close();
    this.#hangUp();
  }

  #receive(kind) {
    const { receiver } = this.#pc.addTransceiver(kind, { direction: "recvonly" });
    // Live before smooth: nothing is held back against jitter beyond what the network has shown.
    if ("jitterBufferTarget" in receiver) receiver.jitterBufferTarget = 0;
    else if ("playoutDelayHint" in receiver) receiver.playoutDelayHint = 0;
    return receiver;
  }

  /** Frees the place at once, also while the page goes away; else the gateway notices seconds later. */
  #hangUp() {
    if (this.#session) fetch(this.#session, { method: "DELETE", keepalive: true }).catch(() => {});
    this.#session = undefined;
  }
}

/** The gateway's stable code where it has one, in its words; see docs/api.md. */
async function refusal(answer) {
  const { code, error: sentence } = await answer.json().catch(() => ({}));
  const of = (code) => ({ code, args: { status: answer.status, error: sentence }, sentence });
  if (answer.status === 406) return of(code ?? "no_shared_codec");
  if (answer.status === 404) return of("unknown_camera");
  if (["webrtc_full", "webrtc_off", "webrtc_failed"].includes(code)) return of(code);
  return of(answer.status === 503 || answer.status === 504 ? "not_ready" : "refused");
}
