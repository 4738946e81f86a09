#!/usr/bin/env python3
"""once.py [--uses PROGRAM]... [--tree] -- COMMAND...

Runs a test, unless it has passed before with the same inputs: then says so and ends with 0. Only where DEV_PASSED names the
folder of what has passed (./dev test does); with DEV_ASK_ALL (./dev test --all) it is asked all the same. Inputs are the command, the programs it uses, the
environment that tests look at, the machine's packages (DEV_MACHINE) and the files of the tree that can matter: all
(--tree), or those that are neither compiled into the programs nor documents nor another suite's.
"""
import hashlib
import json
import os
import pathlib
import subprocess
import sys
import time

top = pathlib.Path(__file__).resolve().parent.parent
compiled = {".cpp", ".hpp", ".sql"}
looked_at = ("OVATION_BIN", "DEV_MACHINE", "TSAN_OPTIONS", "UBSAN_OPTIONS")


def files(tree: bool, suite: str) -> list[pathlib.Path]:
    """The tree's files that can matter. suite: the folder and the file of a suite of tests/wire or tests/e2e, else ''."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=top, check=True, capture_output=True, text=True).stdout
    out = []
    for name in listed.split("\0"):
        path = top / name
        if not name or not path.is_file():
            continue
        if not tree:
            of_suite = name.startswith(("tests/wire/", "tests/e2e/", "web/src/"))
            if path.suffix in compiled | {".md", ".svg", ".png"} or name.startswith(("docs/", "bench/")):
                continue
            if of_suite and (not suite or (name.endswith(".test.mjs") and name != suite) or (name.startswith("tests/e2e/") and not suite.startswith("tests/e2e/"))):
                continue
        out.append(path)
    if tree or suite:
        out += [p for p in (top / "web/dist").rglob("*") if p.is_file() and p.name != ".stamp"]
    return sorted(out)


class digests:
    """Digests of files, kept by their time and size."""

    def __init__(self, kept: pathlib.Path):
        self.kept = kept
        try:
            self.known = json.loads(kept.read_text())
        except (OSError, ValueError):
            self.known = {}

    def of(self, path: pathlib.Path) -> str:
        stat = path.stat()
        mark = f"{stat.st_mtime_ns} {stat.st_size}"
        if self.known.get(str(path), ["", ""])[0] != mark:
            with path.open("rb") as f:
                self.known[str(path)] = [mark, hashlib.file_digest(f, "sha256").hexdigest()]
        return self.known[str(path)][1]

    def keep(self):
        made = self.kept.with_suffix(f".{os.getpid()}")
        made.write_text(json.dumps(self.known))
        made.replace(self.kept)


def main() -> int:
    at = sys.argv.index("--")
    options, command = sys.argv[1:at], sys.argv[at + 1 :]
    passed = os.environ.get("DEV_PASSED")
    known = subprocess.run(["git", "rev-parse", "HEAD"], cwd=top, capture_output=True).returncode == 0
    if not passed or not known:  # without git nobody says which files are the tree's
        os.execvp(command[0], command)
    folder = pathlib.Path(passed)
    folder.mkdir(parents=True, exist_ok=True)
    here = pathlib.Path.cwd().relative_to(top).as_posix() if pathlib.Path.cwd().is_relative_to(top) else ""
    suite = next((f"{here}/{word}" for word in command if word.endswith(".test.mjs")), "")
    inputs = hashlib.sha256()
    for part in [here, *command, *(f"{name}={os.environ.get(name, '')}" for name in looked_at)]:
        inputs.update(part.encode() + b"\0")
    kept = digests(folder / "files.json")
    programs = [pathlib.Path(options[i + 1]) for i, o in enumerate(options) if o == "--uses"]
    for path in programs + files("--tree" in options, suite):
        inputs.update(f"{path} {kept.of(path)}\0".encode())
    kept.keep()
    stamp = folder / hashlib.sha256("\0".join([here, *command, os.environ.get("OVATION_BIN", "")]).encode()).hexdigest()[:16]
    if not os.environ.get("DEV_ASK_ALL") and stamp.exists() and (said := stamp.read_text().split("\n"))[0] == inputs.hexdigest():
        print(f"Passed with the same inputs at {said[1]}; ./dev test --all asks again.")
        return 0
    stamp.unlink(missing_ok=True)  # what passed before and fails now has not passed
    code = subprocess.run(command).returncode
    if code == 0:
        stamp.write_text(f"{inputs.hexdigest()}\n{time.strftime('%Y-%m-%d %H:%M:%S')}\n")
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
