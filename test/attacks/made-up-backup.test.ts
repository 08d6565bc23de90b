import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished } from 'vitest';
import { backupFile } from '../../agents/board/backup-archive.ts';
import { install } from '../../agents/board/install.ts';
import { backupStatementOf } from '../../agents/board/own-backup.ts';
import { reboot } from '../../agents/board/reboot.ts';
import { rollback } from '../../agents/board/rollback.ts';
import { pacmanCommand } from '../../agents/board/testing/temp-board.ts';
import { names } from '../../agents/board/testing/test-packages.ts';
import { startUpgradableBoard, type UpgradableBoard } from '../../agents/board/testing/upgradable-board.ts';
import { Journal } from '../../agents/runtime/journal/journal.ts';
import { attestedBy, exampleProvenance } from '../../coordinator/testing/example-attestation.ts';
import { exampleFleet, exampleTrust } from '../../coordinator/testing/example-plan.ts';
import { testKey } from '../../coordinator/testing/test-key.ts';
import { sealEvent } from '../../eventlog/signing/seal.ts';
import { hashFile } from '../../host/hash-file.ts';
import { createRun } from '../../host/run.ts';
import { stepEvent } from '../../schemas/events.ts';
import type { StepEvidence } from '../../schemas/steps.ts';
import { runStep } from '../run-step.ts';
import { attack } from './attack.ts';

type Backup = StepEvidence<'backup'>;

/** Puts an archive like that one, with a cron file and another Image, where the board looks for it. */
const plant = async (board: UpgradableBoard, held: Backup): Promise<Backup> => {
  const peer = join(board.folder, 'peer', held.place);
  const content = join(board.folder, 'planted');
  const run = createRun(() => undefined);
  await mkdir(join(content, 'etc/cron.d'), { recursive: true });
  await run(['tar', '--extract', '--file', join(peer, held.archive.file), '--directory', content]);
  await writeFile(join(content, 'etc/cron.d/x'), '* * * * * root id\n');
  await writeFile(join(content, 'boot/Image'), 'MZ\0Linux version 7.0.0-fourier (planted) #1 SMP\n\0');
  const file = '7.0-1-0123456789abcdef.tar.zst';
  await run([
    'tar',
    '--create',
    '--zstd',
    '--file',
    join(peer, file),
    '--directory',
    content,
    './boot',
    './etc',
    './packages',
    './usr',
  ]);
  return { ...held, archive: { file, ...(await hashFile(join(peer, file))) } };
};

attack(
  'made-up-backup',
  'a board goes back to no archive that it has not made, and arms no deadline with one',
  async ({ skip }) => {
    if (pacmanCommand === undefined) return skip('pacman needs root or unshare -Ur');
    const board = await startUpgradableBoard();
    onTestFinished(() => board.stop());
    const { host } = board;
    const held = await board.hold();
    const planted = await plant(board, held);
    const { attestation: _own, ...unsigned } = planted;
    const said = (by: string, made: Backup = planted, name = host) =>
      attestedBy(by, backupStatementOf({ host: name, trust: exampleTrust, iteration: 'iter5' }, made));
    const provenance = exampleProvenance(board.published);
    const kernel = { names, version: '7.0-2', release: '7.0.0-fourier' };
    const installing = {
      ...{ packages: board.published, fingerprint: host.signing.fingerprint, provenance },
      ...{ from: '7.0-1', to: '7.0-2', release: kernel.release },
    };
    const reason = { code: 'aborted', by: 'mfritsche', says: 'go back' } as const;

    for (const forged of [
      planted, // with what the board has signed about its own archive
      unsigned,
      { ...planted, attestation: said('hertz') },
      { ...planted, attestation: said('ohm', planted, { ...host, host: 'ohm' }) },
      { ...held, files: [...held.files, { ...planted.archive, path: '/usr/lib/modules/other' }] },
    ]) {
      const refused = {
        fault: 'work',
        message: expect.stringContaining('is no backup that fresnel has made'),
      };
      const { folder } = board.fresh();
      for (const tried of [
        runStep('rollback', rollback, { reason, from: '7.0-2', backup: forged }, host, { folder }),
        runStep('reboot', reboot, { ...kernel, backup: forged }, host, { folder }),
        runStep('install', install, { ...installing, backup: forged }, host, { folder }),
      ])
        await expect(tried).rejects.toMatchObject(refused);
      const journal = new Journal(join(folder, 'journal.db'));
      for (const step of ['rollback', 'reboot', 'install'] as const)
        expect(journal.effects.begun({ iteration: 'iter5', step, attempt: 1 })).toEqual([]);
      journal.close();
    }
    expect(existsSync(backupFile(host, planted))).toBe(false);
    expect(existsSync(join(board.root, 'etc/cron.d/x'))).toBe(false);

    // Even one that is signed, by a stolen key, is unpacked only as far as the config keeps it.
    const { folder } = board.fresh();
    const stolen = { ...planted, attestation: said('fresnel') };
    await expect(
      runStep('rollback', rollback, { reason, from: '7.0-2', backup: stolen }, host, { folder }),
    ).rejects.toThrow(/holds etc, which .* nothing of it is unpacked/);
    expect(existsSync(join(board.root, 'etc/cron.d/x'))).toBe(false);
  },
  120_000,
);

attack(
  'made-up-backup',
  'a board goes back to its own backup without its journal, and with its journal although its key was revoked',
  async ({ skip }) => {
    if (pacmanCommand === undefined) return skip('pacman needs root or unshare -Ur');
    const board = await startUpgradableBoard();
    onTestFinished(() => board.stop());
    const { host } = board;
    const held = await board.hold();
    const going = { names, version: '7.0-2', release: '7.0.0-fourier', backup: held };
    const arming = (folder: string, fleet = exampleFleet) => {
      const gone = AbortSignal.abort(new Error('this host stops'));
      return runStep('reboot', reboot, going, host, { folder, fleet, signal: gone });
    };
    // A journal of its own, in which there is no backup: the step gets past the check, to its first effect.
    await expect(arming(board.fresh().folder)).rejects.not.toThrow('is no backup');

    const { fresnel } = exampleFleet.hosts;
    if (!fresnel) throw new Error('the example fleet has no fresnel');
    const renewed = { ...fresnel, publicKey: testKey('fresnel-2').publicKey };
    const revoked = { ...exampleFleet, hosts: { ...exampleFleet.hosts, fresnel: renewed } };
    await expect(arming(board.fresh().folder, revoked)).rejects.toThrow('is no backup that fresnel has made');

    const { folder } = board.fresh();
    await mkdir(folder, { recursive: true });
    const journal = new Journal(join(folder, 'journal.db'));
    const head = { iteration: 'iter5', attempt: 1 };
    const author = { fleet: 'reauktion', name: 'fresnel', key: testKey('fresnel') };
    const made = stepEvent('backup', 'Succeeded', head, { evidence: held, seconds: 1 });
    const { bytes, signature, subject } = sealEvent(made, author, undefined, '2026-05-11T08:00:00Z');
    journal.outbox.note({ seq: 1, subject, bytes, signature });
    journal.close();
    await expect(arming(folder, revoked)).rejects.not.toThrow('is no backup');
  },
  120_000,
);
