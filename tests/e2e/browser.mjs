// Plays a stream, or opens a page, in headless Chromium; the request is JSON on stdin, the report JSON on stdout.
// {url, player: "hls.js" | "native", seconds, screenshot}: a video element of our own, served from another origin.
// {url, player: "page", seconds, screenshot, width, height, locale, mobile, tiles, tap}: the page at `url`, with its own player;
// `tiles` videos must move (0: none is waited for), after a click on `tap`. `narrow` changes the page's WHEP answers (see chromium.mjs).
import { createServer } from 'node:http';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { launch, narrowed } from './chromium.mjs';

const request = JSON.parse(readFileSync(0, 'utf8'));
const hlsJs = readFileSync(createRequire(import.meta.url).resolve('hls.js/dist/hls.min.js'));
const page_html = `<!doctype html><meta charset=utf-8><video id=v muted playsinline style="width:640px"></video>
<script src=/hls.js></script><script>
window.problems = [];
const video = document.getElementById('v');
video.addEventListener('error', () => problems.push('video element: ' + (video.error && video.error.message || 'error')));
const query = new URLSearchParams(location.search);
if (query.get('player') === 'native') {
  video.src = query.get('url');
} else {
  const hls = new Hls({ liveSyncDurationCount: 3 });
  hls.on(Hls.Events.ERROR, (_, data) => { if (data.fatal) problems.push('hls.js: ' + data.type + ' ' + data.details + ' ' + (data.error || '')); });
  hls.loadSource(query.get('url'));
  hls.attachMedia(video);
}
video.play().catch(() => {});
</script>`;

const server = createServer((asked, answer) => {
  if (asked.url === '/hls.js') { answer.setHeader('content-type', 'text/javascript'); answer.end(hlsJs); }
  else if (asked.url.startsWith('/?')) { answer.setHeader('content-type', 'text/html'); answer.end(page_html); }
  else { answer.statusCode = 404; answer.end(); }
});
await new Promise((done) => server.listen(0, '127.0.0.1', done));

const browser = await launch();
const report = { problems: [], console: [] };
try {
  const context = await browser.newContext({
    viewport: { width: request.width ?? 1280, height: request.height ?? 800 },
    locale: request.locale ?? 'en-US', isMobile: request.mobile ?? false, hasTouch: request.mobile ?? false,
  });
  const page = await context.newPage();
  page.on('console', (line) => { if (line.type() === 'error') report.console.push(line.text()); });
  page.on('pageerror', (error) => report.problems.push(`script error: ${error.message}`));
  if (request.narrow) {
    await page.route('**/whep/*', async (route) => {
      const answer = await route.fetch();
      await route.fulfill({ response: answer, body: narrowed(await answer.text(), request.narrow) });
    });
  }
  const own = request.player !== 'page';
  const opened = Date.now();
  await page.goto(own ? `http://127.0.0.1:${server.address().port}/?${new URLSearchParams({ player: request.player, url: request.url })}` : request.url);
  if (request.tap) await page.locator(request.tap).first().click();

  const measure = () => page.evaluate(() => [...document.querySelectorAll('video')].map((v) => ({
    time: v.currentTime, frames: v.getVideoPlaybackQuality().totalVideoFrames, dropped: v.getVideoPlaybackQuality().droppedVideoFrames,
    by: v.srcObject ? 'webrtc' : 'hls', width: v.videoWidth, height: v.videoHeight, paused: v.paused, ready: v.readyState, error: v.error && v.error.message,
  })));
  const wanted = request.tiles ?? 1;
  const moving = (videos) => videos.filter((v) => v.frames > 0 && v.time > 0).length >= wanted;
  const begun = Date.now();
  let before = await measure();
  while (!moving(before) && Date.now() - begun < (request.patience ?? 20) * 1000) {
    await page.waitForTimeout(25);
    before = await measure();
  }
  report.startedAfterMs = Date.now() - begun;
  report.openedMs = Date.now() - opened;
  await page.waitForTimeout(request.seconds * 1000);
  const after = await measure();
  // What each tile says of its picture: by what it comes (`webrtc` or `hls`), the code of why not by WebRTC, and the words for both.
  // HLS may have begun while WebRTC is still being tried: then the reason comes later.
  await page.waitForFunction(() => !document.querySelector('[data-why="connecting"]'), null, { timeout: 10000 }).catch(() => {});
  const told = await page.evaluate(() => [...document.querySelectorAll('video')].map((v) => {
    const tile = v.closest('[data-transport]');
    return { transport: tile?.dataset.transport || null, why: tile?.dataset.why || null, said: tile?.querySelector('.transport')?.innerText ?? null };
  }));
  report.videos = after.map((video, i) => ({ ...video, ...told[i] }));
  report.advanced = after.map((v, i) => v.time - (before[i]?.time ?? 0));
  report.decoded = after.map((v, i) => v.frames - (before[i]?.frames ?? 0));
  if (own) report.problems.push(...await page.evaluate(() => window.problems));
  const alive = report.advanced.filter((a, i) => a > request.seconds / 2 && report.decoded[i] > 0).length;
  if (wanted > 0 && alive < wanted) report.problems.push(`${alive} of ${wanted} videos move`);
  if (!own) {
    report.text = await page.evaluate(() => document.body.innerText);
    report.overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    report.lang = await page.evaluate(() => document.documentElement.lang);
  }
  if (request.screenshot) await page.screenshot({ path: request.screenshot, fullPage: !own });
} finally {
  await browser.close();
  server.close();
}
process.stdout.write(JSON.stringify(report));
