import { spawn } from 'node:child_process';
import { createReadStream, existsSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readdir, readFile, readlink, rm, stat, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { basename, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test } from 'vitest';
import { exampleProvenance } from '../../coordinator/testing/example-attestation.ts';
import { exampleFleet, exampleTrust } from '../../coordinator/testing/example-plan.ts';
import { generateSshKey, type Sshd, startSshd } from '../../deploy/sshd.ts';
import { hashFile } from '../../host/hash-file.ts';
import { createRun } from '../../host/run.ts';
import { PackageProof, proofSuffix } from '../../schemas/attestation.ts';
import { PublisherConfig } from '../../schemas/config.ts';
import type { EffectName } from '../../schemas/effects.ts';
import { PublisherKeeps } from '../../schemas/limits.ts';
import type { StepRequest } from '../../schemas/steps.ts';
import { runStep } from '../../test/run-step.ts';
import { generateSigningKey, type SigningKey } from '../../test/signing-key.ts';
import { isThorough } from '../../test/thorough/thorough.ts';
import { makePackage } from '../../test/tiny-package.ts';
import { verifySignature } from '../runtime/openpgp-verify.ts';
import { requireProvenance } from '../runtime/provenance.ts';
import type { Effect, Step } from '../runtime/step.ts';
import { describePackage, readDatabase } from './package-database.ts';
import { publish } from './publish.ts';
import { publishPackages } from './publish-packages.ts';

const run = createRun(() => undefined);
const names = ['linux-fresnel-fourier', 'linux-fresnel-fourier-headers'];
let folder: string;
let key: SigningKey;
let other: SigningKey;
let sshd: Sshd;
let identity: string;
let mirrorServer: Server;
let mirrorUrl: string;
/** One test's own folder: state, repository and mirror. */
let place: string;
let places = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'publish-'));
  identity = join(folder, 'id');
  [key, other, sshd] = await Promise.all([
    generateSigningKey(join(folder, 'key')),
    generateSigningKey(join(folder, 'other')),
    generateSshKey(identity).then((line) =>
      startSshd({ folder: join(folder, 'sshd'), authorizedKeys: [line] }),
    ),
  ]);
  for (const version of ['7.0-1', '7.0-2', '7.0-10']) await offer(version);
  mirrorServer = createServer((request, response) => {
    createReadStream(join(place, 'mirror', basename(decodeURIComponent(request.url ?? ''))))
      .on('error', () => response.writeHead(404).end())
      .pipe(response);
  }).listen(0, '127.0.0.1');
  await new Promise((resolve) => mirrorServer.once('listening', resolve));
  mirrorUrl = `http://127.0.0.1:${(mirrorServer.address() as AddressInfo).port}/`;
});
afterAll(async () => {
  mirrorServer.close();
  await Promise.all([key.stop(), other.stop(), sshd.stop()]);
  await rm(folder, { recursive: true });
});
beforeEach(async () => {
  place = join(folder, `place${++places}`);
  await mkdir(place);
});

/** What the builder offers: both packages of a version, in a folder named like it. */
const offer = async (version: string) => {
  for (const name of names)
    await makePackage(join(folder, 'offered', version), {
      name,
      version,
      files: { [`usr/lib/modules/${name}`]: version },
    });
};

const requested = async (version: string, offered = version): Promise<StepRequest<'publish'>> => {
  const packages = await Promise.all(
    names.map((name) =>
      describePackage(run, join(folder, 'offered', offered, `${name}-${version}-any.pkg.tar.zst`)),
    ),
  );
  return {
    ...{ builder: 'boltzmann', folder: offered, packages, version },
    provenance: exampleProvenance(packages, { version }),
  };
};

const publisher = (changes: Partial<PublisherConfig> = {}): PublisherConfig =>
  PublisherConfig.parse({
    fleet: 'test',
    host: 'hertz',
    role: 'publisher',
    nats: { servers: ['127.0.0.1'] },
    keyFile: '/key',
    trustFile: '/trust.json',
    stateFolder: join(place, 'state'),
    peers: {
      boltzmann: {
        address: '127.0.0.1',
        port: sshd.port,
        user: userInfo().username,
        identity,
        hostKey: sshd.hostKey,
        folder: join(folder, 'offered'),
      },
    },
    signing: { gnupgHome: key.gnupgHome, fingerprint: key.fingerprint, keyring: key.keyring },
    repository: { name: 'fleet', folder: join(place, 'repository') },
    ...changes,
  });

const withMirror = () => publisher({ mirror: { destination: join(place, 'mirror'), url: mirrorUrl } });

const start = async (
  version: string,
  {
    host = publisher(),
    attempt = 1,
    step = publish,
  }: { host?: PublisherConfig; attempt?: number; step?: typeof publish } = {},
) =>
  (await runStep('publish', step, await requested(version), host, { folder: join(place, 'state'), attempt }))
    .evidence;

/** What a client that trusts the key gets from a folder: name → version, with every file checked. */
const asClient = async (served: string): Promise<Record<string, string>> => {
  const trusted = { keyring: key.keyring, fingerprint: key.fingerprint };
  const database = join(served, 'fleet.db');
  await verifySignature(run, { file: database, signature: `${database}.sig`, ...trusted });
  const entries = await readDatabase(run, database);
  for (const { file, sha256 } of entries) {
    const path = join(served, file);
    expect((await hashFile(path)).sha256).toBe(sha256);
    await verifySignature(run, { file: path, signature: `${path}.sig`, ...trusted });
  }
  return Object.fromEntries(entries.map(({ name, version }) => [name, version]));
};
const served = () => asClient(join(place, 'repository', 'current'));
const both = (version: string) => Object.fromEntries(names.map((name) => [name, version]));

test('the first publication makes the repository; its evidence is what is served', async () => {
  const request = await requested('7.0-2');
  const evidence = await start('7.0-2');
  const current = join(place, 'repository/current');
  expect(await readlink(current)).toBe('views/iter5.1');
  expect(await served()).toEqual(both('7.0-2'));
  expect(evidence).toEqual({
    repository: 'fleet',
    view: 'iter5.1',
    fingerprint: key.fingerprint,
    packages: await Promise.all(
      request.packages.map(async ({ name, file, sizeBytes, sha256 }) => ({
        name,
        file,
        sizeBytes,
        sha256,
        signatureSha256: (await hashFile(join(current, `${file}.sig`))).sha256,
      })),
    ),
    database: {
      file: 'fleet.db',
      sha256: (await hashFile(join(current, 'fleet.db'))).sha256,
      signatureSha256: (await hashFile(join(current, 'fleet.db.sig'))).sha256,
    },
    mirror: null,
  });
  await asClient(current);
  const files = join(current, 'fleet.files');
  await verifySignature(run, {
    file: files,
    signature: `${files}.sig`,
    keyring: key.keyring,
    fingerprint: key.fingerprint,
  });
  for (const { file } of request.packages) {
    const proof = PackageProof.parse(
      JSON.parse(await readFile(join(current, `${file}${proofSuffix}`), 'utf8')),
    );
    expect(() =>
      requireProvenance(proof.provenance, exampleTrust, proof.iteration, {
        ...{ packages: proof.packages, version: request.version, board: 'fresnel' },
      }),
    ).not.toThrow();
    expect(proof.packages).toContainEqual({ file, sha256: (await hashFile(join(current, file))).sha256 });
  }
  for (const file of await readdir(current))
    expect((await stat(join(current, file))).mode & 0o777).toBe(0o644);
});

test('a second publication keeps the packages of the first, for the client that has its database', async () => {
  await start('7.0-2');
  await start('7.0-10', { attempt: 2 });
  expect(await served()).toEqual(both('7.0-10'));
  expect(await readlink(join(place, 'repository/current'))).toBe('views/iter5.2');
  expect(await readdir(join(place, 'repository/current'))).toContain(`${names[0]}-7.0-2-any.pkg.tar.zst.sig`);
  expect(await asClient(join(place, 'repository/views/iter5.1'))).toEqual(both('7.0-2'));
  expect(
    (await readdir(join(place, 'repository/current'))).filter((file) => /old|lck|part/.test(file)),
  ).toEqual([]);
});

test('the packages of one name are limited, here and on the mirror; those that a view names stay', async () => {
  const host = publisher({
    mirror: { destination: join(place, 'mirror'), url: mirrorUrl },
    keep: PublisherKeeps.parse({ packages: { number: 1 } }),
  });
  await mkdir(join(place, 'mirror'));
  await writeFile(join(place, 'mirror', 'by-hand.pkg.tar.zst'), 'somebody else’s');
  const versionsIn = async (served: string) =>
    (await readdir(join(place, served)))
      .filter((file) => file.startsWith(`${names[1]}-`) && file.endsWith('.zst'))
      .sort();
  const [first, second, third] = ['7.0-1', '7.0-2', '7.0-10'].map(
    (it) => `${names[1]}-${it}-any.pkg.tar.zst`,
  );
  await start('7.0-1', { host });
  await start('7.0-2', { host, attempt: 2 });
  // The first view is still here, and somebody may have its database in his hands.
  expect(await versionsIn('mirror')).toEqual([first, second]);
  await rm(join(place, 'repository/views/iter5.1'), { recursive: true });
  await start('7.0-10', { host, attempt: 3 });
  expect(await versionsIn('repository/current')).toEqual([third, second].sort());
  expect(await versionsIn('mirror')).toEqual([third, second].sort());
  for (const suffix of ['.sig', proofSuffix])
    expect(await readdir(join(place, 'mirror'))).not.toContain(`${first}${suffix}`);
  expect(await readdir(join(place, 'mirror'))).toContain(`${third}${proofSuffix}`);
  expect(await readdir(join(place, 'mirror'))).toContain('by-hand.pkg.tar.zst');
  expect(await asClient(join(place, 'mirror'))).toEqual(both('7.0-10'));
  expect(await asClient(join(place, 'repository/views/iter5.2'))).toEqual(both('7.0-2'));
});

test('an older version is refused, although repo-add would accept it', async () => {
  await start('7.0-10');
  await expect(start('7.0-2', { attempt: 2 })).rejects.toMatchObject({
    fault: 'work',
    message: expect.stringContaining('7.0-2 is older than 7.0-10'),
  });
  expect(await served()).toEqual(both('7.0-10'));

  const copy = join(place, 'by-hand');
  await cp(join(place, 'repository/views/iter5.1'), copy, { recursive: true });
  await cp(
    join(folder, 'offered/7.0-2', `${names[0]}-7.0-2-any.pkg.tar.zst`),
    join(copy, `${names[0]}-7.0-2-any.pkg.tar.zst`),
  );
  const { exitCode } = await run(['repo-add', 'fleet.db.tar.gz', `${names[0]}-7.0-2-any.pkg.tar.zst`], {
    cwd: copy,
  });
  expect(exitCode).toBe(0);
  expect((await readDatabase(run, join(copy, 'fleet.db.tar.gz'))).map(({ version }) => version)).toContain(
    '7.0-2',
  );
});

test('the same version is refused if it is another file, and goes on if it is the same one', async () => {
  await start('7.0-2');
  await start('7.0-2', { attempt: 2 });
  expect(await readlink(join(place, 'repository/current'))).toBe('views/iter5.2');
  const again = join(folder, 'offered', 'again');
  for (const name of names)
    await makePackage(again, { name, version: '7.0-2', files: { 'boot/other': 'content' } });
  const request = await requested('7.0-2', 'again');
  await expect(
    runStep('publish', publish, request, publisher(), { folder: join(place, 'state'), attempt: 3 }),
  ).rejects.toMatchObject({ fault: 'work', message: expect.stringContaining('already holds another') });
  expect(await served()).toEqual(both('7.0-2'));
});

test('a package that was altered on the builder is refused, and nothing is published', async () => {
  const request = await requested('7.0-2');
  const offered = join(folder, 'offered', 'altered');
  await cp(join(folder, 'offered', '7.0-2'), offered, { recursive: true });
  const file = join(offered, request.packages[1]?.file ?? '');
  const bytes = await readFile(file);
  bytes[100] = (bytes[100] ?? 0) ^ 1;
  await writeFile(file, bytes);
  await expect(
    runStep('publish', publish, { ...request, folder: 'altered' }, publisher(), {
      folder: join(place, 'state'),
    }),
  ).rejects.toMatchObject({ fault: 'work', message: expect.stringContaining('it was altered') });
  expect(existsSync(join(place, 'repository'))).toBe(false);
});

test('a file that holds another version than was asked for is refused', async () => {
  const { packages, ...asked } = await requested('7.0-2');
  const [version, provenance] = ['7.0-3', exampleProvenance(packages, { version: '7.0-3' })];
  const request = { ...asked, packages, version, provenance };
  await expect(
    runStep('publish', publish, request, publisher(), { folder: join(place, 'state') }),
  ).rejects.toMatchObject({ fault: 'work', message: expect.stringContaining('7.0-3 was asked for') });
});

test('a package that brings what the one before did not is refused, unless the plan allows it', async () => {
  await start('7.0-1');
  const [base = ''] = names;
  const more = join(folder, 'offered', 'more');
  const files = { [`usr/lib/modules/${base}`]: '2', 'etc/cron.d/x': '* * * * * root id' };
  for (const name of names)
    await makePackage(more, { name, version: '7.0-2', files: name === base ? files : {} });
  const request = await requested('7.0-2', 'more');
  const go = (changed: typeof request, attempt: number) =>
    runStep('publish', publish, changed, publisher(), { folder: join(place, 'state'), attempt });
  await expect(go(request, 2)).rejects.toMatchObject({
    fault: 'work',
    message: expect.stringMatching(/did not: \/etc \(dir 755 .*, \/etc\/cron\.d\/x .*package\.allows/),
  });
  expect(await readlink(join(place, 'repository/current'))).toBe('views/iter5.1');
  const allows = [{ path: '/etc/cron.d/x', because: 'it is wanted' }];
  const provenance = exampleProvenance(request.packages, {
    change: ({ package: planned }) => void Object.assign(planned, { allows }),
  });
  await go({ ...request, provenance }, 3);
  expect(await readlink(join(place, 'repository/current'))).toBe('views/iter5.3');
});

test('packages that no builder attests, or that nobody approved, are not even fetched', async () => {
  const { provenance, ...without } = await requested('7.0-2');
  const ofOthers = exampleProvenance((await requested('7.0-10')).packages);
  const host = publisher({ peers: { boltzmann: { ...publisher().peers.boltzmann, port: 1 } } as never });
  for (const request of [
    without,
    { ...without, provenance: ofOthers },
    { ...without, provenance: { ...provenance, commit: 'a'.repeat(40) } as typeof provenance },
    { ...without, provenance: { ...provenance, approvals: [] } as typeof provenance },
    { ...without, provenance: exampleProvenance(without.packages, { iteration: 'iter4' }) },
  ])
    await expect(
      runStep('publish', publish, request, host, { folder: join(place, 'state') }),
    ).rejects.toMatchObject({
      fault: 'work',
      message: expect.stringMatching(/nothing is done with these packages/),
    });
  expect(existsSync(join(place, 'repository'))).toBe(false);
  expect(await readdir(join(place, 'state/work/publish.iter5.1'))).toEqual([]);
});

test('a key that can not sign is found out before anything else, and named', async () => {
  const { gnupgHome, keyring, fingerprint } = key;
  const expired = await generateSigningKey(join(place, 'expired'), 'seconds=1');
  await expired.expired();
  // A fetch before the key is known to sign would meet a builder that is not there.
  const peers = { boltzmann: { ...publisher().peers.boltzmann, port: 1 } } as PublisherConfig['peers'];
  for (const [signing, why] of [
    [{ gnupgHome, keyring, fingerprint: other.fingerprint }, 'secret half is not there'],
    [{ gnupgHome: join(place, 'nowhere'), keyring, fingerprint }, 'secret half is not there'],
    [
      { gnupgHome: expired.gnupgHome, keyring: expired.keyring, fingerprint: expired.fingerprint },
      'has expired',
    ],
    [{ gnupgHome, keyring: other.keyring, fingerprint }, `not in ${other.keyring}`],
  ] as const) {
    const started = start('7.0-2', { host: publisher({ signing, peers }), attempt: 1 });
    await expect(started).rejects.toThrow(signing.fingerprint);
    await expect(started).rejects.toMatchObject({ fault: 'host' });
    await expect(started).rejects.toThrow(why);
  }
  await expired.stop();
});

test("a view of another run under this attempt's name is left alone", async () => {
  await mkdir(join(place, 'repository/views/iter5.1'), { recursive: true });
  await expect(start('7.0-2')).rejects.toMatchObject({
    fault: 'host',
    message: expect.stringContaining('this attempt did not make it'),
  });
});

test('a file that would replace a signature or a database is not a package', async () => {
  const path = join(folder, 'offered/7.0-2', `${names[0]}-7.0-2-any.pkg.tar.zst`);
  for (const file of ['a.pkg.tar.zst.sig', 'fleet.db']) {
    await cp(path, join(place, file));
    await expect(describePackage(run, join(place, file))).rejects.toMatchObject({ fault: 'work' });
  }
});

test('a builder that is not in the config is named', async () => {
  await expect(start('7.0-2', { host: publisher({ peers: {} }) })).rejects.toThrow('has no peer boltzmann');
});

test('the mirror gets everything, and what it serves afterwards is the evidence', async () => {
  await start('7.0-1', { host: withMirror() });
  await writeFile(join(place, 'mirror/of-others'), 'stays');
  const { mirror, database } = await start('7.0-2', { host: withMirror(), attempt: 2 });
  expect(mirror).toEqual({ url: mirrorUrl, databaseSha256: database.sha256, filesMatched: 6 });
  expect(await asClient(join(place, 'mirror'))).toEqual(both('7.0-2'));
  expect(await readdir(join(place, 'mirror'))).toEqual(
    expect.arrayContaining(['of-others', `${names[0]}-7.0-1-any.pkg.tar.zst`]),
  );
});

test('a mirror that serves something else is a failure, and the next try copies again', async () => {
  const elsewhere = publisher({ mirror: { destination: join(place, 'elsewhere'), url: mirrorUrl } });
  await expect(start('7.0-2', { host: elsewhere })).rejects.toThrow(/HTTP 404/);
  expect(await served()).toEqual(both('7.0-2'));
  const { mirror } = await start('7.0-2', { host: withMirror() });
  expect(mirror?.filesMatched).toBe(6);
});

test('packages are published without a step, and a second run changes nothing', async () => {
  const files = join(place, 'files');
  const path = await makePackage(files, { name: 'filesystem', version: '1-1' });
  const publication = {
    config: publisher(),
    run,
    folder: files,
    packages: [await describePackage(run, path)],
    view: 'baseline',
  };
  const first = await publishPackages(publication);
  expect(await served()).toEqual({ filesystem: '1-1' });
  expect(await publishPackages(publication)).toEqual(first);
  await start('7.0-2');
  expect(await served()).toEqual({ filesystem: '1-1', ...both('7.0-2') });
});

class Killed extends Error {}

/** The step with a kill before an effect's act, or between its act and the note of its result. */
const killedAt =
  (name: string, when: 'before' | 'after'): Step<'publish', PublisherConfig> =>
  (request, context) => {
    const effect: Effect<EffectName<'publish'>> = (effectName, parts) =>
      context.effect(effectName, {
        ...parts,
        act: async (before) => {
          if (effectName === name && when === 'before') throw new Killed();
          const result = await parts.act(before);
          if (effectName === name) throw new Killed();
          return result;
        },
      });
    return publish(request, { ...context, effect });
  };

/** A repository and its mirror, with 7.0-1. */
let baseline: string;
test('a repository and its mirror are made from the content of a folder', async () => {
  baseline = place;
  const offered = join(folder, 'offered/7.0-1');
  const { packages } = await requested('7.0-1');
  await publishPackages({
    config: withMirror(),
    run,
    folder: offered,
    packages: await Promise.all(packages.map(({ file }) => describePackage(run, join(offered, file)))),
    view: 'baseline',
  });
  expect(await served()).toEqual(both('7.0-1'));
});

/** The kills after which clients could see something incomplete. */
const killedInSight = [
  ['view', 'after'],
  ['swap', 'before'],
  ['swap', 'after'],
  ['mirror', 'before'],
] as const;
const killedElsewhere = [
  ['trial', 'before'],
  ['fetch', 'before'],
  ['fetch', 'after'],
  ['sign', 'before'],
  ['sign', 'after'],
  ['view', 'before'],
  ['mirror', 'after'],
] as const;
test.each([...killedInSight, ...(isThorough ? killedElsewhere : [])])(
  'Killed_in_%s, %s its change: clients have a complete view, and the next run ends it',
  async (name, when) => {
    await cp(baseline, place, { recursive: true, verbatimSymlinks: true, preserveTimestamps: true });
    await expect(start('7.0-2', { host: withMirror(), step: killedAt(name, when) })).rejects.toBeInstanceOf(
      Killed,
    );
    const swapped = name === 'mirror' || (name === 'swap' && when === 'after');
    expect(await served()).toEqual(both(swapped ? '7.0-2' : '7.0-1'));
    expect(await asClient(join(place, 'mirror'))).toEqual(
      both(name === 'mirror' && when === 'after' ? '7.0-2' : '7.0-1'),
    );

    const view = join(place, 'repository/views/iter5.1');
    const built = existsSync(view) ? (await stat(view)).ino : undefined;
    const evidence = await start('7.0-2', { host: withMirror() });
    if (built !== undefined) expect((await stat(view)).ino).toBe(built);
    expect(await served()).toEqual(both('7.0-2'));
    expect(evidence.mirror?.filesMatched).toBe(6);
    expect((await readdir(join(place, 'repository/views'))).sort()).toEqual(['baseline', 'iter5.1']);
  },
);

test('a process that is killed while it builds a view leaves the old one; the next run removes what is left', async () => {
  await start('7.0-1');
  const source = (path: string) => JSON.stringify(pathToFileURL(join(import.meta.dirname, path)).href);
  const program = `
    const { runStep } = await import(${source('../../test/run-step.ts')});
    const { publish } = await import(${source('publish.ts')});
    await runStep('publish', publish, ${JSON.stringify(await requested('7.0-2'))}, ${JSON.stringify(publisher())},
      { folder: ${JSON.stringify(join(place, 'state'))}, attempt: 2, fleet: ${JSON.stringify(exampleFleet)} });`;
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', program], {
    stdio: 'inherit',
  });
  const ended = new Promise((resolve) => child.once('exit', (_, signal) => resolve(signal)));
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  const views = join(place, 'repository/views');
  while (!(await readdir(views)).includes('.unfinished.iter5.2')) {
    expect(await served()).toEqual(both('7.0-1'));
    expect(child.exitCode).toBeNull();
  }
  child.kill('SIGKILL');
  expect(await ended).toBe('SIGKILL');
  expect(await served()).toEqual(both('7.0-1'));

  await start('7.0-2', { attempt: 2 });
  expect(await served()).toEqual(both('7.0-2'));
  expect((await readdir(views)).sort()).toEqual(['iter5.1', 'iter5.2']);
});
