import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectNats } from '../../eventlog/connection/connect.ts';
import { makeKeyFile } from '../../eventlog/signing/key-file.ts';
import { type Finding, fine, wrong } from './finding.ts';

/** Whether a server of the log refuses unknown keys. */
export const serverFindings = async (nats: {
  servers: string[];
  caFile?: string | undefined;
  withinOneMachine?: boolean | undefined;
}): Promise<Finding[]> => {
  const what = `logins at nats-server ${nats.servers.join(', ')}`;
  const folder = mkdtempSync(join(tmpdir(), 'ka-doctor-'));
  try {
    const keyFile = join(folder, 'made-up.nkey');
    makeKeyFile(keyFile);
    const connection = await connectNats({ ...nats, keyFile, name: 'doctor' });
    await connection.close();
    return [
      wrong(
        what,
        'a key that was made up just now was let in',
        "give the server the fleet's users and what each may say: ka fleet nats-config",
      ),
    ];
  } catch (error) {
    const said = error instanceof Error ? error.message : String(error);
    if (/authorization/i.test(said)) return [fine(what, 'a key that it does not know is refused')];
    return [wrong(what, said, 'start nats-server, or the sandbox with: ka up')];
  } finally {
    rmSync(folder, { recursive: true });
  }
};
