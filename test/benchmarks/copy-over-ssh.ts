import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { generateSshKey, startSshd } from '../../deploy/sshd.ts';
import { connect } from '../../host/ssh.ts';
import { sha256 } from '../../schemas/hash.ts';
import { type Benchmark, inTurns, type Measured, milliseconds, type Scale } from './benchmark.ts';

/**
 * Fetches a file as the steps do, over a connection that is there and with its hash, and with a scp that logs in first. In
 * memory: only we wait for the disk, which would be measured otherwise.
 */
const fetchBothWays = async ({ copyMegabytes, times }: Scale): Promise<Measured> => {
  const folder = mkdtempSync('/dev/shm/ka-copy-');
  const [identity, knownHosts, target] = ['id', 'known_hosts', 'target'].map((name) =>
    join(folder, name),
  ) as [string, string, string];
  const bytes = randomBytes(copyMegabytes * 1e6);
  const expected = { sizeBytes: bytes.length, sha256: sha256(bytes) };
  writeFileSync(join(folder, 'file'), bytes);
  const sshd = await startSshd({
    folder: join(folder, 'sshd'),
    authorizedKeys: [await generateSshKey(identity)],
  });
  const { port, hostKey } = sshd;
  const user = userInfo().username;
  try {
    writeFileSync(knownHosts, `[127.0.0.1]:${port} ${hostKey}\n`);
    const connection = await connect({ address: '127.0.0.1', port, user, identity, hostKey, folder });
    const rateOf = async (copy: () => Promise<unknown>): Promise<number> => {
      rmSync(target, { force: true });
      return (copyMegabytes * 1000) / (await milliseconds(copy));
    };
    const known = ['-o', `UserKnownHostsFile=${knownHosts}`, '-o', 'IdentitiesOnly=yes'];
    const scp = () =>
      execa('scp', [
        ...['-q', '-F', 'none', '-i', identity, '-P', String(port), ...known],
        ...[`${user}@127.0.0.1:${join(folder, 'file')}`, target],
      ]);
    try {
      return await inTurns(
        times,
        () => rateOf(() => connection.fetch('file', target, expected)),
        () => rateOf(scp),
      );
    } finally {
      connection.close();
    }
  } finally {
    await sshd.stop();
    rmSync(folder, { recursive: true });
  }
};

export const copyOverSsh: Benchmark = {
  name: 'SFTP with hash, 200 MB / a cold scp',
  unit: 'MB/s',
  goal: { ratioAtLeast: 1.8 },
  measure: fetchBothWays,
};
