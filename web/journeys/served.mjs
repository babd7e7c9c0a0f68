// A real `lowrank serve` with the starter model in a folder of its own, for one run of the journeys.
import { spawn } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '../..');
const program = process.env.LOWRANK_BIN ?? join(root, 'build/dev/bin/lowrank');

export class Served {
  constructor() {
    if (!existsSync(program)) throw new Error(`${program} is not there; build it, or set LOWRANK_BIN.`);
    this.folder = mkdtempSync(join(tmpdir(), 'lowrank-page-'));
    for (const [from, to] of [['starter.safetensors', 'Stable-diffusion/starter.safetensors'], ['lora', 'Lora']]) {
      mkdirSync(dirname(join(this.folder, 'models', to)), { recursive: true });
      cpSync(join(root, 'models/starter', from), join(this.folder, 'models', to), { recursive: true });
    }
    this.port = 0;
  }

  /** Starts the server; after the first time on the same port. */
  start() {
    this.process = spawn(program, ['serve', '--port', String(this.port), '--data-dir', this.folder, '--access-log', 'none'], {
      env: { ...process.env, OMP_WAIT_POLICY: 'passive' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    return new Promise((done, fail) => {
      let said = '';
      const read = (chunk) => {
        said += chunk;
        const found = /http:\/\/127\.0\.0\.1:(\d+)/.exec(said);
        if (!found) return;
        this.port = Number(found[1]);
        done(`http://127.0.0.1:${this.port}`);
      };
      this.process.stdout.on('data', read);
      this.process.stderr.on('data', read);
      this.process.on('exit', (code) => fail(new Error(`the server ended with ${code}: ${said}`)));
    });
  }

  /** Ends it without a farewell, as a crash does. */
  async kill() {
    if (!this.process || this.process.exitCode !== null) return;
    const gone = new Promise((done) => this.process.on('exit', done));
    this.process.kill('SIGKILL');
    await gone;
  }

  async end() {
    await this.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
