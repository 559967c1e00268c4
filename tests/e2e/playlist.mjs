// Playlists on stdin (a JSON list of texts): the first problem that hls-parser finds in strict mode, or nothing.
import { readFileSync } from 'node:fs';
import * as HLS from 'hls-parser';

const { parse, setOptions } = HLS.default ?? HLS;
setOptions({ strictMode: true, silent: false });
for (const text of JSON.parse(readFileSync(0, 'utf8'))) {
  try {
    const playlist = parse(text);
    if (playlist.isMasterPlaylist || !playlist.segments.length) throw new Error('no media playlist with segments');
  } catch (error) {
    process.stdout.write(`${error.message}\n${text}`);
    break;
  }
}
