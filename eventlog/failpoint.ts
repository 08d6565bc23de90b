import { appendFileSync, existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** The folder through which the fault suite speaks with the daemons; without it a failpoint is nothing. */
const folder = process.env.KA_FAILPOINTS;

/**
 * A place where this process may be killed by a test. It notes that it came by; where it is armed it stays there for
 * ever, so that whoever armed it can kill the process at exactly this point, with or without its children.
 * @param host who is here; `name` where: both are names that the fault suite enumerates.
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
