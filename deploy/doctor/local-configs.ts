import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { z } from 'zod';
import { coordinator, personWriter } from '../../schemas/events.ts';
import { Fingerprint } from '../../schemas/names.ts';
import { readYaml } from '../../schemas/yaml-file.ts';
import { hostNames, sandboxPlaces } from '../places/sandbox-places.ts';

/** The members of a daemon's or person's config that the doctor reads. A config with other faults is read too. */
const LocalConfig = z.looseObject({
  host: z.string().optional(),
  keyFile: z.string().optional(),
  identities: z.record(z.string(), z.string()).optional(),
  fleetFile: z.string().optional(),
  /** A host's. */
  trustFile: z.string().optional(),
  nats: z.looseObject({
    servers: z.array(z.string()),
    caFile: z.string().optional(),
    withinOneMachine: z.boolean().optional(),
  }),
  signing: z
    .object({ gnupgHome: z.string().optional(), fingerprint: Fingerprint, keyring: z.string() })
    .optional()
    .catch(undefined),
  peers: z
    .record(z.string(), z.object({ identity: z.string().optional() }))
    .optional()
    .catch(undefined),
  git: z
    .object({ ssh: z.object({ identity: z.string().optional() }).optional() })
    .optional()
    .catch(undefined),
  makepkg: z.object({ confinement: z.string().optional() }).optional().catch(undefined),
});
export type LocalConfig = z.infer<typeof LocalConfig> & { file: string };

const installed = '/etc/kernel-agent';

const configsIn = (folder: string): string[] =>
  existsSync(folder)
    ? readdirSync(folder)
        .filter((name) => name.endsWith('.yaml'))
        .sort()
        .map((name) => join(folder, name))
    : [];

/**
 * The configs on this machine that this user may read: the installed ones, those beside the command line's config, and
 * those of the sandbox's hosts if that config is the sandbox's.
 * @param control the command line's config, if there is one.
 */
export const localConfigs = (control: string | undefined): LocalConfig[] => {
  const files = new Set(configsIn(installed));
  if (control !== undefined) {
    for (const file of [resolve(control), ...configsIn(dirname(resolve(control)))]) files.add(file);
    const sandbox = sandboxPlaces(dirname(dirname(resolve(control))));
    if (sandbox.operatorConfig === resolve(control) && existsSync(sandbox.marker))
      for (const host of hostNames) files.add(sandbox.config(host));
  }
  return [...files].flatMap((file) => {
    try {
      const { value } = readYaml(readFileSync(file, 'utf8'), LocalConfig);
      return value === undefined ? [] : [{ ...value, file }];
    } catch {
      return []; // this user may not read it
    }
  });
};

/** The writers whose keys a config names. */
export const keysOf = ({
  host,
  keyFile,
  identities = {},
}: LocalConfig): { writer: string; keyFile: string }[] => [
  ...(keyFile === undefined ? [] : [{ writer: host ?? coordinator, keyFile }]),
  ...Object.entries(identities).map(([name, file]) => ({ writer: personWriter(name), keyFile: file })),
];
