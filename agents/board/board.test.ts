import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import {
  appendFile,
  copyFile,
  mkdir,
  readdir,
  readFile,
  rename,
  rm,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { attestedBy, exampleProvenance } from '../../coordinator/testing/example-attestation.ts';
import { exampleFleet } from '../../coordinator/testing/example-plan.ts';
import { testKey } from '../../coordinator/testing/test-key.ts';
import { openEnvelope } from '../../eventlog/signing/envelope.ts';
import { hashFile } from '../../host/hash-file.ts';
import { createRun } from '../../host/run.ts';
import { attestationHash, TestResultStatement } from '../../schemas/attestation.ts';
import type { BoardConfig } from '../../schemas/config.ts';
import type { StepEvidence } from '../../schemas/steps.ts';
import { patienceMs } from '../../test/patience.ts';
import { runStep } from '../../test/run-step.ts';
import { generateSigningKey } from '../../test/signing-key.ts';
import { makePackage } from '../../test/tiny-package.ts';
import { Journal } from '../runtime/journal/journal.ts';
import { backup } from './backup.ts';
import { backupFile } from './backup-archive.ts';
import { install } from './install.ts';
import { createPacman } from './pacman/pacman.ts';
import { presweep } from './presweep.ts';
import { reboot } from './reboot.ts';
import { rollback } from './rollback.ts';
import { stage } from './stage.ts';
import { type SignedPackage, stagedFile } from './staged.ts';
import { sweep } from './sweep.ts';
import { extlinuxConf, pacmanCommand } from './testing/temp-board.ts';
import { names, sign } from './testing/test-packages.ts';
import { startUpgradableBoard, type UpgradableBoard } from './testing/upgradable-board.ts';
import { throughReboot } from './through-reboot.ts';

const sweepRequest = {
  paths: [
    { name: 'libva', device: true },
    { name: 'software', device: false },
  ],
  rows: [{ name: 'h264', fixture: 'clip.mp4' }, { name: 'vp9' }],
  repeats: 2,
};

/** A step that runs pacman takes a second, or twenty on a busy machine. */

describe.skipIf(pacmanCommand === undefined)('a board (pacman needs root or unshare -Ur)', () => {
  let board: UpgradableBoard;
  let host: BoardConfig;
  let first: string[];
  let second: SignedPackage[];
  let held: StepEvidence<'backup'>;
  const fresh = () => board.fresh();
  /** The arguments of pacman, without what runs it: an ordinary user runs it within unshare(1). */
  const askedOfPacman = (argv: readonly string[]) => {
    const { command } = host.pacman;
    return command.every((word, at) => argv[at] === word) ? argv.slice(command.length) : undefined;
  };
  const installedVersion = async () => (await board.pacman('-Q', names[0] ?? '')).stdout.trim().split(' ')[1];
  const toInstall = (packages: SignedPackage[], to = '7.0-2') => ({
    packages,
    fingerprint: host.signing.fingerprint,
    from: '7.0-1',
    to,
    release: '7.0.0-fourier',
    backup: held,
    provenance: exampleProvenance(packages, { version: to }),
  });
  const backToFirst = async () => {
    await rm(join(host.pacman.databaseFolder, 'db.lck'), { force: true });
    await board.pacman('-U', '--overwrite', '*', ...first);
  };
  beforeAll(async () => {
    board = await startUpgradableBoard({ headers: [20, 800] });
    ({ host, first, published: second } = board);
    await writeFile(join(host.sweep.fixturesFolder, 'clip.mp4'), 'clip');
  });
  afterAll(() => board?.stop());

  it('sweeps the kernel that runs, and does not sweep twice', async () => {
    const folder = fresh();
    const request = { ...sweepRequest, version: '7.0-1' };
    const { evidence } = await runStep('presweep', presweep, request, host, folder);
    expect(evidence.release).toBe('7.0.0-fourier');
    expect(evidence.table.map(({ row, path, status }) => `${row} ${path} ${status}`)).toEqual([
      'h264 libva ok',
      'h264 software ok',
      'vp9 libva ok',
      'vp9 software ok',
    ]);
    expect(evidence.table[0]?.sha256).not.toBe(evidence.table[1]?.sha256);
    expect(evidence.table[0]?.hashes).toHaveLength(2);
    const again = await runStep('presweep', presweep, request, host, folder);
    expect(again).toEqual({ evidence, lines: [] });
  });

  it('refuses to sweep another version, or without a fixture', async () => {
    const other = { ...sweepRequest, version: '7.0-9' };
    await expect(runStep('sweep', sweep, other, host, fresh())).rejects.toThrow(/7\.0-1 installed.*7\.0-9/);
    const missing = { ...sweepRequest, version: '7.0-1', rows: [{ name: 'h264', fixture: 'none.mp4' }] };
    await expect(runStep('sweep', sweep, missing, host, fresh())).rejects.toMatchObject({ fault: 'host' });
  });

  it('backs up once: the same system gives the same archive', async () => {
    const request = { host: 'hertz', names, version: '7.0-1' };
    held = (await runStep('backup', backup, request, host, fresh())).evidence;
    expect(held).toMatchObject({ place: 'fresnel/7.0-1', release: '7.0.0-fourier', version: '7.0-1' });
    expect(held.files.map(({ path }) => path).toSorted()).toEqual([
      '/boot/Image',
      '/boot/dtbs/board.dtb',
      '/boot/extlinux/extlinux.conf',
      '/boot/initramfs.img',
      '/usr/lib/modules/7.0.0-fourier',
    ]);
    const there = join(board.folder, 'peer', held.place, held.archive.file);
    expect((await hashFile(there)).sha256).toBe(held.archive.sha256);
    const again = await runStep('backup', backup, request, host, fresh());
    expect(again.evidence).toEqual(held);
    expect(again.lines.join()).toMatch(/holds .* already/);
  });

  it('backs up from an earlier backup what a rollback has put back', async () => {
    // Neither the cache nor the repository has it any more.
    const cached = first.flatMap((file) => [file, `${file}.sig`]).map((file) => basename(file));
    const aside = join(board.folder, 'aside');
    await mkdir(aside);
    for (const file of cached) await rename(join(host.pacman.cacheFolder, file), join(aside, file));
    const request = { host: 'hertz', names, version: '7.0-1' };
    const { evidence } = await runStep('backup', backup, request, host, fresh());
    expect(evidence).toEqual(held);
    for (const file of cached) await rename(join(aside, file), join(host.pacman.cacheFolder, file));
  });

  it('backs up from the repository what is not in the cache, and refuses what is another package', async () => {
    await board.publish(first);
    await createRun(() => undefined)(
      ['repo-add', '-q', 'ka.db.tar.gz', ...first.map((file) => file.split('/').at(-1) ?? '')],
      { cwd: board.repository },
    );
    const kept = join(board.folder, 'kept-cache');
    await rename(host.pacman.cacheFolder, kept);
    await mkdir(host.pacman.cacheFolder);
    await rm(join(host.stateFolder, 'backups'), { recursive: true });
    const request = { host: 'hertz', names, version: '7.0-1' };
    const { evidence } = await runStep('backup', backup, request, host, fresh());
    expect(evidence).toEqual(held);

    const [cached = ''] = (await readdir(kept)).filter((file) => file.endsWith('.zst'));
    const other = join(host.pacman.cacheFolder, cached);
    await copyFile(join(board.repository, second[0]?.file ?? ''), other);
    await sign(board.key, other);
    await expect(runStep('backup', backup, request, host, fresh())).rejects.toThrow(/something else/);
    await rm(host.pacman.cacheFolder, { recursive: true });
    await rename(kept, host.pacman.cacheFolder);
  });

  it('stages from the repository, and finds it here the next time', async () => {
    const { evidence } = await runStep('stage', stage, board.staging(second), host, fresh());
    expect(evidence.packages.map(({ transfers }) => transfers.map(({ path }) => path))).toEqual([
      ['repository'],
      ['repository'],
    ]);
    const again = await runStep('stage', stage, board.staging(second), host, fresh());
    expect(again.evidence.packages[0]?.transfers).toEqual([
      { path: 'here', bytes: 0, seconds: 0, complete: true },
    ]);
  });

  it('goes on over the LAN if the repository stalls', async () => {
    await rm(join(host.stateFolder, 'staged'), { recursive: true });
    board.serving.stallAfter = 300;
    board.serving.requests.length = 0;
    const { evidence } = await runStep('stage', stage, board.staging(second.slice(0, 1)), host, fresh());
    board.serving.stallAfter = undefined;
    const transfers = evidence.packages[0]?.transfers ?? [];
    expect(transfers[0]).toMatchObject({ path: 'repository', bytes: 300, complete: false });
    expect(transfers[0]?.why).toMatch(/stalled/);
    expect(transfers.at(-1)).toMatchObject({ path: 'lan', complete: true });
    expect(transfers.reduce((sum, { bytes }) => sum + bytes, 0)).toBe(second[0]?.sizeBytes);
    expect(board.serving.requests).toContain('bytes=300-');
  });

  it('refuses what is altered, unsigned, or signed by another key, and stays without room', async () => {
    const [wanted] = second;
    if (!wanted) throw new Error('nothing was built');
    const served = join(board.repository, wanted.file);
    const keep = join(board.folder, 'keep');
    await copyFile(served, keep);
    await rm(join(host.stateFolder, 'staged'), { recursive: true });
    await appendFile(served, 'x');
    await expect(runStep('stage', stage, board.staging([wanted]), host, fresh())).rejects.toMatchObject({
      fault: 'work',
    });
    await copyFile(keep, served);

    const other = await generateSigningKey(join(board.folder, 'other-key'));
    await sign(other, served);
    await other.stop();
    const { sha256: signatureSha256 } = await hashFile(`${served}.sig`);
    await expect(
      runStep('stage', stage, board.staging([{ ...wanted, signatureSha256 }]), host, fresh()),
    ).rejects.toThrow(/signature .* is refused/);
    await rm(`${served}.sig`);
    await rm(join(host.stateFolder, 'staged'), { recursive: true });
    await expect(runStep('stage', stage, board.staging([wanted]), host, fresh())).rejects.toThrow(
      /has no file|hash|bytes/,
    );
    await sign(board.key, served);

    board.serving.requests.length = 0;
    const huge = { ...wanted, sizeBytes: 1e15 };
    await expect(runStep('stage', stage, board.staging([huge]), host, fresh())).rejects.toThrow(/room/);
    expect(board.serving.requests).toEqual([]);
    const unpinned = { ...board.staging([wanted]), fingerprint: 'A'.repeat(40) };
    await expect(runStep('stage', stage, unpinned, host, fresh())).rejects.toThrow(/pins/);
    second = [{ ...wanted, signatureSha256: (await hashFile(`${served}.sig`)).sha256 }, ...second.slice(1)];
    await runStep('stage', stage, board.staging(second), host, fresh());
  });

  it('refuses to install without backup or room, an altered file, and an older package', async () => {
    const attempt = () => runStep('install', install, toInstall(second), host, fresh());
    const kept = backupFile(host, held);
    const bytes = await readFile(kept);
    await rm(kept);
    await expect(attempt()).rejects.toThrow(/make the backup again/);
    await writeFile(kept, bytes);
    await expect(
      runStep(
        'install',
        install,
        toInstall(second),
        { ...host, reserveBytes: Number.MAX_SAFE_INTEGER / 2 },
        fresh(),
      ),
    ).rejects.toThrow(/make room/);
    await expect(
      runStep('install', install, { ...toInstall(second), fingerprint: 'B'.repeat(40) }, host, fresh()),
    ).rejects.toThrow(/pins/);

    const [wanted] = second;
    if (!wanted) throw new Error('nothing was built');
    const file = stagedFile(host, wanted);
    const good = await readFile(file);
    await appendFile(file, 'x');
    await expect(attempt()).rejects.toThrow(/altered since it was staged/);
    await writeFile(file, good);

    const olderFiles = names.map((name) => makePackage(board.folder, { name, version: '6.9-1' }));
    for (const file of await Promise.all(olderFiles)) await sign(board.key, file);
    const older = await board.publish(await Promise.all(olderFiles));
    await runStep('stage', stage, board.staging(older), host, fresh());
    await expect(runStep('install', install, toInstall(older, '6.9-1'), host, fresh())).rejects.toThrow(
      /older than 7\.0-1/,
    );
    await expect(runStep('install', install, toInstall(older), host, fresh())).rejects.toThrow(
      /7\.0-2 was asked/,
    );
    expect(await installedVersion()).toBe('7.0-1');
    await runStep('stage', stage, board.staging(second), host, fresh());
  });

  it('refuses to install what no pinned builder attests or nobody approved, before it begins anything', async () => {
    const good = toInstall(second);
    const { provenance: _none, ...without } = good;
    const ofOther = exampleProvenance(second.map(({ file }) => ({ file, sha256: 'a'.repeat(64) })));
    const { attestation } = good.provenance;
    const mine = attestedBy('fresnel', JSON.parse(Buffer.from(attestation.payload, 'base64').toString()));
    for (const request of [
      without,
      { ...good, provenance: ofOther },
      { ...good, provenance: { ...good.provenance, attestation: mine } },
      { ...good, provenance: { ...good.provenance, approvals: [] } },
    ]) {
      const { folder } = fresh();
      await expect(runStep('install', install, request, host, { folder })).rejects.toMatchObject({
        fault: 'work',
        message: expect.stringMatching(/nothing is done with these packages/),
      });
      const journal = new Journal(join(folder, 'journal.db'));
      expect(journal.effects.begun({ iteration: 'iter5', step: 'install', attempt: 1 })).toEqual([]);
      journal.close();
    }
    expect(await installedVersion()).toBe('7.0-1');
  });

  it('brings what pacman and the initramfs command wrote to the disk before either is noted as done', async () => {
    const seen: string[] = [];
    await runStep('install', install, toInstall(second), host, {
      ...fresh(),
      through: (run) => (argv, options) => {
        const asked = askedOfPacman(argv);
        if (asked?.includes('-U')) seen.push('pacman -U');
        else if (!asked) seen.push(argv[0] ?? '');
        return run(argv, options);
      },
      watch: (name, phase) => void (phase === 'result' && seen.push(`${name} is noted`)),
    });
    const changes = seen.filter(
      (each) => /^pacman|^flock|^sync|noted/.test(each) && !each.startsWith('hold'),
    );
    expect(changes).toEqual([
      'pacman -U',
      'sync',
      'packages is noted',
      'flock',
      'sync',
      'initramfs is noted',
    ]);
    await backToFirst();
  });

  it('repairs what a pacman that was killed half-way left', async () => {
    const folder = fresh();
    const local = join(host.pacman.databaseFolder, 'local', `${names[1]}-7.0-2`);
    const cut = runStep('install', install, toInstall(second), host, folder);
    const ended = expect(cut).rejects.toThrow(/was ended by SIGKILL/);
    ended.catch(() => undefined); // it is awaited below
    const lock = join(host.pacman.databaseFolder, 'db.lck');
    const argvOf = (pid: string) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
      } catch {
        return []; // it has ended
      }
    };
    const isPacman = ([program, ...args]: string[]) =>
      program === 'pacman' && args.includes('-U') && args.includes(host.pacman.localConfigFile);
    for (const until = Date.now() + patienceMs; !existsSync(lock) && Date.now() < until; ) await sleep(2);
    const pid = readdirSync('/proc').find((name) => /^\d+$/.test(name) && isPacman(argvOf(name)));
    // Without a pause: the files of a small package are there within milliseconds.
    for (const until = Date.now() + patienceMs; !existsSync(local) && Date.now() < until; );
    const killed = pid !== undefined && process.kill(Number(pid), 'SIGKILL');
    await ended;
    expect(killed).toBe(true);
    expect(existsSync(join(host.pacman.databaseFolder, 'db.lck'))).toBe(true);
    expect(existsSync(join(local, 'desc'))).toBe(false);
    // This is why an exit code or -Q is no proof.
    expect((await board.pacman('-Q', names[1] ?? '')).stdout).toContain('7.0-2');

    const { evidence, lines } = await runStep('install', install, toInstall(second), host, folder);
    expect(lines.join('\n')).toMatch(/killed pacman had left .*db\.lck/);
    expect(evidence.version).toBe('7.0-2');
    expect(evidence.packages.map(({ filesAltered }) => filesAltered)).toEqual([[], []]);
    expect(evidence.packages[1]?.filesChecked).toBeGreaterThan(800);
    expect(evidence.initramfs.sha256).toBe(evidence.image.sha256);
    await backToFirst();
  });

  it('lets pacman finish when the agent is killed, and does not repeat it', async () => {
    await backToFirst();
    const { folder } = fresh();
    await mkdir(folder, { recursive: true });
    const at = (path: string) => JSON.stringify(new URL(path, import.meta.url).href);
    const agent = join(folder, 'agent.mts');
    await writeFile(
      agent,
      `import { install } from ${at('./install.ts')};
       import { runStep } from ${at('../../test/run-step.ts')};
       const [request, host, folder, fleet] = ${JSON.stringify([toInstall(second), host, folder, exampleFleet])};
       await runStep('install', install, request, host, { folder, fleet });`,
    );
    await appendFile(join(board.root, 'etc/fourier.conf'), 'mine=1\n');
    const log = (await readFile(host.pacman.logFile, 'utf8')).length;
    const child = spawn(process.execPath, ['--import', 'tsx', agent], { stdio: 'ignore' });
    const ended = once(child, 'exit');
    const lock = join(host.pacman.databaseFolder, 'db.lck');
    for (const until = Date.now() + patienceMs; !existsSync(lock) && Date.now() < until; ) await sleep(2);
    child.kill('SIGKILL');
    expect(await ended).toEqual([null, 'SIGKILL']);
    expect(existsSync(lock)).toBe(true);

    const { evidence } = await runStep('install', install, toInstall(second), host, { folder });
    expect(evidence).toMatchObject({
      version: '7.0-2',
      attestation: attestationHash(toInstall(second).provenance.attestation),
    });
    const logged = (await readFile(host.pacman.logFile, 'utf8')).slice(log);
    expect(logged.match(/transaction (started|completed)/g)).toEqual([
      'transaction started',
      'transaction completed',
    ]);
    expect(existsSync(join(board.root, 'etc/fourier.conf.pacnew'))).toBe(true);
  });

  it('lets pacman finish although it prints warnings that nobody reads any more', async () => {
    const { folder } = fresh();
    await mkdir(folder, { recursive: true });
    const at = (path: string) => JSON.stringify(new URL(path, import.meta.url).href);
    const started = join(folder, 'started');
    const late = ['sh', '-c', `: > ${started}; sleep 1; exec "$0" "$@"`, ...host.pacman.command];
    const slow = { ...host, pacman: { ...host.pacman, command: late } };
    const agent = join(folder, 'agent.mts');
    await writeFile(
      agent,
      `import { createPacman } from ${at('./pacman/pacman.ts')};
       import { createRun } from ${at('../../host/run.ts')};
       const run = createRun(() => undefined);
       await createPacman(${JSON.stringify(slow)}, run).upgrade(${JSON.stringify(first)}, { overwrite: true });`,
    );
    const child = spawn(process.execPath, ['--import', 'tsx', agent], { stdio: 'ignore' });
    const ended = once(child, 'exit');
    for (const until = Date.now() + patienceMs; !existsSync(started) && Date.now() < until; ) await sleep(5);
    child.kill('SIGKILL');
    await ended;
    const pacman = createPacman(
      host,
      createRun(() => undefined),
    );
    await pacman.quiet();
    expect((await pacman.installed(names[1] ?? ''))?.version).toBe('7.0-1');
    expect(existsSync(join(host.pacman.databaseFolder, 'db.lck'))).toBe(false);
  });

  it('fails when the initramfs command makes none', async () => {
    await backToFirst();
    const idle = { ...host, boot: { ...host.boot, initramfsCommand: ['true'] } };
    await expect(runStep('install', install, toInstall(second), idle, fresh())).rejects.toThrow(
      /from before/,
    );
  });

  it('reports a file that is missing although pacman reported success', async () => {
    const folder = fresh();
    const image = join(board.root, 'usr/lib/modules/7.0.0-fourier/build/7.h');
    const spoiling = { ...host, boot: { ...host.boot, initramfsCommand: ['rm', image] } };
    await expect(runStep('install', install, toInstall(second), spoiling, folder)).rejects.toThrow();
    await writeFile(host.boot.initramfs, 'another\n');
    const touching = { ...host, boot: { ...host.boot, initramfsCommand: ['touch', host.boot.initramfs] } };
    await utimes(host.boot.initramfs, 1, 1);
    await expect(runStep('install', install, toInstall(second), touching, folder)).rejects.toMatchObject({
      fault: 'host',
      seen: {
        packages: [{ filesAltered: [] }, { filesAltered: ['/usr/lib/modules/7.0.0-fourier/build/7.h'] }],
      },
    });
    await board.pacman('-U', '--overwrite', '*', ...second.map((wanted) => stagedFile(host, wanted)));
  });

  it('reboots once, into the new kernel, and sweeps it', async () => {
    const { folder } = fresh();
    const attestation = attestationHash(toInstall(second).provenance.attestation);
    const request = { names, version: '7.0-2', release: '7.0.0-fourier', backup: held, attestation };
    const { evidence } = await throughReboot(host, folder, (signal) =>
      runStep('reboot', reboot, request, host, { folder, signal }),
    );
    expect(evidence).toMatchObject({
      before: { bootId: 'boot-0' },
      after: { bootId: 'boot-1', release: '7.0.0-fourier' },
      package: '7.0-2',
      outcome: 'new-kernel',
      attestation,
    });
    // The release is the same as the old kernel's: only the banner tells them apart.
    expect(evidence.before.release).toBe(evidence.after.release);
    expect(evidence.after.procVersion).toContain('#2 SMP');

    const packages = second.map(({ signatureSha256: _signature, ...file }) => file);
    const sweeping = { ...sweepRequest, version: '7.0-2', packages };
    const swept = await runStep('sweep', sweep, sweeping, host, fresh());
    expect(swept.evidence.table[0]?.sha256).toBe(swept.evidence.table[1]?.sha256);
    const envelope = swept.evidence.attestation;
    if (!envelope) throw new Error('the sweep is not attested');
    const payload = openEnvelope([testKey('fresnel').publicKey], envelope);
    const statement = TestResultStatement.parse(JSON.parse(Buffer.from(payload).toString()));
    expect(statement.subject).toEqual(
      packages.map(({ file, sha256 }) => ({ name: file, digest: { sha256 } })),
    );
    expect(statement.predicate).toMatchObject({
      result: 'PASSED',
      passedTests: ['h264/libva', 'h264/software', 'vp9/libva', 'vp9/software'],
      failedTests: [],
    });
    expect(statement.predicate.configuration[0]).toMatchObject({
      uri: 'urn:kernel-agent:test:fresnel:boot:boot-1',
      annotations: { release: '7.0.0-fourier', version: '7.0-2' },
    });
  });

  it('does not sweep for packages that are not the installed ones', async () => {
    const [wanted] = second;
    if (!wanted) throw new Error('nothing was built');
    const request = { ...sweepRequest, version: '7.0-2', packages: [wanted] };
    const other = { ...request, packages: [{ ...wanted, sha256: 'a'.repeat(64) }] };
    await expect(runStep('sweep', sweep, other, host, fresh())).rejects.toThrow(/nobody can say/);
    const image = join(board.root, 'boot/Image');
    const kept = await readFile(image);
    await appendFile(image, 'x');
    await expect(runStep('sweep', sweep, request, host, fresh())).rejects.toThrow(/is not what .* holds/);
    await writeFile(image, kept);
  });

  it('rolls back, from half an install and from the copy on the backup host', async () => {
    const { folder } = fresh();
    await rm(backupFile(host, held));
    await writeFile(join(host.pacman.databaseFolder, 'db.lck'), '');
    await rm(join(host.pacman.databaseFolder, 'local', `${names[0]}-7.0-2`, 'desc'));
    await rm(host.boot.initramfs);
    await writeFile(join(board.root, 'boot/extlinux/extlinux.conf'), `${extlinuxConf}LABEL trial\n`);
    const request = {
      reason: { code: 'aborted', by: 'mfritsche', says: 'sweep failed' },
      from: '7.0-2',
      backup: held,
    } as const;
    const { evidence } = await throughReboot(host, folder, (signal) =>
      runStep('rollback', rollback, request, host, { folder, signal }),
    );
    expect(evidence.rebooted).toMatchObject({
      package: '7.0-1',
      outcome: 'new-kernel',
      after: { bootId: 'boot-2' },
    });
    expect(evidence.installed.packages.map(({ version, filesAltered }) => [version, filesAltered])).toEqual([
      ['7.0-1', []],
      ['7.0-1', []],
    ]);
    expect(evidence.installed.initramfs.sha256).toBe(
      held.files.find(({ path }) => path === '/boot/initramfs.img')?.sha256,
    );
    expect(await readFile(join(board.root, 'boot/extlinux/extlinux.conf'), 'utf8')).toBe(extlinuxConf);
    expect(existsSync(join(host.pacman.databaseFolder, 'db.lck'))).toBe(false);
    expect((await board.pacman('-Qkk', ...names)).stdout).toMatch(/0 altered files/);
  });
});
