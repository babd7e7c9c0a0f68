// The server goes away and comes back.
import assert from 'node:assert/strict';

export default {
  'the server dies in the middle of a picture and comes back': async (visit) => {
    const { page, served } = visit;
    await visit.open('create');
    await visit.prompt().fill('what I was writing');
    await visit.setSteps(30);
    const id = await visit.generate();
    await page.locator('.running progress').waitFor();
    await served.kill();
    await page.getByText('The server cannot be reached.').waitFor();
    await visit.scan('while the server is away');
    await served.start();
    await page.getByText('The server cannot be reached.').waitFor({ state: 'detached' });
    assert.equal(await visit.prompt().inputValue(), 'what I was writing');
    await page.reload();
    assert.equal(await visit.prompt().inputValue(), 'what I was writing');
    await visit.finished();
    assert.equal((await visit.ask(`/v1/jobs/${id}`)).state, 'completed');
    await visit.setSteps(20);
  },
};
