// WHEP viewers in headless Chromium, on a page of another origin than the gateway's. The first line of stdin is the request,
// JSON: {url, seconds, viewers, numbers, sound, candidates, port, hole, end: "delete" | "close", screenshot}.
// Each line of stdout is an event, JSON: "refused" (the answer was not 201), "playing" (every viewer has a picture),
// "sample" (once a second), and at the end "report". Another line on stdin ends the viewing early.
// `numbers`: each picture's number is read from it (see footage.py), with the time at which it was seen.
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import { launch, narrowed } from './chromium.mjs';

const input = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const request = { viewers: 1, seconds: 5, end: 'delete', patience: 15, ...JSON.parse((await input.next()).value) };
const early = input.next();
const tell = (event, facts) => process.stdout.write(`${JSON.stringify({ event, ...facts })}\n`);

// What runs in the page.
const inPage = (narrowed) => {
  const viewers = window.viewers = [];
  const now = () => performance.timeOrigin + performance.now();

  // The number in a picture's top left corner; null when the blocks do not agree.
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [80, 16];
  const drawing = canvas.getContext('2d', { willReadFrequently: true });
  const read = (video) => {
    drawing.drawImage(video, 0, 0, video.videoWidth / 2, video.videoWidth / 20, 0, 0, 80, 16);
    const { data } = drawing.getImageData(0, 0, 80, 16);
    const bright = (bit, row) => data[4 * ((row * 8 + 4) * 80 + bit * 8 + 4) + 1];
    let number = 0;
    for (let bit = 0; bit < 10; bit += 1) {
      const difference = bright(bit, 0) - bright(bit, 1);
      if (Math.abs(difference) < 60) return null;
      number = number * 2 + (difference > 0);
    }
    return number;
  };

  const answerOf = async (viewer, options) => {
    const { pc } = viewer;
    pc.addTransceiver('video', { direction: 'recvonly' });
    if (options.sound) pc.addTransceiver('audio', { direction: 'recvonly' });
    await pc.setLocalDescription();
    viewer.offer = pc.localDescription.sdp;
    viewer.asked = performance.now();
    const answer = await fetch(options.url, { method: 'POST', headers: { 'content-type': 'application/sdp' }, body: viewer.offer });
    viewer.answeredMs = performance.now() - viewer.asked;
    viewer.headers = Object.fromEntries(['location', 'etag', 'link', 'retry-after', 'content-type'].map((name) => [name, answer.headers.get(name)]));
    viewer.body = await answer.text();
    // Last: who sees it has all of the answer.
    viewer.status = answer.status;
    return answer.status === 201;
  };

  window.watch = async (options) => {
    const video = document.createElement('video');
    Object.assign(video, { autoplay: true, playsInline: true, muted: !options.sound });
    video.style.width = `${Math.floor(100 / Math.ceil(Math.sqrt(options.viewers)))}%`;
    document.body.append(video);
    const viewer = { pc: new RTCPeerConnection(), video, states: [], seen: [], offer: '', body: '' };
    viewers.push(viewer);
    const stream = new MediaStream();
    viewer.pc.addEventListener('track', ({ track }) => { stream.addTrack(track); video.srcObject = stream; });
    viewer.pc.addEventListener('connectionstatechange', () => viewer.states.push([now(), viewer.pc.connectionState]));
    const onPicture = () => {
      viewer.firstSeenMs ??= performance.now() - viewer.asked;
      if (options.numbers) viewer.seen.push([now(), read(video)]);
      video.requestVideoFrameCallback(onPicture);
    };
    video.requestVideoFrameCallback(onPicture);
    if (!await answerOf(viewer, options)) return;
    viewer.session = viewer.headers.location && new URL(viewer.headers.location, options.url).href;
    await viewer.pc.setRemoteDescription({ type: 'answer', sdp: narrowed(viewer.body, options) });
    while (viewer.firstDecodedMs === undefined && viewer.pc.connectionState !== 'closed') {
      const { video: stats } = await measure(viewer);
      if (stats?.framesDecoded) viewer.firstDecodedMs = performance.now() - viewer.asked;
      else await new Promise((done) => setTimeout(done, 10));
    }
  };

  const pick = (from, names) => from && Object.fromEntries(names.map((name) => [name, from[name] ?? null]));
  const measure = window.measure = async (viewer) => {
    const stats = [...(await viewer.pc.getStats()).values()];
    const byId = new Map(stats.map((entry) => [entry.id, entry]));
    const inbound = (kind) => stats.find((entry) => entry.type === 'inbound-rtp' && entry.kind === kind);
    const codec = (entry) => entry && `${byId.get(entry.codecId)?.mimeType} ${byId.get(entry.codecId)?.sdpFmtpLine ?? ''}`.trim();
    const [video, audio] = [inbound('video'), inbound('audio')];
    const transport = stats.find((entry) => entry.type === 'transport');
    const pair = transport && byId.get(transport.selectedCandidatePairId);
    const end = (entry) => pick(entry, ['candidateType', 'protocol', 'tcpType', 'address', 'port']);
    return {
      state: viewer.pc.connectionState,
      video: video && { codec: codec(video), ...pick(video, ['framesReceived', 'framesDecoded', 'framesDropped', 'keyFramesDecoded',
        'frameWidth', 'frameHeight', 'freezeCount', 'totalFreezesDuration', 'pauseCount', 'packetsReceived', 'bytesReceived', 'packetsLost',
        'retransmittedPacketsReceived', 'nackCount', 'pliCount', 'firCount', 'jitterBufferDelay', 'jitterBufferEmittedCount', 'decoderImplementation']) },
      audio: audio && { codec: codec(audio), ...pick(audio, ['packetsReceived', 'packetsLost', 'totalAudioEnergy', 'totalSamplesDuration',
        'totalSamplesReceived', 'concealedSamples', 'silentConcealedSamples']) },
      pair: pair && { ...pick(pair, ['currentRoundTripTime', 'totalRoundTripTime', 'responsesReceived']), local: end(byId.get(pair.localCandidateId)), remote: end(byId.get(pair.remoteCandidateId)) },
    };
  };

  window.facts = async () => Promise.all(viewers.map(async (viewer) => ({
    ...await measure(viewer), ...pick(viewer, ['status', 'headers', 'session', 'answeredMs', 'firstSeenMs', 'firstDecodedMs', 'states', 'seen',
      'offer', 'body', 'deleted']),
  })));
  window.hangUp = async () => Promise.all(viewers.map(async (viewer) => {
    if (!viewer.session) return;
    viewer.deleted = (await fetch(viewer.session, { method: 'DELETE' })).status;
    viewer.pc.close();
  }));
};

const server = createServer((asked, answer) => {
  answer.setHeader('content-type', 'text/html');
  answer.end(`<!doctype html><meta charset=utf-8><body style="margin:0"><script>(${inPage})(${narrowed})</script>`);
});
await new Promise((done) => server.listen(0, '127.0.0.1', done));
const browser = await launch();
const problems = [];
const pause = (ms) => new Promise((done) => setTimeout(done, ms));
try {
  const page = await (await browser.newContext({ viewport: { width: 1280, height: 720 } })).newPage();
  page.on('console', (line) => { if (line.type() === 'error') problems.push(`console: ${line.text()}`); });
  page.on('pageerror', (error) => problems.push(`script error: ${error.message}`));
  await page.goto(`http://127.0.0.1:${server.address().port}/`);
  await page.evaluate((options) => { for (let i = 0; i < options.viewers; i += 1) window.watch(options); }, request);

  const small = (all) => all.map(({ seen, offer, body, headers, ...rest }) => rest);
  const facts = async () => page.evaluate(() => window.facts());
  const settled = (viewer) => viewer.firstDecodedMs !== null || (viewer.status ?? 201) !== 201;
  const begun = Date.now();
  let all = await facts();
  while (!(all.length === request.viewers && all.every(settled)) && Date.now() - begun < request.patience * 1000) {
    await pause(50);
    all = await facts();
  }
  const refused = all.filter((viewer) => viewer.status !== null && viewer.status !== 201);
  if (refused.length) tell('refused', { viewers: refused.map(({ status, headers, body, offer }) => ({ status, headers, body, offer })) });
  if (all.some((viewer) => viewer.firstDecodedMs !== null)) {
    tell('playing', { viewers: small(all), waiting: all.filter((viewer) => viewer.firstDecodedMs === null).length });
    const before = all;
    let over = false;
    early.then(() => { over = true; });
    for (const start = Date.now(); Date.now() - start < request.seconds * 1000 && !over;) {
      await Promise.race([pause(Math.min(1000, request.seconds * 1000 - (Date.now() - start))), early]);
      all = await facts();
      tell('sample', { at: Date.now() / 1000, viewers: small(all) });
    }
    if (request.screenshot) await page.screenshot({ path: request.screenshot });
    all = await facts();
    all.forEach((viewer, i) => { viewer.atStart = small([before[i]])[0]; });
  }
  if (request.end === 'delete') {
    await page.evaluate(() => window.hangUp());
    (await page.evaluate(() => window.viewers.map((viewer) => viewer.deleted ?? null))).forEach((status, i) => { all[i].deleted = status; });
  } else {
    await page.close({ runBeforeUnload: false });
  }
  tell('report', { viewers: all, problems });
} finally {
  await browser.close();
  server.close();
}
process.exit(0);
