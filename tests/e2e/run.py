#!/usr/bin/python3
"""Runs the end-to-end tests: two cases at a time, those that measure time or use every core alone and last.

    tests/e2e/run.py [--binary PATH] [--only NAME]... [--soak MINUTES] [--list] [--out FOLDER]

Without --binary: target/quick/porthole (`cargo build --profile quick`). Exit code 1 when a case fails.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
BUILT = Path(os.environ.get("CARGO_TARGET_DIR") or HERE.parent.parent / "target") / "quick/porthole"
CASE_SECONDS = 180
MODULES = ["judge_cases", "watch_judge_cases", "stream_cases", "fault_cases", "demand_cases", "lifecycle_cases", "web_cases",
           "webrtc_cases", "whep_cases", "webrtc_fault_cases", "soak_cases"]
TOOLS = ["ffmpeg", "ffprobe", "tshark", "chromium", "node", "openssl"]


def main():
    arguments = parse()
    if arguments.case:
        return run_here(arguments.case)
    missing = missing_tools()
    if missing:
        print(f"FAIL: missing {', '.join(missing)}: run tests/install-tools.sh")
        return 1
    os.environ["PORTHOLE_BIN"] = str(arguments.binary.resolve())
    os.environ["PORTHOLE_E2E_OUT"] = str(arguments.out.resolve())
    os.environ["PORTHOLE_SOAK_SECONDS"] = str(round(arguments.soak * 60))
    cases = [c for c in find_cases() if not arguments.only or any(word in c.id() for word in arguments.only)]
    if arguments.list:
        print("\n".join(case.id() for case in cases))
        return 0
    if not arguments.binary.exists():
        print(f"FAIL: {arguments.binary} is missing: cargo build --profile quick, or name it with --binary")
        return 1
    if not cases:
        print(f"FAIL: no case is named {' or '.join(arguments.only)}")
        return 1
    import footage
    for name in footage.CLIPS:
        footage.clip(name)
    results = run_all(cases, arguments)
    passed = sum(results.values())
    print(f"{passed} passed, {len(results) - passed} failed")
    return 0 if passed == len(results) else 1


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=Path, default=BUILT)
    parser.add_argument("--only", action="append", default=[], help="run the cases whose name contains this")
    parser.add_argument("--soak", type=float, default=1, help="minutes that the soak case runs (default 1)")
    parser.add_argument("--list", action="store_true", help="print the names of the cases")
    parser.add_argument("--out", type=Path, default=Path(os.environ.get("TMPDIR", "/tmp")) / "porthole-e2e",
                        help="where failures' logs and screenshots are kept")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    return parser.parse_args()


def missing_tools():
    missing = [tool for tool in TOOLS if not shutil.which(tool)]
    import viewers
    for name in ("GstRtspServer", "GstWebRTC", "Nice"):
        gi = f"import gi; from gi.repository import {name}"
        if subprocess.run(["/usr/bin/python3", "-W", "ignore", "-c", gi], capture_output=True).returncode:
            missing.append(f"{name} for /usr/bin/python3")
    if not viewers.AIORTC.exists():
        missing.append("aiortc")
    footage = Path("/usr/share/doc/opencv-doc/examples/data/vtest.avi")
    if not footage.exists() and not footage.with_suffix(".avi.gz").exists():
        missing.append("the footage of opencv-doc")
    missing += [f"node package {name}" for name in ("hls-parser", "hls.js", "playwright-core")
                if not (HERE / "node_modules" / name).exists()]
    return missing


def find_cases():
    import harness
    def flat(suite):
        for item in suite:
            if isinstance(item, unittest.TestSuite):
                yield from flat(item)
            else:
                yield item
    return list(flat(unittest.defaultTestLoader.loadTestsFromNames(MODULES)))


def run_here(name):
    """One case, in this process."""
    suite = unittest.defaultTestLoader.loadTestsFromName(name)
    return 0 if unittest.TextTestRunner(stream=sys.stdout, verbosity=0).run(suite).wasSuccessful() else 1


def run_all(cases, arguments):
    """Each case in a process of its own; name -> passed."""
    results, lock = {}, threading.Lock()
    # The slow ones first, so that none is left over at the end.
    shared = sorted((case for case in cases if not option(case, "alone")), key=lambda case: -option(case, "takes", 10))
    queue = list(shared)

    def work(queue):
        while True:
            with lock:
                if not queue:
                    return
                case = queue.pop(0)
            passed, seconds, output = run_case(case, arguments)
            with lock:
                results[case.id()] = passed
                print(f"{'ok  ' if passed else 'FAIL'} {case.id()} ({seconds:.1f} s)", flush=True)
                for line in output.splitlines():
                    if passed and line.startswith("note: "):
                        print(f"     {line}", flush=True)
                if not passed:
                    print("     " + output.strip().replace("\n", "\n     "), flush=True)

    workers = [threading.Thread(target=work, args=(queue,)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    work([case for case in cases if option(case, "alone")])
    return results


def option(case, name, default=None):
    """An option of a case: set on its method, or on its class."""
    return getattr(getattr(case, case._testMethodName), name, getattr(case, name, default))


def run_case(case, arguments):
    limit = CASE_SECONDS + (arguments.soak * 60 if option(case, "soak") else 0)
    begun = time.monotonic()
    process = subprocess.Popen([sys.executable, str(HERE / "run.py"), "--case", case.id()], stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                               start_new_session=True)
    try:
        output, _ = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output = process.communicate()[0] + f"\nended by force after {limit:.0f} s"
    return process.returncode == 0, time.monotonic() - begun, output


if __name__ == "__main__":
    sys.exit(main())
