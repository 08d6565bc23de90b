import { expect, onTestFinished } from 'vitest';
import { breakPkgbuild } from '../broken-pkgbuild.ts';
import { iterationUnderWay } from '../faults/iteration-under-way.ts';
import { planVariant } from '../plan-variant.ts';
import { startTestFleet } from '../test-fleet.ts';
import { attack } from './attack.ts';

const planted = 'echo planted >> init/main.c';

attack(
  'package-after-approval',
  'a package that was changed after preflight is not landed, and a retry shows the change to its reviewer',
  async () => {
    const fleet = await startTestFleet('attack-package');
    onTestFinished(() => fleet.remove());
    const underWay = iterationUnderWay(
      fleet,
      await planVariant(fleet.folder, { iteration: 'plant' }),
      'plant',
    );
    await underWay.start();
    await underWay.event('ReviewRequested');
    await breakPkgbuild(fleet, (text) => text.replace('\n\n  mkdir -p', `\n  ${planted}\n\n  mkdir -p`));
    const { heads } = await fleet.world();
    await fleet.approve('plant');

    const failed = await underWay.event('LandFailed');
    expect(failed.data).toMatchObject({
      fault: 'work',
      code: 'moved',
      reason: expect.stringContaining('PKGBUILD'),
    });
    await underWay.event('IterationFailed');
    expect((await fleet.world()).heads).toEqual(heads);

    const { exitCode, stderr } = await fleet.ka('retry', 'plant');
    expect({ exitCode, stderr }).toMatchObject({ exitCode: 0 });
    await underWay.event('ReviewRequested', 2);
    const review = JSON.parse((await fleet.ka('review', 'plant', '--json')).stdout);
    expect(review.missing).toEqual(['sonnet-architect']);
    expect(review.packaging.diff).toContain(`+  ${planted}`);
    expect(review.prepared.beside.files).toContainEqual({ status: 'M', path: 'init/main.c' });
    expect(await fleet.types('plant')).not.toContain('BuildRequested');
  },
  600_000,
);
