// A real `lowrank serve` with the starter model in a folder of its own, for one run of the journeys, and beside it a
// stand-in for the sites that LoRAs are imported from.
import { spawn } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '../..');
const built = process.env.LOWRANK_BIN ?? join(root, 'build/dev/bin/lowrank');

/** Starts a program and gives what `pattern` finds first in what it says. */
function begin(command, words, environment, pattern) {
  const child = spawn(command, words, { env: { ...process.env, ...environment }, stdio: ['ignore', 'pipe', 'pipe'] });
  const said = [];
  const found = new Promise((done, fail) => {
    for (const stream of [child.stdout, child.stderr])
      createInterface(stream).on('line', (line) => {
        said.push(line);
        const match = pattern.exec(line);
        if (match) done(match);
      });
    child.on('error', fail);
    child.on('exit', (code) => fail(new Error(`${command} ended with ${code}: ${said.join('\n')}`)));
  });
  return { child, found };
}

async function kill(child) {
  if (!child || child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((done) => child.on('exit', done));
  child.kill('SIGKILL');
  await gone;
}

export class Served {
  constructor() {
    if (!existsSync(built)) throw new Error(`${built} is not there; build it, or set LOWRANK_BIN.`);
    this.folder = mkdtempSync(join(tmpdir(), 'lowrank-page-'));
    // Away from the source tree, the program finds no starter model but the copy: its checkpoint where an installation has
    // it, its LoRAs among the user's, so that their cards may be changed.
    this.program = join(this.folder, 'bin/lowrank');
    mkdirSync(dirname(this.program));
    for (const file of ['lowrank', 'liblowrank_engine.so']) cpSync(join(dirname(built), file), join(this.folder, 'bin', file), { dereference: true });
    const starter = join(this.folder, 'share/lowrank/models/starter');
    for (const [from, to] of [
      ['starter.safetensors', join(starter, 'starter.safetensors')], ['starter.json', join(starter, 'starter.json')], ['lora', join(this.folder, 'models/Lora')],
    ]) {
      mkdirSync(dirname(to), { recursive: true });
      cpSync(join(root, 'models/starter', from), to, { recursive: true });
    }
    this.port = 0;
  }

  /** Starts the stand-in for Civitai; before the server, which must know its address. */
  async startSites() {
    const { child, found } = begin('python3', [join(root, 'web/journeys/sites.py')], {}, /http:\/\/127\.0\.0\.1:\d+/);
    this.sites = child;
    this.sitesUrl = (await found)[0];
  }

  /** Starts the server; after the first time on the same port. */
  async start() {
    const { child, found } = begin(
      this.program, ['serve', '--port', String(this.port), '--data-dir', this.folder, '--access-log', 'none'],
      {
        LOWRANK_CIVITAI_URL: this.sitesUrl,
        HF_ENDPOINT: this.sitesUrl,
        // Index and tokens of its own.
        HOME: this.folder,
        ...Object.fromEntries(['XDG_CACHE_HOME', 'XDG_DATA_HOME', 'XDG_CONFIG_HOME', 'XDG_STATE_HOME'].map((name) => [name, join(this.folder, 'home', name)])),
      },
      /http:\/\/127\.0\.0\.1:(\d+)/,
    );
    this.server = child;
    this.port = Number((await found)[1]);
    this.address = `http://127.0.0.1:${this.port}`;
  }

  /** Ends it without a farewell, as a crash does. */
  kill() {
    return kill(this.server);
  }

  async end() {
    await kill(this.server);
    await kill(this.sites);
    rmSync(this.folder, { recursive: true, force: true });
  }
}
