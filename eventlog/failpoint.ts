import { appendFileSync, existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** The folder through which the fault suite talks to the daemons. Without it a failpoint does nothing. */
const folder = process.env.KA_FAILPOINTS;

/**
 * A place where a test may kill this process. The process notes that it has passed here. If the failpoint is armed, the
 * process stays here for ever, so that the test can kill it at exactly this point, with or without its children.
 * @param host the process's host. @param name the place. The fault suite enumerates both names.
 */
export const failpoint = (host: string, name: string): void => {
  if (folder === undefined) return;
  const point = `${host} ${name}`;
  appendFileSync(join(folder, 'passed'), `${point}\n`);
  const armed = join(folder, 'armed', point);
  if (!existsSync(armed)) return;
  rmSync(armed);
  const reached = join(folder, 'reached');
  mkdirSync(reached, { recursive: true });
  writeFileSync(join(reached, String(process.pid)), point);
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
};
