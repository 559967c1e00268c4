#!/usr/bin/python3
"""Boots the firmware's userland on an emulated board: the `qemu-virt` profile, a read-only root, the machine's own watchdog.

    tests/boot/run.py --binary target/aarch64-unknown-linux-gnu/release/porthole [--minutes 10] [--keep FOLDER]

The board: qemu-system-aarch64 -M virt, 2 x Cortex-A53, 128 MiB, i6300esb; Debian's arm64 kernel; busybox as init; one disk for
/var/lib. Cameras run on this machine (GStreamer's RTSP server), players and WebRTC viewers too, through qemu's user networking.
Asked: it boots and serves; ffmpeg decodes its HLS and aiortc its WebRTC; `kill -9` is over within 10 s; a daemon that is stuck is ended
by the watchdog, which resets the board; and memory stays flat. Exit code 1 when something does not hold.
"""

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT / "tests/e2e"))
import harness  # noqa: E402
import viewers  # noqa: E402
import watch_judges  # noqa: E402

STORE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "porthole/boot"
PROFILE = ROOT / "board/qemu-virt/rendered"
PACKAGES = ["linux-image-arm64:arm64>linux-image-", "busybox-static:arm64", "libc6:arm64", "libgcc-s1:arm64"]
# What the kernel of the package has as modules and the board needs, in the order of their dependencies.
MODULES = ["virtio_pci_modern_dev", "virtio_pci_legacy_dev", "virtio_pci", "virtio_blk", "squashfs", "failover", "net_failover",
           "virtio_net", "i6300esb", "crc16", "crc32c_generic", "libcrc32c", "mbcache", "jbd2", "ext4"]
CAMERAS = 2
WATCHDOG_SECONDS = 15
# An emulated Cortex-A53 on a busy machine takes its time; a board does not.
BOOT_TIME = 90
MOST_RECOVERY = 10
# What the daemon may grow by from its second minute to the last: the allocator's slack.
MOST_GROWTH = 1 << 20


class Failed(Exception):
    """Something does not hold."""


class Bench:
    """Stands in for a test case where the harness wants one."""

    def __init__(self, work):
        self.folder, self.case, self.hls = work, self, work / "hls"
        self.cleanups = []

    def addCleanup(self, call, *arguments):  # noqa: N802, unittest's name
        self.cleanups.append((call, arguments))

    def close(self):
        for call, arguments in reversed(self.cleanups):
            call(*arguments)


class Machine:
    """The emulated board."""

    def __init__(self, bench, binary, cameras):
        self.bench = bench
        self.web, self.udp, self.shell = harness.free_port(), harness.free_port(), harness.free_port()
        self.console = bench.folder / "console.log"
        self.root, self.initramfs, self.disk = (bench.folder / name for name in ("root.squashfs", "initramfs", "disk.ext4"))
        make_root(bench.folder / "root", binary, self.config(cameras))
        run("mksquashfs", bench.folder / "root", self.root, "-quiet", "-all-root", "-comp", "xz", "-no-progress")
        make_initramfs(bench.folder / "early", self.initramfs)
        with open(self.disk, "wb") as disk:
            disk.truncate(16 << 20)
        run("mkfs.ext4", "-q", self.disk)
        self.process = None
        bench.addCleanup(self.stop)

    def config(self, cameras):
        # Viewers send to 127.0.0.1, which qemu forwards to the guest's own address: it needs both to know whose they are.
        lines = ["[web]", 'listen = "0.0.0.0:8107"', "[hls]", 'output_dir = "/run/porthole/hls"',
                 "[webrtc]", f"udp_port = {self.udp}", 'addresses = ["127.0.0.1", "10.0.2.15"]',
                 "[system]", 'state_dir = "/var/lib/porthole"', 'watchdog = "/dev/watchdog"', f"watchdog_timeout = {WATCHDOG_SECONDS}"]
        for number in range(CAMERAS):
            # 10.0.2.2 is this machine, as the guest sees it.
            lines += ["[[camera]]", f'id = "cam{number}"', f'url = "rtsp://10.0.2.2:{cameras.port}/cam{number}"', 'transport = "tcp"']
        return "\n".join(lines) + "\n"

    def start(self):
        forward = f"hostfwd=tcp:127.0.0.1:{self.web}-:8107,hostfwd=udp:127.0.0.1:{self.udp}-:{self.udp},hostfwd=tcp:127.0.0.1:{self.shell}-:2323"
        kernel = next((STORE / "packages/boot").glob("vmlinuz-*"))
        self.process = subprocess.Popen(
            ["qemu-system-aarch64", "-M", "virt", "-cpu", "cortex-a53", "-smp", "2", "-m", "128M", "-display", "none", "-serial",
             f"file:{self.console}", "-kernel", str(kernel), "-initrd", str(self.initramfs), "-append", "console=ttyAMA0 panic=5 quiet",
             "-drive", f"file={self.root},if=none,format=raw,readonly=on,id=root", "-device", "virtio-blk-pci,drive=root",
             "-drive", f"file={self.disk},if=none,format=raw,id=disk", "-device", "virtio-blk-pci,drive=disk",
             "-netdev", f"user,id=net,{forward}", "-device", "virtio-net-pci,netdev=net,romfile=",
             "-device", "i6300esb", "-action", "watchdog=reset"],
            stdin=subprocess.DEVNULL)
        return time.monotonic()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def url(self, path, scheme="http"):
        return f"{scheme}://127.0.0.1:{self.web}{path}"

    def get(self, path):
        """Status and body; 0 while nobody answers."""
        try:
            connection = harness.http.client.HTTPConnection("127.0.0.1", self.web, timeout=5)
            try:
                connection.request("GET", path)
                answer = connection.getresponse()
                return answer.status, answer.read()
            finally:
                connection.close()
        except (OSError, harness.http.client.HTTPException):
            return 0, b""

    def status(self):
        code, body = self.get("/api/v1/status")
        return json.loads(body) if code == 200 else None

    def run(self, command, seconds=10):
        """What `command` prints in the guest."""
        with socket.create_connection(("127.0.0.1", self.shell), timeout=seconds) as stream:
            stream.sendall(f"{command}\nexit\n".encode())
            said = b""
            while more := stream.recv(65536):
                said += more
        return said.decode(errors="replace")

    def wait_for(self, condition, what, seconds, since=None):
        """Until `condition()`; seconds since `since`, or since the call."""
        since = since or time.monotonic()
        while not (found := condition()):
            if self.process.poll() is not None:
                raise Failed(f"the machine ended while waiting for {what}")
            if time.monotonic() - since > seconds:
                raise Failed(f"{what} did not come within {seconds} s; the console's end:\n{self.tail()}")
            time.sleep(0.1)
        return time.monotonic() - since, found

    def tail(self):
        return "\n".join(self.console.read_text(errors="replace").splitlines()[-25:])

    def playable(self, number):
        code, body = self.get(f"/hls/cam{number}/index.m3u8")
        return code == 200 and b"#EXTINF" in body


def run(*command):
    subprocess.run([str(word) for word in command], check=True, stdin=subprocess.DEVNULL)


def make_root(root, binary, config):
    """The read-only root: busybox, the C library, the daemon, and what the profile says."""
    for folder in ("bin", "sbin", "dev", "proc", "sys", "run", "tmp", "root", "var/lib", "lib", "usr/bin", "etc/porthole"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    packages = STORE / "packages"
    shutil.copy2(packages / "bin/busybox", root / "bin/busybox")
    (root / "sbin/init").symlink_to("/bin/busybox")
    for tool in ("sh", "mount", "umount", "ifconfig", "route", "sysctl", "cat", "mkdir", "kill", "pidof", "free", "ps", "reboot", "df", "dd"):
        (root / "bin" / tool).symlink_to("busybox")
    libraries = [path for path in (packages / "lib/aarch64-linux-gnu").iterdir()]
    (root / "lib/aarch64-linux-gnu").mkdir()
    for path in libraries:
        if path.name.startswith(("ld-linux", "libc.so", "libm.so", "libgcc_s", "libresolv", "libnss_dns", "libnss_files", "libpthread", "libdl")):
            shutil.copy2(path, root / "lib/aarch64-linux-gnu" / path.name, follow_symlinks=True)
    (root / "lib/ld-linux-aarch64.so.1").symlink_to("aarch64-linux-gnu/ld-linux-aarch64.so.1")
    shutil.copy2(binary, root / "usr/bin/porthole")
    shutil.copy2(PROFILE / "board.toml", root / "etc/porthole/board.toml")
    shutil.copy2(PROFILE / "sysctl.conf", root / "etc/sysctl.conf")
    mount = (PROFILE / "run-porthole.mount").read_text()
    (root / "etc/porthole/tmpfs-size").write_text(mount.split("size=")[1].split(",")[0] + "\n")
    (root / "etc/porthole/porthole.toml").write_text(config)
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    shutil.copy2(HERE / "inittab", root / "etc/inittab")
    shutil.copy2(HERE / "rc", root / "etc/rc")
    (root / "etc/rc").chmod(0o755)


def make_initramfs(early, image):
    for folder in ("bin", "dev", "proc", "root", "modules"):
        (early / folder).mkdir(parents=True)
    packages = STORE / "packages"
    shutil.copy2(packages / "bin/busybox", early / "bin/busybox")
    shutil.copy2(HERE / "initramfs-init", early / "init")
    (early / "init").chmod(0o755)
    found = {path.name.split(".")[0].replace("-", "_"): path for path in (packages / "lib/modules").rglob("*.ko*")}
    order = []
    for name in MODULES:
        # What is not there is part of the kernel.
        if path := found.get(name):
            shutil.copy2(path, early / "modules" / path.name)
            order.append(path.name)
    (early / "modules/order").write_text("\n".join(order) + "\n")
    names = "\n".join(str(path.relative_to(early)) for path in [early, *sorted(early.rglob("*"))])
    with open(image, "wb") as out:
        subprocess.run(["cpio", "--quiet", "-o", "-H", "newc"], cwd=early, input=names.encode(), stdout=out, check=True)


def decodes(machine, seconds=6):
    """ffmpeg decodes the guest's HLS without a word, and so many pictures."""
    found = subprocess.run(["ffprobe", "-v", "error", "-count_frames", "-select_streams", "v", "-show_entries", "stream=nb_read_frames,width,height",
                            "-read_intervals", f"%+{seconds}", "-of", "json", machine.url("/hls/cam0/index.m3u8")],
                           capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
    stream = (json.loads(found.stdout or "{}").get("streams") or [{}])[0]
    frames = int(stream.get("nb_read_frames") or 0)
    if found.stderr or frames < 25 * (seconds - 2):
        raise Failed(f"ffprobe read {frames} pictures in {seconds} s and said: {found.stderr[-800:]}")
    return frames, f"{stream['width']}x{stream['height']}"


def watches(bench, machine):
    """An aiortc viewer decodes pictures of the guest's WebRTC."""
    viewer = viewers.aiortc(bench, machine.url("/whep/cam0"), seconds=8, patience=30)
    report = viewer.report()
    found = watch_judges.viewers(report, 1)[0]
    decoded = found["video"]["framesDecoded"]
    if decoded < 100:
        raise Failed(f"an aiortc viewer decoded {decoded} pictures in 8 s")
    return decoded, round(found["firstDecodedMs"])


def facts(machine):
    """Memory of daemon and guest, bytes."""
    status = machine.status()
    free = dict(line.split(":", 1) for line in machine.run("cat /proc/meminfo").splitlines() if ":" in line)
    return {"daemon": status["memory"]["resident"]["used"], "tmpfs": status["memory"]["tmpfs"]["used"], "threads": status["threads"],
            "available": int(free["MemAvailable"].split()[0]) << 10}


def shown(found):
    return ", ".join(f"{key} {value / (1 << 20):.1f} MiB" if value > 1000 else f"{key} {value}" for key, value in found.items())


def check(bench, binary, minutes):
    mounts = {f"/cam{number}": {"clip": "quick"} for number in range(CAMERAS)}
    cameras = harness.Cameras(bench, mounts)
    machine = Machine(bench, binary, cameras)
    begun = machine.start()
    answers, _ = machine.wait_for(lambda: machine.get("/healthz")[0] == 200, "the web port's first answer", BOOT_TIME)
    pictures, _ = machine.wait_for(lambda: machine.playable(0), "the first playlist", BOOT_TIME, begun)
    say(f"booted: web port after {answers:.1f} s, playlist after {pictures:.1f} s")
    say("HLS: ffprobe decodes {} pictures of {}".format(*decodes(machine)))
    say("WebRTC: aiortc decodes {} pictures in 8 s, the first after {} ms".format(*watches(bench, machine)))
    say(f"memory: {shown(facts(machine))}")

    if machine.status()["last_end"] is not None:
        raise Failed("the first run ever knows of one before")
    machine.run("kill -9 $(pidof porthole)")
    since = time.monotonic()
    machine.wait_for(lambda: (machine.status() or {}).get("last_end"), "the answer after kill -9", MOST_RECOVERY, since)
    recovered, _ = machine.wait_for(lambda: machine.playable(0), "the playlist after kill -9", MOST_RECOVERY, since)
    say(f"kill -9: playlist again after {recovered:.1f} s; \"{machine.status()['last_end']}\"")

    uptime = float(machine.run("cat /proc/uptime").split()[0])
    machine.run("kill -STOP $(pidof porthole)")
    since = time.monotonic()
    machine.wait_for(lambda: machine.get("/healthz")[0] == 0, "the silence of a stuck daemon", 10)
    reset, _ = machine.wait_for(lambda: machine.get("/healthz")[0] == 200, "the board after its watchdog's reset", 3 * WATCHDOG_SECONDS + BOOT_TIME, since)
    if float(machine.run("cat /proc/uptime").split()[0]) > uptime + reset:
        raise Failed("the board was not reset")
    machine.wait_for(lambda: machine.playable(0), "the playlist after the reset", BOOT_TIME)
    say(f"stuck daemon: the watchdog's reset and the boot took {reset:.1f} s; \"{machine.status()['last_end']}\"")

    time.sleep(60)
    first = facts(machine)
    say(f"memory after a minute: {shown(first)}")
    deadline = time.monotonic() + 60 * (minutes - 1)
    while time.monotonic() < deadline:
        time.sleep(min(30, max(0.0, deadline - time.monotonic())))
        if machine.get("/healthz")[0] != 200 or machine.process.poll() is not None:
            raise Failed(f"the board does not answer any more; the console's end:\n{machine.tail()}")
    last = facts(machine)
    say(f"memory after {minutes:g} min: {shown(last)}")
    if last["daemon"] > first["daemon"] + MOST_GROWTH:
        raise Failed(f"the daemon grew by {(last['daemon'] - first['daemon']) / (1 << 20):.1f} MiB")
    decodes(machine)
    cut = [camera["last_error"]["sentence"] for camera in machine.status()["cameras"] if camera["last_error"]]
    say(f"every camera still streams{': ' + '; '.join(cut) if cut else ''}")


def say(sentence):
    print(sentence, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=10, help="for memory to stay flat")
    parser.add_argument("--keep", type=Path, help="copy the console's log here")
    arguments = parser.parse_args()
    run(ROOT / "tests/debian-packages.sh", STORE / "packages", *PACKAGES)
    work = Path(tempfile.mkdtemp(prefix="porthole-boot-"))
    bench = Bench(work)
    try:
        check(bench, arguments.binary.resolve(), arguments.minutes)
    except (Failed, watch_judges.Broken) as failure:
        print(f"FAILED: {failure}", file=sys.stderr)
        return 1
    finally:
        if arguments.keep:
            arguments.keep.mkdir(parents=True, exist_ok=True)
            for log in work.glob("*.log"):
                shutil.copy2(log, arguments.keep)
        bench.close()
        shutil.rmtree(work, ignore_errors=True)
    print("the board holds")
    return 0


if __name__ == "__main__":
    sys.exit(main())
