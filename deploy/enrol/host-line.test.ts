import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { createRun } from '../../host/run.ts';
import { openHostLine } from './host-line.ts';

it('reports that a key with a passphrase can’t be used, without asking a host', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'ka-login-'));
  try {
    const identity = join(folder, 'id_ed25519');
    await createRun(() => undefined)(['ssh-keygen', '-q', '-t', 'ed25519', '-N', 'secret', '-f', identity]);
    const login = { user: 'root', address: 'nowhere.invalid', port: 22, hostKey: 'SHA256:', identity };
    await expect(openHostLine(login, () => undefined)).rejects.toThrow(/belongs in an ssh-agent/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
