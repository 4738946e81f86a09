// Whether somebody else was at work: the machine's busy time less that of this process and all that it started.
import fs from 'node:fs';

const foreignMost = 0.25; // cores, on average
const perSecond = 100;    // of /proc's ticks

function busy() {
  const [user, nice, system, , , irq, soft] = fs.readFileSync('/proc/stat', 'utf8').split('\n')[0].trim().split(/\s+/).slice(1).map(Number);
  return user + nice + system + irq + soft;
}
// Ended children are in their parents' sums, if those have waited for them.
function own() {
  const all = new Map();
  for (const name of fs.readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const text = fs.readFileSync(`/proc/${name}/stat`, 'utf8');
      const f = text.slice(text.lastIndexOf(')') + 2).split(' ');
      all.set(Number(name), { parent: Number(f[1]), ticks: [11, 12, 13, 14].reduce((s, i) => s + Number(f[i]), 0) });
    } catch {
      // ended meanwhile
    }
  }
  let sum = 0;
  for (const [pid, { ticks }] of all) {
    let up = pid;
    for (let i = 0; i < 64 && up > 1 && up !== process.pid; ++i) up = all.get(up)?.parent ?? 0;
    if (up === process.pid) sum += ticks;
  }
  return sum;
}
/** Runs it, and once more if it was disturbed. @returns {{got: T, disturbed: boolean, foreign: number}} */
export async function calmly(run) {
  for (let i = 0; ; ++i) {
    const [b, o, t] = [busy(), own(), Date.now()];
    const got = await run();
    const foreign = Math.max(0, busy() - b - (own() - o)) / perSecond / ((Date.now() - t) / 1_000);
    const disturbed = foreign > foreignMost;
    if (!disturbed || i > 0) return { got, disturbed, foreign };
  }
}
