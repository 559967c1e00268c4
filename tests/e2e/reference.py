"""HLS made and served by others (ffmpeg, Python's http.server): what the judges are proven on."""

import functools
import http.server
import subprocess
import threading

import footage


class Reference:
    """A live playlist of clip `aac` under `url`."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir(parents=True)
        source = folder / "source.mp4"
        info = footage.info("aac")
        blob = (footage.clip("aac") / "clip.bin").read_bytes()
        video = sum(size for _, size, *_ in info["video"])
        sound = b"".join(adts(info, blob[offset:offset + size]) for offset, size, *_ in info["audio"])
        (folder / "sound.aac").write_bytes(sound)
        subprocess.run(["ffmpeg", "-v", "error", "-f", "h264", "-framerate", str(info["fps"]), "-i", "-", "-i",
                        str(folder / "sound.aac"), "-c", "copy", str(source)], input=blob[:video], capture_output=True, check=True)
        self.ffmpeg = subprocess.Popen(
            ["ffmpeg", "-nostdin", "-v", "error", "-re", "-stream_loop", "-1", "-i", str(source), "-c", "copy", "-f", "hls", "-hls_time", "1",
             "-hls_list_size", "5", "-hls_delete_threshold", "10", "-hls_flags", "delete_segments", str(folder / "index.m3u8")])
        handler = functools.partial(Handler, directory=str(folder))
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/index.m3u8"

    def close(self):
        self.ffmpeg.kill()
        self.ffmpeg.wait()
        self.server.shutdown()
        self.server.server_close()


def adts(info, frame):
    """An AAC frame with its ADTS header."""
    config, size = int(info["config"], 16), len(frame) + 7
    profile, index, channels = (config >> 11) - 1, config >> 7 & 15, config >> 3 & 15
    return bytes([0xFF, 0xF1, profile << 6 | index << 2 | channels >> 2, (channels & 3) << 6 | size >> 11, size >> 3 & 0xFF,
                  (size & 7) << 5 | 0x1F, 0xFC]) + frame


class Handler(http.server.SimpleHTTPRequestHandler):
    extensions_map = {".m3u8": "application/vnd.apple.mpegurl", ".ts": "video/mp2t"}

    def end_headers(self):
        self.send_header("Access-Control-Allow-Origin", "*")
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def log_message(self, *_):
        pass
