import { readFile, rename, writeFile } from 'node:fs/promises';
import { expect, it, onTestFinished } from 'vitest';
import { parse, stringify } from 'yaml';
import { makeKeyFile, readKeyFile } from '../../eventlog/signing/key-file.ts';
import { iterationUnderWay } from '../faults/iteration-under-way.ts';
import { planVariant } from '../plan-variant.ts';
import { approver, startTestFleet } from '../test-fleet.ts';
import { isThorough } from './thorough.ts';

it.runIf(isThorough)(
  'an iteration whose approver’s key is revoked while it builds waits for another approval, and closes',
  async () => {
    const fleet = await startTestFleet('revoked-key');
    onTestFinished(() => fleet.remove());
    const plan = await planVariant(fleet.folder, { iteration: 'stolen' });
    const underWay = iterationUnderWay(fleet, plan, 'stolen');
    await underWay.start();
    await underWay.approve();
    await underWay.event('BuildRequested');
    const revoked = await fleet.ka('key', 'revoke', `@${approver}`, '--why', 'stolen');
    expect(revoked).toMatchObject({ exitCode: 0 });
    await underWay.event('ApprovalVoided');

    await fleet.restart(async () => {
      const { fleetFile, keyFile } = fleet.places;
      const file = keyFile(approver);
      const old = readKeyFile(file).publicKey;
      await rename(file, `${file}.stolen`);
      const { publicKey } = makeKeyFile(file);
      const pins = parse(await readFile(fleetFile, 'utf8'));
      Object.assign(pins.operators[approver], { publicKey, earlierKeys: [old], revokedKeys: [old] });
      await writeFile(fleetFile, stringify(pins));
    });
    expect((await fleet.ka('status', 'stolen')).stdout).toContain(`waits for the review of ${approver}`);
    await fleet.approve('stolen');
    await underWay.event('IterationClosed');
    expect((await fleet.types('stolen')).filter((type) => type.startsWith('Iteration'))).toEqual([
      'IterationStarted',
      'IterationAccepted',
      'IterationClosed',
    ]);
    for (const check of [
      ['replay', '--check'],
      ['audit', '--verify'],
    ])
      expect(await fleet.ka(...check)).toMatchObject({ exitCode: 0 });
  },
);
