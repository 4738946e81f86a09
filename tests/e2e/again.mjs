// Runs one browser test; when it fails, once more as a whole. Sound is judged in real time beside whole browsers, and foreign
// work on the machine disturbs that; what is wrong stays wrong and fails twice.
import { spawnSync } from 'node:child_process';
import os from 'node:os';

const run = () => spawnSync(process.execPath, ['--test', '--test-force-exit', process.argv[2]], { stdio: 'inherit' }).status;
let status = run();
if (status !== 0) {
  console.log(`# ${process.argv[2]} failed (load ${os.loadavg()[0].toFixed(1)} on ${os.cpus().length} cores): asked once more`);
  status = run();
}
process.exit(status ?? 1);
