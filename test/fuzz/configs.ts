import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { stringify } from 'yaml';
import type { z } from 'zod';
import { exampleFleet } from '../../coordinator/testing/example-plan.ts';
import { testKey } from '../../coordinator/testing/test-key.ts';
import { ConfigFault, readConfigFile } from '../../eventlog/files/config-file.ts';
import { checkEvent } from '../../eventlog/signing/check-event.ts';
import { trustIn } from '../../eventlog/signing/trust.ts';
import { AgentConfig, CoordinatorConfig, OperatorConfig } from '../../schemas/config.ts';
import { Fleet } from '../../schemas/fleet.ts';
import { pureTarget } from './fuzz-target.ts';
import { hostileText, mutated, mutatedText } from './hostile.ts';
import { expectPrintable } from './terminal-text.ts';

const nats = { servers: ['127.0.0.1:4222'] };
const common = {
  ...{ fleet: 'reauktion', nats, keyFile: '/k/key', trustFile: '/k/trust.json', stateFolder: '/s' },
};
const peer = {
  address: '10.0.0.1',
  user: 'ka',
  identity: '/k/ssh',
  hostKey: 'ssh-ed25519 AAAA',
  folder: '/f',
};
const signing = { fingerprint: exampleFleet.signingKey, keyring: '/k/ring' };

/** A good file of each kind. */
const files: readonly (readonly [z.ZodType, unknown])[] = [
  [Fleet, exampleFleet],
  [OperatorConfig, { fleetFile: '/k/fleet.yaml', nats, identities: { mfritsche: '/k/lars' } }],
  [CoordinatorConfig, { fleetFile: '/k/fleet.yaml', nats, keyFile: '/k/key' }],
  [
    AgentConfig,
    {
      ...common,
      ...{ host: 'boltzmann', role: 'builder', repositories: { linux: '/r/linux' } },
      git: { author: { name: 'a', email: 'a@b' }, ssh: { identity: '/k/i', knownHosts: '/k/h' } },
      makepkg: {
        carch: 'aarch64',
        sourcesFolder: '/src',
        worktreesFolder: '/w',
        packager: 'p',
        environment: { MAKEFLAGS: '-j2' },
      },
      offeredFolder: '/o',
    },
  ],
  [
    AgentConfig,
    {
      ...common,
      ...{
        host: 'hertz',
        role: 'publisher',
        peers: { boltzmann: peer },
        signing: { ...signing, gnupgHome: '/g' },
      },
      repository: { name: 'ka', folder: '/r' },
    },
  ],
  [
    AgentConfig,
    {
      ...common,
      ...{
        host: 'fresnel',
        role: 'board',
        peers: { hertz: peer },
        root: '/',
        packages: ['linux-fourier'],
        signing,
      },
      pacman: {
        command: ['pacman'],
        configFile: '/p',
        localConfigFile: '/l',
        cacheFolder: '/c',
        logFile: '/g',
        databaseFolder: '/d',
      },
      boot: {
        image: '/boot/Image',
        initramfs: '/boot/i',
        initramfsCommand: ['mk'],
        keep: ['/boot'],
        rebootCommand: ['reboot'],
      },
      repositoryUrl: 'http://h/',
      sweep: { command: ['sweep'], fixturesFolder: '/f' },
    },
  ],
];

/** The fleet's file and each daemon's config: each is accepted, or all its faults are listed line by line. */
export const configs = pureTarget<{ schema: z.ZodType; text: string }>('configs', 100, (folder) => {
  const file = join(folder, 'config.yaml');
  const kinds = files.map(([schema, good]) =>
    fc.record<{ schema: z.ZodType; text: string }>({
      schema: fc.constant(schema),
      text: fc.oneof(
        { weight: 3, arbitrary: mutated(good).map((value) => JSON.stringify(value)) },
        { weight: 1, arbitrary: mutatedText(stringify(good)) },
        { weight: 1, arbitrary: hostileText },
      ),
    }),
  );
  return {
    input: fc
      .oneof(...kinds)
      .map((one) => Object.assign(one, { [fc.toStringMethod]: () => JSON.stringify(one.text) })),
    hold: ({ schema, text }) => {
      writeFileSync(file, text);
      try {
        const value = readConfigFile(file, schema);
        // Each writer's key in an accepted fleet's file has to be usable for checks.
        if (schema !== Fleet) return;
        const trust = trustIn(value as Fleet);
        const bytes = new TextEncoder().encode('{}');
        const signature = testKey('nobody').sign('application/vnd.kernel-agent.event.v1+json', bytes);
        for (const writer of trust.writers.keys()) {
          const checked = checkEvent(trust, {
            sequence: 1,
            subject: `ka.x.${writer}.y.Z.1`,
            bytes,
            signature,
          });
          if (!('refused' in checked)) throw new Error(`${writer} was believed what nobody signed`);
        }
      } catch (error) {
        if (!(error instanceof ConfigFault)) throw error;
        for (const line of error.message.split('\n')) expectPrintable(line);
      }
    },
  };
});
