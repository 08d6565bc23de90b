import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Run } from '../../../host/run.ts';
import { configFiles, configFolder, hostPlaces, loginsFolder, programsFolder, stateHome } from '../places.ts';
import { removedFiles } from '../retire-host.ts';
import { wantedPacmanConfig } from './pacman-config.ts';
import { retire } from './retire.ts';

let machine: string;
const there = (path: string) => join(machine, path);
const put = (path: string, text = '') => {
  mkdirSync(dirname(there(path)), { recursive: true });
  writeFileSync(there(path), text);
};

beforeEach(() => {
  machine = mkdtempSync(join(tmpdir(), 'ka-retire-'));
  for (const file of configFiles) if (file !== loginsFolder) put(file);
  put(hostPlaces.config, `fleet: reauktion\nhost: fresnel\nkeyFile: ${hostPlaces.key}\nrole: board\n`);
  put(`${programsFolder}/0123/agent.mjs`);
  put(hostPlaces.unit);
  put(`${hostPlaces.deadlineUnit}.d/override.conf`);
  put(hostPlaces.key);
  put(`${hostPlaces.state}/journal.db`);
});
afterEach(() => rmSync(machine, { recursive: true, force: true }));

const said: string[] = [];
/** A test's machine is not run by systemd: no unit is found. */
const run: Run = async () => ({ exitCode: 0, stdout: 'not-found\n', stderr: '' });
const retireHere = (change: Partial<Parameters<typeof retire>[1]> = {}, purge = false, by = run) =>
  retire(
    by,
    {
      do: 'retire',
      host: 'fresnel',
      configFile: there(hostPlaces.config),
      units: [],
      openWork: [],
      force: false,
      dryRun: false,
      remove: removedFiles(purge).map(there),
      removeIfEmpty: [configFolder, ...(purge ? [stateHome] : [])].map(there),
      user: null,
      ...change,
    },
    (line) => said.push(line),
  );

it('removes what enrolment put there, and leaves state and keys', async () => {
  await retireHere();
  expect(existsSync(there(configFolder))).toBe(false);
  expect(existsSync(there(programsFolder))).toBe(false);
  expect(readdirSync(there(dirname(hostPlaces.unit)))).toEqual([]);
  expect(readdirSync(there(stateHome)).toSorted()).toEqual(['keys', 'state']);
});

it('leaves other files in the same folders: a coordinator’s config and key, an operator’s folders', async () => {
  put(`${configFolder}/coordinator.yaml`);
  put(`${configFolder}/keys/coordinator.nkey`);
  put(`${stateHome}/sources/linux.tar`);
  await retireHere({}, true);
  expect(readdirSync(there(configFolder)).toSorted()).toEqual(['coordinator.yaml', 'keys']);
  expect(existsSync(there(`${configFolder}/keys/coordinator.nkey`))).toBe(true);
  expect(readdirSync(there(stateHome))).toEqual(['sources']);
  expect(said).toContain(
    `${there(configFolder)} stays, with coordinator.yaml, keys: enrolment did not put that there`,
  );
});

it('takes the hook away, and the repository that enrolment has put into pacman’s configuration', async () => {
  const everyday = there('/etc/pacman.conf');
  put('/etc/pacman.conf', '[options]\n');
  put(
    hostPlaces.config,
    `fleet: reauktion\nhost: fresnel\nkeyFile: ${hostPlaces.key}\npacman: { configFile: ${everyday} }\n`,
  );
  put(hostPlaces.pacmanHook);
  const section = { name: 'marfrit', text: '[marfrit]\nServer = http://hertz.example.org\n' };
  const wanted = await wantedPacmanConfig(run, { configFile: everyday, section });
  writeFileSync(everyday, wanted?.bytes ?? '');
  await retireHere();
  expect(readFileSync(everyday, 'utf8')).toBe('[options]\n');
  expect(existsSync(there(hostPlaces.pacmanHook))).toBe(false);
});

it('removes a host’s whole home if nothing else is in it', async () => {
  await retireHere({}, true);
  expect(existsSync(there(stateHome))).toBe(false);
});

it('only reports what it would do in a dry run', async () => {
  const dry = await retireHere({ dryRun: true }, true);
  expect(existsSync(there(hostPlaces.key))).toBe(true);
  expect(dry.did).toEqual((await retireHere({}, true)).did);
});

it('leaves another host’s machine alone, even by force', async () => {
  const { refused, isForceable, did } = await retireHere({ host: 'boltzmann', force: true }, true);
  expect(refused).toContain('is fresnel of the fleet reauktion, and not boltzmann');
  expect({ isForceable, did }).toEqual({ isForceable: false, did: [] });
  expect(existsSync(there(hostPlaces.unit))).toBe(true);
});

it('can be forced if its program is broken, for example after an interruption', async () => {
  const broken: Run = async () => {
    throw new Error('Cannot find module');
  };
  put(`${programsFolder}/0123/host.mjs`);
  const openWork = ['node', there(`${programsFolder}/0123/host.mjs`), 'open'];
  expect(await retireHere({ openWork }, false, broken)).toMatchObject({
    refused: expect.stringContaining("can't say what is open there (Cannot find module)"),
    isForceable: true,
  });
  expect((await retireHere({ openWork, force: true })).refused).toBeNull();
});

it('reports the process that still uses the user, after everything else is removed', async () => {
  const used: Run = async ([program]) =>
    program === 'userdel'
      ? { exitCode: 8, stdout: '', stderr: 'userdel: user kernel-agent is currently used by process 7\n' }
      : { exitCode: 0, stdout: 'kernel-agent:x:990:990::/:/usr/sbin/nologin\n', stderr: '' };
  await expect(retireHere({ user: 'kernel-agent' }, true, used)).rejects.toThrow(
    /all but the user kernel-agent is removed: .*process 7; end that/,
  );
  expect(existsSync(there(programsFolder))).toBe(false);
});

it('purges the users as whom others logged in, and lets nobody in any more', async () => {
  put(hostPlaces.sshdDropIn);
  const ran: string[] = [];
  const passwd = [
    'ka-hertz:x:990:990::/nonexistent:/usr/sbin/nologin',
    'ka-person:x:1000:1000::/home/ka-person:/bin/bash',
    'kernel-agent:x:991:991::/:/usr/sbin/nologin',
  ];
  const listening: Run = async (argv) => {
    ran.push(argv.join(' '));
    return { exitCode: 0, stdout: `${passwd.join('\n')}\n`, stderr: '' };
  };
  await retireHere({}, false, listening);
  expect(existsSync(there(hostPlaces.sshdDropIn))).toBe(false);
  expect(ran.filter((line) => line.startsWith('userdel'))).toEqual([]);
  await retireHere({ user: 'kernel-agent' }, true, listening);
  expect(ran.filter((line) => line.startsWith('userdel') || line.startsWith('loginctl'))).toEqual([
    'loginctl terminate-user -- ka-hertz',
    'userdel -- ka-hertz',
    'userdel -- kernel-agent',
  ]);
});
