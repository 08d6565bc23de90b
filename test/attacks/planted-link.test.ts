import { spawn } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, beforeEach, describe, expect, type TestContext } from 'vitest';
import { signingFindings } from '../../deploy/doctor/signing-findings.ts';
import { apply } from '../../deploy/enrol/on-host/apply.ts';
import type { Apply, Retire, Survey } from '../../deploy/enrol/on-host/asked.ts';
import { retire } from '../../deploy/enrol/on-host/retire.ts';
import { survey } from '../../deploy/enrol/on-host/survey.ts';
import { makeKeyFile } from '../../eventlog/signing/key-file.ts';
import { createRun } from '../../host/run.ts';
import { testFolder } from '../ka.ts';
import { attack } from './attack.ts';

/** The agent's user: one that every machine has. */
const agent = { name: 'nobody', uid: 65534, gid: 65534 };
const run = createRun(() => undefined);

let place: Awaited<ReturnType<typeof testFolder>>;
/** The agent's own folder, as /var/lib/kernel-agent-host is. */
let home: string;
/** A folder of root's, as /root is, and what is in it. */
let roots: string;
/** The public half of a key of root's, in that folder. */
let rootsKey: string;
let machines = 0;
beforeAll(async () => {
  place = await testFolder('attack-link');
});
afterAll(() => place?.remove());

const at = (path: string) => join(home, path);
const own = (path: string, mode: number) => {
  chownSync(path, agent.uid, agent.gid);
  chmodSync(path, mode);
};

beforeEach(() => {
  machines += 1;
  const machine = join(place.folder, `machine-${machines}`);
  [home, roots] = [join(machine, 'home'), join(machine, 'root')];
  for (const folder of [machine, home, roots, join(machine, 'etc')]) mkdirSync(folder, { mode: 0o755 });
  chmodSync(roots, 0o700);
  for (const name of ['authorized_keys', 'secret']) writeFileSync(join(roots, name), `root's ${name}\n`);
  rootsKey = makeKeyFile(join(roots, 'host.nkey')).publicKey;
  mkdirSync(join(roots, 'folder'), { mode: 0o700 });
  writeFileSync(join(roots, 'folder/file'), 'root’s\n', { mode: 0o600 });
  if (process.getuid?.() === 0) own(home, 0o700);
});

const asAgent = (act: () => void) => {
  process.setegid?.(agent.gid);
  process.seteuid?.(agent.uid);
  try {
    act();
  } finally {
    process.seteuid?.(0);
    process.setegid?.(0);
  }
};

/** All of root's files, as they are. */
const rootsFiles = () =>
  readdirSync(roots, { recursive: true, withFileTypes: true })
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
    .map((path) => {
      const { uid, gid, mode } = lstatSync(path);
      return { path, uid, gid, mode, text: lstatSync(path).isFile() ? readFileSync(path, 'utf8') : '' };
    });

const places = () => ({
  keyFile: at('keys/host.nkey'),
  identityFile: at('keys/id_ed25519'),
  owedFile: join(dirname(home), 'etc/restart-owed'),
});
const folders = () => [
  { path: home, mode: 0o700, owner: agent.name },
  { path: at('keys'), mode: 0o700, owner: agent.name },
  { path: at('offered'), mode: 0o755, owner: agent.name },
];
/** Enrolment's change of the host, with nothing to do but what is named. */
const applied = (change: Partial<Apply>) =>
  apply(
    run,
    {
      do: 'apply',
      ...{ places: places(), user: null, folders: [], files: [], links: [] },
      ...{ keysOf: agent.name, makesKeys: false, identityComment: '' },
      ...{ pacmanConfig: null, pacmanRepository: null, logins: null, check: null },
      ...change,
    },
    () => undefined,
  );
const enrol = () =>
  applied({ folders: folders(), makesKeys: true, identityComment: 'kernel-agent@boltzmann' });
const look = (openWork: string[] = []) =>
  survey(run, {
    do: 'survey',
    ...{ places: places(), configFile: at('none'), openWork, user: agent.name, programs: [], paths: [] },
    ...{
      files: [],
      folders: folders(),
      links: [],
      pacmanConfig: null,
      pacmanRepository: null,
      logins: null,
      units: [],
    },
  } satisfies Survey);
const leave = (change: Partial<Retire> = {}) => {
  const configFile = join(dirname(home), 'etc/agent.yaml');
  writeFileSync(configFile, `fleet: f\nhost: boltzmann\nkeyFile: ${at('keys/host.nkey')}\n`);
  const asked: Retire = {
    do: 'retire',
    ...{ host: 'boltzmann', configFile, units: [], openWork: [], force: false, dryRun: false },
    ...{ remove: [at('state'), at('keys')], removeIfEmpty: [], user: null, ...change },
  };
  // No systemd runs a test's machine.
  const quiet: typeof run = async (argv, options) =>
    argv[0] === 'systemctl' ? { exitCode: 0, stdout: '', stderr: '' } : run(argv, options);
  return retire(quiet, asked, () => undefined);
};

/** What was planted, and where it leads. */
const links: readonly (readonly [string, string])[] = [
  ['keys', 'folder'],
  ['keys', '.'],
  ['keys/host.nkey', 'host.nkey'],
  ['keys/host.nkey', 'secret'],
  ['keys/host.nkey', 'made-up'],
  ['keys/host.nkey.new', 'host.nkey'],
  ['keys/host.nkey.part', 'authorized_keys'],
  ['keys/id_ed25519', 'secret'],
  ['keys/id_ed25519', 'made-up'],
  ['keys/id_ed25519.pub', 'authorized_keys'],
  ['keys/id_ed25519.part', 'authorized_keys'],
  ['keys/id_ed25519.part.pub', 'authorized_keys'],
  ['offered', 'folder'],
  ['offered', 'secret'],
  ['state', 'folder'],
];

/** It is root whose files are in question. */
const onlyRoot = (test: () => Promise<void>) => async (context: TestContext) => {
  if (process.getuid?.() !== 0) return context.skip('only root has files that others may not have');
  await test();
};

describe('the agent’s user plants a link, and root enrols the host again', () => {
  for (const [link, target] of links)
    attack(
      'planted-link',
      `${link} → ${target}: nothing of root’s is given away, read or changed`,
      onlyRoot(async () => {
        asAgent(() => {
          if (link.includes('/')) mkdirSync(dirname(at(link)), { mode: 0o700 });
          symlinkSync(join(roots, target), at(link));
        });
        const before = rootsFiles();
        const said = await Promise.allSettled([look(), enrol()]);
        expect(rootsFiles()).toEqual(before);
        const shown = JSON.stringify(
          said.map((each) => ('value' in each ? each.value : String(each.reason))),
        );
        expect(shown).not.toContain("root's");
        expect(shown).not.toContain(rootsKey);

        await leave();
        expect(rootsFiles()).toEqual(before);
        // Once the link is gone, the host is enrolled as usual.
        rmSync(at('keys'), { recursive: true, force: true });
        rmSync(at('offered'), { recursive: true, force: true });
        const { key, sshPublicKey } = await enrol();
        expect([key?.publicKey, sshPublicKey]).toEqual([
          expect.stringMatching(/^U/),
          expect.stringMatching(/^ssh/),
        ]);
        expect(lstatSync(at('keys/host.nkey'))).toMatchObject({ uid: agent.uid, gid: agent.gid });
        expect(lstatSync(at('keys/id_ed25519'))).toMatchObject({ uid: agent.uid, gid: agent.gid });
      }),
    );

  attack(
    'planted-link',
    'links that come and go while root works lead nowhere either',
    onlyRoot(async () => {
      const before = rootsFiles();
      const names = ['host.nkey', 'host.nkey.part', 'id_ed25519', 'id_ed25519.part', 'id_ed25519.pub'];
      const targets = ['authorized_keys', 'host.nkey', 'made-up'];
      const script = `cd "$1" && while :; do mkdir -p keys offered; for name in ${names.join(' ')}; do
        for target in ${targets.join(' ')}; do ln -sfn "$2/$target" keys/$name; rm -f keys/$name; done; done
        rm -rf offered; ln -s "$2/folder" offered; rm -f offered
        mv keys away; ln -s "$2" keys; rm -f keys; mv away keys; done`;
      const racer = spawn(
        'setpriv',
        [...['--reuid=65534', '--regid=65534', '--clear-groups', 'bash', '-c', script, '-'], home, roots],
        { stdio: 'ignore' },
      );
      try {
        for (const until = Date.now() + 4000; Date.now() < until; ) {
          await enrol().catch(() => undefined);
          await leave().catch(() => undefined);
        }
        expect(racer.exitCode).toBeNull();
      } finally {
        racer.kill('SIGKILL');
      }
      expect(rootsFiles()).toEqual(before);
    }),
  );

  attack(
    'planted-link',
    'a file that root alone has to write is not written where the user can put a link',
    onlyRoot(async () => {
      const before = rootsFiles();
      asAgent(() => symlinkSync(join(roots, 'authorized_keys'), at('agent.yaml')));
      const bytes = Buffer.from('text');
      const file = { path: at('agent.yaml'), mode: 0o644, owner: 'root', base64: bytes.toString('base64') };
      const there = { ...places(), owedFile: at('restart-owed') };
      const files = [{ ...file, sha256: '982d9e3eb996f559e633f4d194def3761d909f5a3b647d1a851fead67c32c9d1' }];
      await expect(applied({ places: there, files })).rejects.toThrow(/user 65534 can change what is in/);
      const folder = { path: at('etc'), mode: 0o755, owner: 'root' };
      await expect(applied({ places: there, folders: [folder] })).rejects.toThrow(
        /user 65534 can change what is in/,
      );
      expect(rootsFiles()).toEqual(before);
      expect(readdirSync(home)).toEqual(['agent.yaml']);
    }),
  );

  attack(
    'planted-link',
    'a folder of root’s that holds files is not given to the agent’s user',
    onlyRoot(async () => {
      const before = rootsFiles();
      const given = { path: join(roots, 'folder'), mode: 0o755, owner: agent.name };
      await expect(applied({ folders: [given] })).rejects.toThrow(/belongs to root and is not empty/);
      expect(rootsFiles()).toEqual(before);
    }),
  );

  attack(
    'planted-link',
    'the question for open work is asked as the agent’s user, since SQLite would follow a link',
    onlyRoot(async () => {
      mkdirSync(at('state'), { mode: 0o700 });
      new Database(at('state/journal.db')).exec('CREATE TABLE a (b)').close();
      for (const name of ['state', 'state/journal.db']) own(at(name), 0o700);
      const program = join(dirname(home), 'host.mjs');
      writeFileSync(
        program,
        `const attempts = ['as ' + process.getuid() + ' ' + process.getgroups()];
console.log(JSON.stringify({ deadline: null, attempts, unsent: 0 }));\n`,
        { mode: 0o644 },
      );
      expect((await look([process.execPath, program])).open?.attempts).toEqual(['as 65534 65534']);
      expect((await leave({ openWork: [process.execPath, program] })).refused).toContain('as 65534 65534');
    }),
  );

  attack(
    'planted-link',
    'a tree of the user’s is removed, and no link in it is followed',
    onlyRoot(async () => {
      const before = rootsFiles();
      asAgent(() => {
        for (const folder of ['state', 'state/work']) mkdirSync(at(folder), { mode: 0o700 });
        symlinkSync(join(roots, 'folder'), at('state/work/1'));
        symlinkSync(roots, at('state/all'));
      });
      await leave();
      expect(existsSync(at('state'))).toBe(false);
      expect(rootsFiles()).toEqual(before);
    }),
  );

  attack(
    'planted-link',
    'root makes a next key as the owner of its folder',
    onlyRoot(async () => {
      const before = rootsFiles();
      mkdirSync(at('keys'), { mode: 0o700 });
      own(at('keys'), 0o700);
      asAgent(() => symlinkSync(join(roots, 'authorized_keys'), at('keys/host.nkey.new.part')));
      makeKeyFile(at('keys/host.nkey.new'));
      expect(lstatSync(at('keys/host.nkey.new'))).toMatchObject({ uid: agent.uid, gid: agent.gid });
      expect(rootsFiles()).toEqual(before);
    }),
  );

  attack(
    'planted-link',
    'ka doctor runs gpg as the owner of its home, whose config names programs',
    onlyRoot(async () => {
      mkdirSync(at('gnupg'), { mode: 0o700 });
      own(at('gnupg'), 0o700);
      const signing = { gnupgHome: at('gnupg'), fingerprint: 'A'.repeat(40), keyring: '/none' };
      await signingFindings([{ fleetFile: '/f', nats: { servers: [] }, file: '/c', signing }]);
      const made = readdirSync(at('gnupg'));
      expect(made.length).toBeGreaterThan(0);
      for (const name of made) expect(lstatSync(at(`gnupg/${name}`))).toMatchObject({ uid: agent.uid });
    }),
  );
});
