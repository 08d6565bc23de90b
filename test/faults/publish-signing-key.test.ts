import { copyFile, cp, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { planVariant } from '../plan-variant.ts';
import { generateSigningKey, type SigningKey } from '../signing-key.ts';
import type { TestFleet } from '../test-fleet.ts';
import { startFailpointFleet } from './failpoint-fleet.ts';
import type { Failpoints } from './failpoints.ts';
import { faultRow } from './fault-row.ts';
import { iterationUnderWay } from './iteration-under-way.ts';
import { reconfigure } from './sandbox-faults.ts';

describe('a signing key that does not sign', () => {
  let fleet: TestFleet;
  let points: Failpoints;
  let iter5: ReturnType<typeof iterationUnderWay>;
  let other: SigningKey;
  let fingerprint: string;

  beforeAll(async () => {
    ({ fleet, points } = await startFailpointFleet('fault-key'));
    other = await generateSigningKey(join(fleet.folder, 'other'));
    iter5 = iterationUnderWay(fleet, await planVariant(fleet.folder, { iteration: 'iter5' }), 'iter5');
    await reconfigure(fleet, 'hertz', (config) => {
      fingerprint = config.signing.fingerprint;
    });
  });
  afterAll(async () => {
    await other?.stop();
    await fleet?.remove();
  });

  const gpg = (...args: string[]) =>
    execa('gpg', [
      '--homedir',
      fleet.places.gnupgHome,
      '--batch',
      '--no-tty',
      '--pinentry-mode',
      'loopback',
      ...args,
    ]);
  const secrets = () => join(fleet.places.gnupgHome, 'private-keys-v1.d');
  const takeKeyAway = () => rename(secrets(), `${secrets()}.away`);
  const bringKeyBack = async () => {
    await rm(secrets(), { recursive: true, force: true }); // gpg makes the folder again
    await rename(`${secrets()}.away`, secrets());
  };
  const keyring = () => fleet.places.keyring('hertz');

  /** Everything that hertz serves and mirrors, byte for byte, and the names of its views. */
  const published = async () => {
    const { view, served, mirror } = await fleet.world();
    return { view, served, mirror, views: await readdir(join(fleet.places.packageRepository, 'views')) };
  };

  faultRow('signing-key', 'missing, expired or wrong, it is found before anything lands', async () => {
    const before = { heads: (await fleet.world()).heads, published: await published() };
    const faults: [says: string | RegExp, make: () => Promise<unknown>, mend: () => Promise<unknown>][] = [
      [`keycheck on hertz: The key ${fingerprint} can't sign`, takeKeyAway, bringKeyBack],
      [
        /keycheck on hertz: .* it has expired, on 20\d\d-/,
        async () => {
          await gpg('--quick-set-expire', fingerprint, 'seconds=1');
          await sleep(2000);
        },
        () => gpg('--quick-set-expire', fingerprint, 'never'),
      ],
      [
        `keycheck on hertz: hertz is set up to sign with ${other.fingerprint} and the fleet's key is ${fingerprint}`,
        () =>
          reconfigure(fleet, 'hertz', ({ signing }) => {
            signing.fingerprint = other.fingerprint;
          }),
        () =>
          reconfigure(fleet, 'hertz', ({ signing }) => {
            signing.fingerprint = fingerprint;
          }),
      ],
      [
        `which is not in ${keyring()}`,
        async () => {
          await cp(keyring(), `${keyring()}.right`);
          await copyFile(other.keyring, keyring());
        },
        () => rename(`${keyring()}.right`, keyring()),
      ],
    ];
    for (const [index, [says, make, mend]] of faults.entries()) {
      await make();
      await (index === 0 ? iter5.start() : iter5.retry());
      expect(await iter5.failure(index + 1)).toMatch(says);
      await mend();
    }
    expect(await fleet.types('iter5')).not.toContain('LandRequested');
    expect({ heads: (await fleet.world()).heads, published: await published() }).toEqual(before);
  });

  faultRow(
    'signing-key',
    'gone after that check, it is found before signing; once it is back, a retry closes',
    async () => {
      const before = await published();
      await iter5.retry();
      await iter5.approve();
      await iter5.event('BuildRequested');
      await takeKeyAway();
      expect(await iter5.failure(5)).toContain(`publish on hertz: The key ${fingerprint} can't sign`);
      expect(await published()).toEqual(before);

      // The key is gone after its check, first before the packages are signed, then before the database is.
      let failures = 5;
      for (const point of ['publish fetch acted', 'publish sign result']) {
        await bringKeyBack();
        await points.arm('hertz', point);
        await iter5.retry();
        const reached = await points.waitReached({ host: 'hertz', name: point });
        await takeKeyAway();
        await points.kill(reached, 'alone');
        failures += 1;
        expect(await iter5.failure(failures)).toContain(
          `publish on hertz: The key ${fingerprint} can't sign`,
        );
        expect(await published()).toEqual(before);
      }

      await bringKeyBack();
      await iter5.retry();
      await iter5.event('IterationClosed');
      const after = await published();
      expect(after.view).not.toBe(before.view);
      expect(after.views).toHaveLength(before.views.length + 1);
      // The packages were built only once, whatever failed.
      expect((await fleet.types('iter5')).filter((type) => type === 'BuildRequested')).toHaveLength(1);
    },
  );
});
