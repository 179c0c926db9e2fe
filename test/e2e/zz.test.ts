import { it, expect } from 'vitest';
import { openStage, takeSnapshot, waitForPage } from './support/stage.ts';
import { helloImage } from './support/images.ts';
it('x', async () => {
  const t = (s: string) => console.log(s, Math.round(performance.now() - t0)); let t0 = performance.now();
  const stage = await openStage();
  try {
    t('boot'); t0 = performance.now();
    await stage.run('true'); t('true'); t0 = performance.now();
    const image = helloImage(); t('build'); t0 = performance.now();
    const name = await stage.push(image, 'hello'); t('push'); t0 = performance.now();
    console.log(await stage.takeRequests());
    const before = await takeSnapshot(stage); t('snap'); t0 = performance.now();
    console.log(await stage.atomic(['install', name, '--name', 'spc'])); t('install'); t0 = performance.now();
    await waitForPage(stage, 'http://localhost:8081/', 'Hi World'); t('page'); t0 = performance.now();
    console.log(await stage.atomic(['update', 'spc'])); t('update'); t0 = performance.now();
    console.log(await stage.atomic(['update', 'spc', '--set', 'RECEIVER=Universe'])); t('update'); t0 = performance.now();
    console.log(await stage.atomic(['containers', 'rollback', 'spc'])); t('rb'); t0 = performance.now();
    console.log(await takeSnapshot(stage)); 
    console.log(await stage.atomic(['uninstall', 'spc'])); t('un'); t0 = performance.now();
    expect(await takeSnapshot(stage)).toBe(before);
  } finally { await stage.close(); t('close'); }
});
