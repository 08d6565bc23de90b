import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { stringify } from 'yaml';
import type { z } from 'zod';
import { readConfigFile } from '../../eventlog/files/config-file.ts';
import { generateWriterKey, readWriterKey } from '../../eventlog/signing/writer-key.ts';
import { createRun } from '../../host/run.ts';
import { Fleet } from '../../schemas/fleet.ts';
import { trustFileText } from '../../schemas/trust-file.ts';
import { readYaml } from '../../schemas/yaml-file.ts';
import { changeHost } from './change-host.ts';
import { type HostBuild, makeBuild } from './host-build.ts';
import type { HostLine } from './host-line.ts';
import { type HostLook, lookAtHost } from './look-at-host.ts';
import { ownTarget } from './node-gyp.ts';
import { apply } from './on-host/apply.ts';
import type { Asked, Started, Surveyed } from './on-host/asked.ts';
import { survey } from './on-host/survey.ts';
import { writtenHosts } from './testdata/written-hosts.ts';
import { wantedHost } from './wanted-host.ts';

const run = createRun(() => undefined);
const { board } = writtenHosts as { board: Extract<(typeof writtenHosts)['board'], { role: 'board' }> };
const publicKey = () => readWriterKey(generateWriterKey()).publicKey;

let build: HostBuild;
beforeAll(async () => {
  build = await makeBuild(ownTarget(), 'board', {});
});

let folder: string;
let root: string;
let files: { host: string; hostConfigFile: string; fleetFile: string };
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ka-enrol-'));
  root = join(folder, 'machine');
  files = {
    host: 'fresnel',
    hostConfigFile: join(folder, 'fresnel.yaml'),
    fleetFile: join(folder, 'fleet.yaml'),
  };
  for (const name of ['ca.pem', 'packages.gpg']) writeFileSync(join(folder, name), name);
  writeFileSync(files.hostConfigFile, stringify(writtenHosts.board));
  const fleet = {
    fleet: 'reauktion',
    signingKey: 'A'.repeat(40),
    ...{ admin: { publicKey: publicKey() }, coordinator: { publicKey: publicKey() } },
    ...{ operators: {}, hosts: {} },
  };
  writeFileSync(files.fleetFile, stringify(fleet));
  const gpg = join(root, 'gnupg');
  for (const each of [gpg, join(root, 'etc/systemd/system')]) mkdirSync(each, { recursive: true });
  writeFileSync(join(gpg, 'gpg.conf'), '');
  for (const name of ['pacman.conf', 'pacman-local.conf'])
    writeFileSync(join(root, 'etc', name), `[options]\nGPGDir = ${gpg}\n`);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** A question with all paths moved below `root`, and root replaced by this user as owner. */
const below = <Question extends Asked>(asked: Question): Question =>
  JSON.parse(
    JSON.stringify(asked)
      .replaceAll(/"\/(etc|usr\/local\/lib|var\/lib)\//g, `"${root}/$1/`)
      .replaceAll(/"(owner|keysOf)":"root"/g, `"$1":"${userInfo().username}"`),
  );
const above = (answer: unknown): unknown => JSON.parse(JSON.stringify(answer).replaceAll(`"${root}/`, '"/'));

class Cut extends Error {}

interface Machine {
  /** Whether its units run. */
  isUp: boolean;
  /** How often they were started. */
  starts: number;
}

/**
 * A line to a machine that is a folder. The code that looks at files and puts them in place is that of a real host. Its
 * units are up once they were started, and no program is missing.
 * @param cut breaks the line before or after the nth question that changes something.
 */
const lineTo = (machine: Machine, cut?: { nth: number; when: 'before' | 'after' }): HostLine => {
  let changes = 0;
  const answerTo = async (asked: Asked): Promise<unknown> => {
    switch (asked.do) {
      case 'survey': {
        const seen = await survey(run, below(asked));
        const [active, enabled] = machine.isUp ? ['active', 'enabled'] : ['inactive', 'disabled'];
        const units = asked.units.map((name) => ({ name, active, enabled }));
        return { ...seen, uid: 0, systemd: '257', missing: [], open: null, units } satisfies Surveyed;
      }
      case 'apply':
        return apply(run, below(asked), () => undefined);
      case 'start': {
        machine.isUp = true;
        machine.starts += 1;
        rmSync(below(asked).places.owedFile, { force: true });
        const units = asked.units.map((name) => ({ name, active: 'active', says: [] }));
        return { units } satisfies z.input<typeof Started>;
      }
      case 'retire':
        throw new Error('nobody is retired here');
    }
  };
  return {
    async ask(asked, answer) {
      if (asked.do !== 'survey') changes += 1;
      const isCut = (when: 'before' | 'after') =>
        asked.do !== 'survey' && changes === cut?.nth && cut.when === when;
      if (isCut('before')) throw new Cut();
      const answered = await answerTo(asked);
      if (isCut('after')) throw new Cut();
      return answer.parse(above(answered));
    },
    close: () => undefined,
  };
};

const look = async (line: HostLine): Promise<HostLook> =>
  lookAtHost(line, await wantedHost(files), async () => build, {});

const enrol = async (line: HostLine): Promise<void> => {
  const seen = await look(line);
  if (seen.differences.length > 0) await changeHost(line, await wantedHost(files), seen, {});
};

/** All files and links of the machine. */
const filesThere = (): string[] =>
  readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();

const pinned = () => readYaml(readFileSync(files.fleetFile, 'utf8'), Fleet).value?.hosts.fresnel?.publicKey;
const copyThere = () => readFileSync(join(root, 'etc/kernel-agent/trust.json'), 'utf8');
const trustNow = () => trustFileText(readConfigFile(files.fleetFile, Fleet));

it('makes a machine a host with a pinned key, and finds nothing to do the next time', async () => {
  const line = lineTo({ isUp: false, starts: 0 });
  const first = await look(line);
  expect(first.differences).toContain("make the host's key /var/lib/kernel-agent-host/keys/host.nkey");
  expect(first.differences).toContain(`install build ${build.name}`);
  const keys = await changeHost(line, await wantedHost(files), first, {});
  expect(keys.sshPublicKey).toMatch(/^ssh-ed25519 .* kernel-agent@fresnel$/);
  expect(pinned()).toBe(keys.key.publicKey);
  expect(copyThere()).toBe(trustNow());
  expect((await look(line)).differences).toEqual([]);
});

it('changes one file if one differs, and restarts the units', async () => {
  const machine = { isUp: false, starts: 0 };
  await enrol(lineTo(machine));
  writeFileSync(join(dirname(files.hostConfigFile), 'packages.gpg'), 'another keyring');
  const { differences } = await look(lineTo(machine));
  expect(differences).toEqual([
    'change /etc/kernel-agent/packages.gpg',
    'enable and restart kernel-agent-deadline.service and kernel-agent.service',
  ]);
  await enrol(lineTo(machine));
  expect(readFileSync(join(root, 'etc/kernel-agent/packages.gpg'), 'utf8')).toBe('another keyring');
  expect(machine.starts).toBe(2);
});

it('gives a board the hook, and its pacman the fleet’s repository, until the config leaves it out', async () => {
  const machine = { isUp: false, starts: 0 };
  const everyday = join(root, 'etc/pacman.conf');
  const before = readFileSync(everyday, 'utf8');
  const withRepository = (repository?: string) =>
    writeFileSync(
      files.hostConfigFile,
      stringify({
        ...writtenHosts.board,
        pacman: { ...board.pacman, ...(repository ? { repository } : {}) },
      }),
    );
  withRepository('marfrit');
  await enrol(lineTo(machine));
  const hook = readFileSync(join(root, 'etc/pacman.d/hooks/00-kernel-agent.hook'), 'utf8');
  expect(hook).toMatch(
    /^When = PreTransaction\nExec = \/usr\/bin\/env node \S+\/pacman-hook\.mjs --config /m,
  );
  expect(hook).toMatch(/^AbortOnFail$/m);
  const ask = async (...words: string[]) =>
    (await run(['pacman-conf', '--config', everyday, ...words])).stdout.trim();
  expect(await ask('--repo=marfrit', 'Server')).toBe('http://hertz.example.org/arch');
  expect(await ask('HookDir')).toBe('/etc/pacman.d/hooks/');
  expect((await look(lineTo(machine))).differences).toEqual([]);

  withRepository('other');
  expect((await look(lineTo(machine))).differences).toContain('change /etc/pacman.conf');
  await enrol(lineTo(machine));
  expect(await ask('--repo-list')).toBe('other');
  withRepository();
  await enrol(lineTo(machine));
  expect(readFileSync(everyday, 'utf8')).toBe(before);

  // One that a person has put there stays as it is.
  writeFileSync(everyday, `${before}[marfrit]\nServer = http://mirror.example.org\n`);
  withRepository('marfrit');
  await enrol(lineTo(machine));
  expect(await ask('--repo=marfrit', 'Server')).toBe('http://mirror.example.org');
});

it.each([1, 2, 3].flatMap((nth) => (['before', 'after'] as const).map((when) => ({ nth, when }))))(
  'interrupted $when its change $nth, reaches the same state the next time',
  async (cut) => {
    const machine = { isUp: true, starts: 0 }; // units that ran there before
    await expect(enrol(lineTo(machine, cut))).rejects.toThrow(Cut);
    const line = lineTo(machine);
    await enrol(line);
    expect((await look(line)).differences).toEqual([]);
    expect(machine.starts).toBe(1);
    expect(copyThere()).toBe(trustNow());
    expect(filesThere().filter((file) => file.endsWith('.part') || file.endsWith('restart-owed'))).toEqual(
      [],
    );
  },
);

it('gives the host the trust of the fleet’s file as it is after its key is pinned, not as it was at the look', async () => {
  const line = lineTo({ isUp: false, starts: 0 });
  const seen = await look(line);
  appendFileSync(files.fleetFile, 'approvals: 3\n');
  await changeHost(line, await wantedHost(files), seen, {});
  expect(copyThere()).toContain('"approvals": 3');
  expect(copyThere()).toBe(trustNow());
});
