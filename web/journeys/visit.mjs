// One person at the page: what the journeys do again and again.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
/** For pictures and trainings on a slow machine. */
export const PATIENCE = 240_000;

export class Visit {
  /** Opens a browser on the server at `served.address`. */
  static async begin(served) {
    const visit = new Visit();
    visit.served = served;
    /** What the page has asked the server for: "POST /v1/jobs" → the fields of the bodies it sent. */
    visit.asked = new Map();
    visit.browser = await chromium.launch({
      executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
      args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
    });
    const context = await visit.browser.newContext({ viewport: { width: 1440, height: 900 }, reducedMotion: 'reduce' });
    visit.page = await context.newPage();
    visit.page.setDefaultTimeout(120_000);
    /** Errors in the page, and requests to elsewhere: none of both may happen. */
    visit.strange = [];
    visit.page.on('pageerror', (error) => visit.strange.push(error.message));
    visit.page.on('request', (request) => {
      const { protocol, host } = new URL(request.url());
      if (protocol.startsWith('http') && host !== new URL(served.address).host) visit.strange.push(`asked ${host}`);
      if (request.resourceType() === 'fetch' && protocol.startsWith('http')) visit.remember(request);
    });
    visit.page.on('dialog', (dialog) => void dialog.accept());
    return visit;
  }

  remember(request) {
    const key = `${request.method()} ${new URL(request.url()).pathname}`;
    const fields = this.asked.get(key) ?? new Set();
    this.asked.set(key, fields);
    if (!request.headers()['content-type']?.includes('json')) return;
    const body = request.postDataJSON();
    for (const name of Object.keys(body ?? {})) fields.add(name);
    // A picture's request has the fields of A1111's route.
    const route = { txt2img: 'txt2img', img2img: 'img2img', extras: 'extra-single-image' }[body?.kind];
    if (!route) return;
    const inner = this.asked.get(`POST /sdapi/v1/${route}`) ?? new Set();
    this.asked.set(`POST /sdapi/v1/${route}`, inner);
    for (const name of Object.keys(body.request)) inner.add(name);
  }

  /** Goes to a view: "create", "loras/NAME" … */
  async open(view) {
    await this.page.goto(`${this.served.address}/#/${view}`);
    await this.page.locator('main h1').waitFor({ state: 'attached' });
  }

  /** What the server answers, as JSON. */
  async ask(path, options) {
    return (await fetch(this.served.address + path, options)).json();
  }

  async jobs() {
    return (await this.ask('/v1/jobs')).jobs;
  }

  prompt() {
    return this.page.getByLabel('Prompt', { exact: true });
  }

  press() {
    return this.page.getByRole('button', { name: /^Generate/ }).click();
  }

  /** Does something and waits until the server has a job from it; its id. */
  async jobFrom(act) {
    const [answer] = await Promise.all([
      this.page.waitForResponse((r) => r.url().endsWith('/v1/jobs') && r.request().method() === 'POST'),
      act(),
    ]);
    return (await answer.json()).id;
  }

  generate() {
    return this.jobFrom(() => this.press());
  }

  setSteps(steps) {
    return this.page.getByLabel('Sampling steps', { exact: true }).fill(String(steps));
  }

  /** Nothing runs or waits any more, and the page knows it. */
  async finished() {
    while ((await this.jobs()).some((job) => job.state === 'queued' || job.state === 'running')) await this.page.waitForTimeout(200);
    await this.page.waitForFunction(
      () => document.querySelector('.presence')?.textContent === 'Ready' && !document.querySelector('.running'), null, { timeout: PATIENCE });
  }

  /** Drops files on the page as a file manager does. */
  async drop(files) {
    await this.page.evaluate((list) => {
      const data = new DataTransfer();
      for (const { name, text } of list)
        data.items.add(new File([Uint8Array.from(atob(text), (c) => c.charCodeAt(0))], name, { type: 'image/png' }));
      dispatchEvent(new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true }));
    }, files.map(({ name, bytes }) => ({ name, text: Buffer.from(bytes).toString('base64') })));
  }

  /** No violation of axe's rules on what is on the screen now. */
  async scan(what) {
    // Evaluating passes the page's own policy, which allows no other scripts.
    await this.page.evaluate(axe);
    const { violations } = await this.page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
    const list = violations.map((v) => `${v.id}: ${v.nodes.slice(0, 4).map((n) => `${n.target.join(' ')} ${n.failureSummary.split('\n').slice(1, 2)}`).join(' | ')}`);
    assert.deepEqual(list, [], `${what} has violations`);
  }
}
