#!/usr/bin/env python3
"""The shape of the tree, checked: arrows between folders, sizes, left-overs, migrations, folder notes."""
import pathlib
import re
import subprocess
import sys

top = pathlib.Path(sys.argv[1])
uses = {
    "base": set(), "proto": set(), "ledger": set(), "songs": set(), "identity": set(),
    "gifts": {"ledger", "identity"}, "payments": {"ledger", "identity"}, "channels": {"ledger", "identity"},
    "rooms": {"songs", "identity"},
    "server": {"gifts", "payments", "channels", "rooms", "songs", "ledger", "identity"},
}
bad = []
for folder, allowed in uses.items():
    for path in (top / folder).rglob("*.[ch]pp"):
        text = path.read_text()
        lines = text.splitlines()
        name = path.relative_to(top)
        for included in re.findall(r'^#include "([a-z_]+)/(internal/)?', text, re.M):
            other, internal = included
            if other in uses and other not in allowed | {folder, "base"}:
                bad.append(f"{name}: {folder}/ may not include {other}/")
            if internal and other != folder:
                bad.append(f"{name}: {other}/internal is private")
            if folder == "base" and "ovation/v1/" in text:
                bad.append(f"{name}: base/ stands below proto/")
        if len(lines) > 600:
            bad.append(f"{name}: {len(lines)} lines, more than 600")
        if path.suffix == ".hpp" and not text.startswith("//"):
            bad.append(f"{name}: a header opens with why it exists")
        for number, line in enumerate(lines, 1):
            if re.search(r"FIXME|XXX|TODO", line):
                bad.append(f"{name}:{number}: a left-over")
            if re.search(r"\bdetached\b", line) and "task_group" not in str(name):
                bad.append(f"{name}:{number}: detached only in base/task_group.cpp")
            if re.search(r"\"\s*(select|insert into|update|delete from) ", line) and folder not in ("server", "base") and "sql" not in str(name):
                if "set_config" not in line:
                    bad.append(f"{name}:{number}: SQL belongs into {folder}/sql/")
made = "\n".join(p.read_text() for p in sorted((top / "migrations").glob("*.sql")))
lent = set(re.findall(r"create (?:or replace )?(?:view|function) (\w+\.\w+)", made))
for path in top.glob("*/sql/*.sql"):
    folder = path.parent.parent.name
    for name in set(re.findall(r"\b((?:" + "|".join(set(uses) - {"base", "proto", "server"}) + r")\.\w+)", re.sub(r"--.*", "", path.read_text()))):
        if not name.startswith(folder + ".") and name not in lent:
            bad.append(f"{path.relative_to(top)}: {name} belongs to another folder; it lends views and functions only (migrations/)")
numbers = sorted(int(p.name[:4]) for p in (top / "migrations").glob("*.sql"))
if numbers != list(range(1, len(numbers) + 1)):
    bad.append(f"migrations are not numbered without a gap: {numbers}")
for folder in [*uses, "web", "migrations", "tests", "bench", "deploy"]:
    note = top / folder / "README.md"
    if not note.exists():
        bad.append(f"{folder}/README.md is missing")
    elif len(note.read_text().splitlines()) > 60:
        bad.append(f"{folder}/README.md is longer than 60 lines")
catalogue = (top / "migrations/0005_payments_gifts.sql").read_text()
if re.search(r"^\s+\w*(probab|chance|odds|weight|random)\w*\s", catalogue, re.M | re.I):
    bad.append("the gift catalogue has a column of chance")
print("\n".join(bad) or "the tree is in shape")
sys.exit(1 if bad else 0)
