import { expect, it } from 'vitest';
import { createRun } from '../../../host/run.ts';
import { flush } from './flush.ts';

it('reports that a file system can’t be frozen', async () => {
  await expect(
    flush(
      createRun(() => undefined),
      '/proc/self',
    ),
  ).rejects.toMatchObject({
    ...{ name: 'StepFailed', fault: 'host' },
    message: expect.stringMatching(/\/proc\/self can't be frozen.*freeze failed/),
  });
});
