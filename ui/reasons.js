// What is known of gateway, camera and browser in, what speaks against WebRTC out, before it is tried.

/** The reader's choice in the page's address: `webrtc`, `hlsjs`, `native`, or null. */
export const forced = new URLSearchParams(location.search).get("player");

/**
 * A reason is `{code, args, sentence}`: a key of the translations with its values, and the gateway's own sentence where
 * the reason comes from there. Undefined when nothing speaks against it.
 */
export function against(webrtc, camera) {
  if (forced === "hlsjs" || forced === "native") return { code: "chosen" };
  if (!webrtc || !camera.webrtc) return { code: "webrtc_off" };
  if (!window.RTCPeerConnection) return { code: "no_webrtc" };
  if (webrtc.problem) return webrtc.problem;
  if (forced === "webrtc") return undefined;
  if (camera.webrtc.problem) return camera.webrtc.problem;
  const codec = camera.video?.codec;
  return codec === "H.265" && !receivesH265 ? { code: "no_codec", args: { codec } } : undefined;
}

/** Browsers with an H.265 decoder need not have it for WebRTC; one that cannot tell has not. */
const receivesH265 = Boolean(
  window.RTCRtpReceiver?.getCapabilities?.("video")?.codecs.some(({ mimeType }) => mimeType.toLowerCase() === "video/h265"),
);

/** What reasons name that only the gateway's status tells. */
export function limits(webrtc, { webrtc: output, video }) {
  const limit = output.viewers >= output.max_viewers ? output.max_viewers : webrtc.max_viewers;
  return { limit, codec: video?.codec ?? "" };
}
